//! What is served, and what is common to all of it: health, documentation, the answer to what goes
//! wrong.

use crate::auth::guard::Guard;
use crate::broker::Requests;
use crate::dashboard;
use crate::dead_letters::DeadLetters;
use crate::dead_letters::operations::DeadLetterOperations;
use crate::dicomweb::qido;
use crate::dicomweb::query::with_lists;
use crate::events::Events;
use crate::events::operations::EventOperations;
use crate::http::problem::{self, FieldError, Problem};
use crate::middleware::audit::{Asked, Audit};
use crate::middleware::http_metrics::{HttpMetrics, template, word};
use crate::middleware::{cors, host_header, security_headers};
use crate::openapi::security::Guarded;
use crate::senders::operations::SenderOperations;
use crate::series::operations::SeriesOperations;
use crate::statistics::operations::StatisticsOperations;
use crate::studies::operations::StudyOperations;
use crate::webhooks::Webhooks;
use crate::webhooks::operations::WebhookOperations;
use catalog::{Attribute, Catalog};
use poem::endpoint::make_sync;
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::web::Html;
use poem::{Endpoint, EndpointExt, IntoResponse, PathPattern, Request, Response, Route};
use poem_openapi::{LicenseObject, OpenApiService};
use serde_json::Value;
use shared::audit::Auditor;
use shared::health::{self, Health};
use shared::metrics::{self, Metrics, Refusals, Refused};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;
use url::form_urlencoded;

const DESCRIPTION: &str = "Collimator receives DICOM from a PACS or a modality, knows when each \
series is complete, and tells everyone: here, and as `dicom.series.completed.>` on NATS. \
DICOMweb clients search the same catalogue by QIDO-RS under `/dicom-web`.";

/// Where the licences are, of which one chooses. OpenAPI 3.0 knows their name and a place, and no SPDX
/// expression.
const LICENSE: &str = "https://spdx.org/licenses/";

/// All documented operations.
type Documented = (
    SeriesOperations,
    StudyOperations,
    StatisticsOperations,
    SenderOperations,
    EventOperations,
    WebhookOperations,
    DeadLetterOperations,
);

/// The documented operations with what describes them.
#[must_use]
pub fn service(
    catalog: Catalog,
    requests: Requests,
    events: Events,
    webhooks: Webhooks,
) -> OpenApiService<Guarded<Documented>, ()> {
    let operations = Guarded((
        SeriesOperations::new(catalog.clone(), requests.clone()),
        StudyOperations::new(catalog.clone()),
        StatisticsOperations::new(catalog.clone(), requests.clone()),
        SenderOperations::new(catalog.clone(), requests.clone()),
        EventOperations::new(events),
        WebhookOperations::new(webhooks.clone()),
        DeadLetterOperations::new(DeadLetters::new(requests, webhooks, catalog)),
    ));
    OpenApiService::new(operations, "Collimator", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(LicenseObject::new("MIT OR Apache-2.0").url(LICENSE))
        .server("/")
}

/// Everything that is served. Whatever goes wrong is answered as a problem.
#[must_use]
#[allow(clippy::too_many_arguments, reason = "each is a part of the API")]
pub fn routes(
    catalog: Catalog,
    requests: Requests,
    events: Events,
    webhooks: Webhooks,
    guard: Guard,
    auditor: Auditor,
    health: Health,
    metrics: Metrics,
) -> impl Endpoint<Output = Response> {
    metrics.collect(events.clone());
    metrics.collect(health.clone());
    let http = HttpMetrics::registered(&metrics);
    let service = service(catalog.clone(), requests, events, webhooks);
    let dicom_web = qido::routes(&catalog);
    let allowed = Arc::new(allowed_methods(&service.spec()));
    let refusals = metrics.refusals();
    let audit = Audit::new(auditor, catalog.clone());
    let checked = health.clone();
    let health = health::routes(health).before(move |request: Request| {
        let (catalog, health) = (catalog.clone(), checked.clone());
        async move {
            // Whether it is alive has nothing to do with the catalogue, which may keep one waiting.
            if request.uri().path() != "/live" {
                let wrong = catalog.check().await.err();
                health.set("catalogue", wrong.map(|error| error.to_string()));
            }
            Ok(request)
        }
    });
    Route::new()
        .nest("/health", health)
        .at("/metrics", metrics::route(metrics))
        .at("/openapi.json", service.spec_endpoint())
        .nest("/docs", documentation(&service.swagger_ui_html()))
        .nest(qido::ROOT, dicom_web)
        .nest("/", service)
        .around(dashboard::in_front_of)
        .around(move |routes, request| {
            let (refusals, http, audit) = (refusals.clone(), http.clone(), audit.clone());
            answer(routes, request, guard.clone(), allowed.clone(), refusals, http, audit)
        })
}

/// Swagger UI. It shows answers without colours: for those of a megabyte of JSON a browser stands still for 20 s.
fn documentation(swagger_ui: &str) -> impl Endpoint + 'static {
    let option = "deepLinking: true,";
    let page = swagger_ui.replacen(option, &format!("{option} syntaxHighlight: false,"), 1);
    Route::new().at("/", make_sync(move |_| Html(page.clone())))
}

