//! The answers: what became of the instances, or a problem (RFC 9457).

use super::store_response::StoreResponse;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::json;
use shared::media_type::{MediaType, split};

/// An answer, whole in memory.
pub(super) type Answer = Response<Full<Bytes>>;

const DICOM_JSON: &str = "application/dicom+json";
const PROBLEM_JSON: &str = "application/problem+json";

/// The media ranges by which a client accepts it.
const SERVED: [&str; 4] = [DICOM_JSON, "application/json", "application/*", "*/*"];

/// After how many seconds a sender may try again: an election of the broker, or the restart of it, takes as long.
const TRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Why a request is refused by its head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RefusedHead {
    /// The status of the answer.
    pub status: StatusCode,
    detail: String,
}

impl RefusedHead {
    /// With this status, and what to do about it.
    #[must_use]
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// The answer.
    #[must_use]
    pub(super) fn answer(&self) -> Answer {
        problem(self.status, &self.detail)
    }
}

/// What became of the instances.
pub(super) fn stored(response: &StoreResponse) -> Answer {
    answer(response.status(), DICOM_JSON, response.json())
}

/// What is wrong with a request.
pub(super) fn problem(status: StatusCode, detail: &str) -> Answer {
    let problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Problem"),
        "status": status.as_u16(),
        "detail": detail,
    });
    answer(status, PROBLEM_JSON, problem.to_string())
}

/// Refuses a client that does not accept what it would get.
pub(super) fn refuse_accept(headers: &HeaderMap) -> Option<RefusedHead> {
    let lists = headers.get_all(ACCEPT).iter().filter_map(|list| list.to_str().ok());
    let ranges: Vec<_> = lists.flat_map(|list| split(list, ',')).collect();
    let is_served = |range: &String| {
        let range = MediaType::parse(range);
        SERVED.contains(&&*range.name) && range.weight() != 0.0
    };
    let is_refused = !ranges.is_empty() && !ranges.iter().any(is_served);
    is_refused.then(|| {
        let detail = "what became of the instances is said as application/dicom+json only";
        RefusedHead::new(StatusCode::NOT_ACCEPTABLE, detail)
    })
}

fn answer(status: StatusCode, media_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status) {
        headers.insert(RETRY_AFTER, TRY_AFTER);
    }
    answer
}
