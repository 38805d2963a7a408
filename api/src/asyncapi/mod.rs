//! The documentation of events: `/asyncapi.json`, the page `/asyncapi` that shows it, and each schema by itself at
//! `/schemas/KIND.json`. The document is made of the contract's schemas and golden files (`tests.rs`).

#[cfg(test)]
mod tests;

use crate::http::etag;
use crate::http::parameters::Tags;
use crate::http::problem::Problem;
use poem::endpoint::make_sync;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Request, Response, Route, RouteMethod, get};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Where the page is.
pub(crate) const PAGE_PATH: &str = "/asyncapi";
/// Where the document is.
pub(crate) const DOCUMENT_PATH: &str = "/asyncapi.json";
const SCRIPT_PATH: &str = "/asyncapi.js";
const STYLE_PATH: &str = "/asyncapi.css";

const DOCUMENT: &str = include_str!("../../asyncapi.json");
const PAGE: &str = include_str!("asyncapi.html");
const SCRIPT: &str = include_str!("asyncapi.js");
const STYLE: &str = include_str!("asyncapi.css");

/// What the page may do: run its own script, and read the document from its own server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const JSON: &str = "application/json";
/// The media type of a JSON Schema.
const SCHEMA_JSON: &str = "application/schema+json";

/// The schemas of events by kind, each as its file in `docs/events` has it.
static SCHEMAS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    #[derive(Deserialize, Default)]
    struct Document {
        components: Components,
    }
    #[derive(Deserialize, Default)]
    struct Components {
        schemas: BTreeMap<String, Box<RawValue>>,
    }
    // A test reads the document, so it is one.
    let document: Document = serde_json::from_str(DOCUMENT).unwrap_or_default();
    let own = |(kind, schema): (String, Box<RawValue>)| {
        let schema = schema.get().replace(&reference(&kind), OWN_REFERENCE);
        (kind, schema + "\n")
    };
    document.components.schemas.into_iter().map(own).collect()
});

/// How a schema refers to one of its definitions.
const OWN_REFERENCE: &str = "\"#/$defs/";

/// How it does so as a part of the document, in which a reference begins at the root.
fn reference(kind: &str) -> String {
    format!("\"#/components/schemas/{kind}/$defs/")
}

/// Adds all routes of the documentation of events.
pub(crate) fn add_to(routes: Route) -> Route {
    routes
        .at(DOCUMENT_PATH, file(DOCUMENT, JSON))
        .at(PAGE_PATH, file(PAGE, "text/html; charset=utf-8"))
        .at(SCRIPT_PATH, file(SCRIPT, "text/javascript; charset=utf-8"))
        .at(STYLE_PATH, file(STYLE, "text/css; charset=utf-8"))
        .at("/schemas/:file", get(make_sync(|request| schema(&request))))
}

/// The route of a file that is part of the program.
fn file(content: &'static str, media_type: &'static str) -> RouteMethod {
    get(make_sync(move |request| answer(&request, content, media_type)))
}

/// `GET /schemas/KIND.json`
fn schema(request: &Request) -> Response {
    let file = request.raw_path_param("file").unwrap_or_default();
    match file.strip_suffix(".json").and_then(|kind| SCHEMAS.get(kind)) {
        Some(schema) => answer(request, schema, SCHEMA_JSON),
        None => Problem::not_found("there is no such schema; /asyncapi.json names all kinds")
            .into_response(),
    }
}

/// The content, unless the client has it.
fn answer(request: &Request, content: &'static str, media_type: &'static str) -> Response {
    let tag = match etag::tag(&content) {
        Ok(tag) => tag,
        Err(problem) => return problem.into_response(),
    };
    let known = request.header(header::IF_NONE_MATCH).map(|known| Tags(known.to_owned()));
    let mut response = match etag::is_known(known.as_ref(), &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => content.with_content_type(media_type).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // It belongs to this version of the API, so a client asks whether it is still the same.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}