/// Answers one request, and logs that it did: never what was asked for, nor with what.
async fn answer<E: Endpoint>(
    routes: Arc<E>,
    mut request: Request,
    guard: Guard,
    allowed: Arc<Vec<Allowed>>,
    refusals: Refusals,
    http: HttpMetrics,
    audit: Audit,
) -> poem::Result<Response> {
    let began = Instant::now();
    let host = host_header::settle(&mut request);
    let asked = Asked::by(&mut request);
    let (method, path) = (&asked.method, asked.path.as_str());
    let documented = allowed.iter().find(|allowed| allowed.matches(path));
    let wrong = documented.map(|allowed| allowed.wrong(&request)).unwrap_or_default();
    let origin = guard.origins().of(&request);
    let over_tls = *request.scheme() == Scheme::HTTPS;
    let preflight = origin.as_ref().and_then(|_| cors::preflight(&request));
    let mut route = None;
    let mut asker = None;
    let mut response = if let Err(several) = host {
        several.into_response()
    } else if let Some(preflight) = preflight {
        preflight
    } else {
        match guard.check(&request).await {
            Err(refusal) => {
                asker = Some(refusal.caller);
                refusal.response
            }
            Ok(caller) if !wrong.is_empty() => {
                asker = Some(caller);
                Problem::fields(wrong).into_response()
            }
            Ok(caller) => {
                asker = Some(caller.clone());
                request.set_data(caller);
                join_tags(&mut request);
                join_lists(&mut request);
                match routes.call(request).await {
                    Ok(answer) => {
                        let answer = answer.into_response();
                        route = answer.data::<PathPattern>().cloned();
                        answer
                    }
                    Err(error) => {
                        route = error.data::<PathPattern>().cloned();
                        let in_path = documented.map_or(&[][..], |it| &it.in_path);
                        problem::of_error(error, path, in_path)
                    }
                }
            }
        }
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Some(allowed) = documented
        && let Ok(methods) = HeaderValue::from_str(&allowed.methods)
    {
        // RFC 9110 section 15.5.6 asks for it.
        response.headers_mut().insert(header::ALLOW, methods);
    }
    let status = response.status();
    if let Some(caller) = asker {
        let segments = documented.map(|documented| &documented.segments[..]);
        audit.answered(&asked, &caller, segments, status).await;
    }
    let route = match documented {
        Some(documented) => documented.segments.join("/"),
        None if dashboard::has(path) => path.to_owned(),
        None => template(route.as_ref()),
    };
    tracing::debug!(method = word(method), route, status = status.as_u16(), "answered");
    http.answered(route, method, status, began.elapsed());
    if status.is_client_error() || status.is_server_error() {
        refusals.count(Refused::Request, status.as_str().to_owned());
    }
    security_headers::restrict(&mut response, path);
    if over_tls {
        security_headers::insist_on_tls(&mut response);
    }
    if let Some(origin) = origin {
        cors::share(&mut response, origin);
    }
    Ok(response)
}

/// A list may be on several lines, which mean the same as one (RFC 9110 section 5.3).
fn join_tags(request: &mut Request) {
    let lines = request.headers().get_all(header::IF_NONE_MATCH);
    let lines: Vec<_> = lines.iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b", "[..]))
    {
        request.headers_mut().insert(header::IF_NONE_MATCH, joined);
    }
}

