//! QIDO-RS under `/dicom-web` (PS3.18 section 10.6): the resources and their responses.

use crate::dicomweb::dicom_json;
use crate::dicomweb::query::{Query, Resource};
use crate::dicomweb::retrieve::{InstanceStore, accept};
use crate::http::problem::{FieldError, Problem};
use crate::stow;
use catalog::{CatalogReader, Level};
pub(crate) use contract::dicomweb::ROOT;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response, Route};
use serde_json::Value;
use shared::media_type::{MediaType, split};
use std::collections::HashMap;

/// Whether a path is one of its own.
pub(crate) fn serves(path: &str) -> bool {
    path == ROOT || is_below(path)
}

/// Whether something of it is asked for by a path.
pub(crate) fn is_below(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.starts_with('/'))
}

const DICOM_JSON: &str = "application/dicom+json";

/// The media types that a client may accept to be answered. Both are the same JSON.
const SERVED: [&str; 4] = [DICOM_JSON, "application/json", "application/*", "*/*"];

/// The resources of QIDO-RS, put into those of WADO-RS.
pub(super) fn add(routes: Route, catalog: &CatalogReader, store: &InstanceStore) -> Route {
    let at = |level| Search { catalog: catalog.clone(), store: store.clone(), level };
    routes
        .at("/studies", at(Level::Study))
        .at("/studies/:study/series", at(Level::Series))
        .at("/studies/:study/series/:series/instances", at(Level::Instance))
        .at("/studies/:study/instances", at(Level::Instance))
        .at("/series", at(Level::Series))
        .at("/instances", at(Level::Instance))
}

struct Search {
    catalog: CatalogReader,
    store: InstanceStore,
    level: Level,
}

impl Endpoint for Search {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if let Some(refused) = refuse_to_write(&request) {
            return Ok(refused);
        }
        Ok(self.answer(&request).await.unwrap_or_else(IntoResponse::into_response))
    }
}

/// Refuses a method that is not for reading.
pub(super) fn refuse_to_write(request: &Request) -> Option<Response> {
    // A HEAD is answered as a GET, without the body.
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return None;
    }
    let mut refused = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "here is searched (QIDO-RS) and retrieved (WADO-RS); instances are stored by POST to \
         /dicom-web/studies (STOW-RS)",
    )
    .into_response();
    let stores = stow::stores_at(&format!("{ROOT}{}", request.uri().path()));
    let methods = if stores { "GET, HEAD, POST" } else { "GET, HEAD" };
    refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    Some(refused)
}

impl Search {
    async fn answer(&self, request: &Request) -> Result<Response, Problem> {
        let mut named = request.path_params::<HashMap<String, String>>().unwrap_or_default();
        let (study, series) = (named.remove("study"), named.remove("series"));
        let resource = Resource { level: self.level, study, series };
        let parameters = request.params::<Vec<(String, String)>>().unwrap_or_default();
        let media_type = media_type(request, &parameters)?;
        let mut query = Query::new(&resource, &parameters).map_err(|(field, why)| {
            let detail = format!("{field} {why}");
            let errors = vec![FieldError { field, detail: why.to_owned() }];
            Problem { errors, ..Problem::new(StatusCode::BAD_REQUEST, detail) }
        })?;
        let urls = self.store.urls(request);
        query.search.with_objects = urls.is_some();
        let (found, more) = self.catalog.search(&query.search).await?;
        let mut warnings: Vec<String> =
            query.warnings.iter().map(|&text| text.to_owned()).collect();
        if more && query.is_cut {
            let all = self.catalog.count_found(&query.search).await?;
            let returned = u64::from(query.search.offset) + found.len() as u64;
            let left = all.saturating_sub(returned);
            warnings.push(format!("There are {left} additional results that can be requested"));
        }
        let results: Vec<Value> = found
            .iter()
            .map(|details| dicom_json::result(details, &query.search.attributes, urls.as_ref()))
            .collect();
        let mut response = match results.is_empty() {
            true => StatusCode::NO_CONTENT.into_response(),
            false => Response::builder().content_type(media_type).body(
                serde_json::to_vec(&results).unwrap_or_default(), // values are JSON already
            ),
        };
        for warning in warnings {
            if let Ok(warning) = HeaderValue::from_str(&format!("299 collimator: {warning}")) {
                response.headers_mut().append(header::WARNING, warning);
            }
        }
        Ok(response)
    }
}

/// What the answer is declared as: the first that the client accepts of what there is.
pub(super) fn media_type(
    request: &Request,
    parameters: &[(String, String)],
) -> Result<&'static str, Problem> {
    let ranges = split(&accept::list(request, parameters), ',').into_iter();
    let mut ranges = ranges.filter(|range| !range.trim().is_empty()).peekable();
    if ranges.peek().is_none() {
        return Ok(DICOM_JSON);
    }
    match ranges.find_map(|range| served(&MediaType::parse(&range))) {
        Some("application/json") => Ok("application/json"),
        Some(_) => Ok(DICOM_JSON),
        None => Err(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "results are served as application/dicom+json only",
        )),
    }
}

/// What there is of a media range, unless its weight says that it is not wanted.
fn served(range: &MediaType) -> Option<&'static str> {
    let served = SERVED.into_iter().find(|it| *it == range.name);
    served.filter(|_| range.weight() != 0.0)
}