/// A parameter of one attribute may be there several times, and is a list then.
fn join_lists(request: &mut Request) {
    let Ok(given) = request.params::<Vec<(String, String)>>() else { return };
    let lists = with_lists(&given);
    if lists.len() == given.len() {
        return;
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(lists).finish();
    if let Ok(uri) = format!("{}?{query}", request.uri().path()).parse() {
        *request.uri_mut() = uri;
    }
}

/// What a documented path takes.
struct Allowed {
    /// Its segments; one in braces stands for any.
    segments: Vec<String>,
    /// The methods as an `Allow` header has them.
    methods: String,
    /// What those in braces are called.
    in_path: Vec<String>,
    /// The names that may be in the query string of a GET, if there is one.
    parameters: Option<Vec<String>>,
}

impl Allowed {
    fn matches(&self, path: &str) -> bool {
        let segments: Vec<_> = path.split('/').collect();
        let fits =
            |(wanted, segment): (&String, &&str)| wanted.starts_with('{') || wanted == segment;
        segments.len() == self.segments.len() && self.segments.iter().zip(&segments).all(fits)
    }

    /// The parameters of a GET that are not known, or there twice: a filter that is misspelt must
    /// not list everything.
    fn wrong(&self, request: &Request) -> Vec<FieldError> {
        // What has no GET is answered with the methods that it has; a HEAD is answered as a GET.
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        let Some(known) = self.parameters.as_ref().filter(|_| is_read) else { return Vec::new() };
        let Ok(given) = request.params::<Vec<(String, String)>>() else { return Vec::new() };
        let mut seen = HashSet::new();
        let mut wrong = Vec::new();
        for (name, _) in given {
            let detail = match known.contains(&name) {
                false => "is no parameter of this operation; see /docs",
                // Of an attribute several values may be asked for.
                true if !seen.insert(name.clone()) && Attribute::find(&name).is_none() => {
                    "is there twice"
                }
                true => continue,
            };
            wrong.push(FieldError { field: printable(&name), detail: detail.to_owned() });
        }
        wrong.truncate(WRONG_PARAMETERS);
        wrong
    }
}

/// The most wrong parameters that one answer names.
const WRONG_PARAMETERS: usize = 10;

/// The name of a parameter that is not ours, as far as it looks like a name: it is whatever somebody
/// wrote before an equals sign, or without one.
fn printable(name: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= 64 && name.chars().all(is_name) {
        name.to_owned()
    } else {
        "query".to_owned()
    }
}

fn allowed_methods(spec: &str) -> Vec<Allowed> {
    let spec: Value = serde_json::from_str(spec).unwrap_or_default();
    let paths = spec["paths"].as_object().cloned().unwrap_or_default();
    paths
        .into_iter()
        .map(|(path, operations)| {
            let parameters = operations.get("get").map(|get| {
                let all = get["parameters"].as_array().into_iter().flatten();
                let queried = all.filter(|it| it["in"] == "query");
                queried.filter_map(|it| it["name"].as_str().map(str::to_owned)).collect()
            });
            let operations = operations.as_object();
            let methods = operations.into_iter().flat_map(|operations| operations.keys());
            let methods: Vec<_> = methods.map(|method| method.to_ascii_uppercase()).collect();
            let braced = |it: &str| it.strip_prefix('{')?.strip_suffix('}').map(str::to_owned);
            Allowed {
                in_path: path.split('/').filter_map(braced).collect(),
                segments: path.split('/').map(str::to_owned).collect(),
                methods: methods.join(", "),
                parameters,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
