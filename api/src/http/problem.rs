//! What is answered when something is wrong: RFC 9457 problem details, in one table from error to
//! status. None repeats what was sent, since that may name a patient.

use crate::dicomweb::qido;
use crate::http::json_body::JsonBody;
use crate::http::parameters;
use catalog::CatalogError;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::Object;
use poem_openapi::error::{ParseParamError, ParsePathError};
use serde::Serialize;

/// Media type of problem details.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which to try again when the catalogue is away.
pub const RETRY_AFTER: u32 = 2;

/// Problem details (RFC 9457): what went wrong and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[oai(example)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: String,
    /// The kind of problem, the same for every problem of this status
    pub title: String,
    /// The HTTP status
    pub status: u16,
    /// What went wrong this time
    pub detail: String,
    /// Each field of the request that is wrong
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[oai(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<FieldError>,
}

/// One field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
pub struct FieldError {
    /// Name of the field, a DICOM keyword
    pub field: String,
    /// What is wrong with it
    pub detail: String,
}

impl poem_openapi::types::Example for Problem {
    fn example() -> Self {
        let error = FieldError { field: "PatientID".into(), detail: "is missing".into() };
        Self::fields(vec![error])
    }
}

impl Problem {
    /// A problem of this status.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Problem").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// 404: there is nothing of that name.
    #[must_use]
    pub fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 422: the request is well-formed and says something that can't be.
    #[must_use]
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let named: Vec<_> =
            errors.iter().map(|error| format!("{} {}", error.field, error.detail)).collect();
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, named.join("; "));
        Self { errors, ..problem }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// As an error that a handler or an extractor can return.
    #[must_use]
    pub fn into_error(self) -> poem::Error {
        poem::Error::from_response(self.into_response())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = JsonBody(self).into_response();
        response.set_status(status);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER.into());
        }
        response
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Unreadable(_) | CatalogError::Url(_) | CatalogError::Name(_) => {
                tracing::error!(%error, "the catalogue is damaged");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the catalogue can't be read; see the log",
                )
            }
            CatalogError::NotMigrated
            | CatalogError::Migration(_)
            | CatalogError::Replaced(_)
            | CatalogError::Sqlite(_) => {
                tracing::warn!(%error, "the catalogue is away");
                let detail = "the catalogue is not available; it is made and kept by the indexer, \
                              so see that one runs, and try again";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        }
    }
}

/// The answer to whatever went wrong before or beside the handlers: no such path, no such method,
/// a parameter that is none. `in_path` are the names of those in the path, in order.
#[must_use]
pub fn of_error(error: poem::Error, path: &str, in_path: &[String]) -> Response {
    if let Some(wrong) = wrong_parameter(&error, in_path) {
        return Problem::fields(vec![wrong]).into_response();
    }
    let is_problem = |response: &Response| response.content_type() == Some(PROBLEM_JSON);
    let status = error.status();
    let response = error.into_response();
    if is_problem(&response) {
        return response;
    }
    let detail = match status {
        StatusCode::NOT_FOUND if qido::serves(path) => {
            "there is nothing at this path; QIDO-RS has /dicom-web/studies, /series and /instances, as \
             the DICOM Conformance Statement says (docs/dicom-conformance.md)"
        }
        StatusCode::NOT_FOUND => "there is nothing at this path; /docs lists what there is",
        StatusCode::METHOD_NOT_ALLOWED => "this path does not know the method; see Allow and /docs",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            "the body must be JSON: Content-Type application/json"
        }
        StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
        status if status.is_client_error() => "the request can't be understood; see /docs",
        _ => "something went wrong here; see the log",
    };
    Problem::new(status, detail).into_response()
}

/// What is wrong with a parameter, when that is what the error says.
fn wrong_parameter(error: &poem::Error, in_path: &[String]) -> Option<FieldError> {
    let (name, said) = match error.downcast_ref::<ParseParamError>() {
        Some(error) => (error.name, &error.reason),
        None => {
            let error = error.downcast_ref::<ParsePathError>()?;
            (error.name, &error.reason)
        }
    };
    // poem-openapi calls those of the path param0, param1 and so on.
    let place = name.strip_prefix("param").and_then(|place| place.parse::<usize>().ok());
    let field = place.and_then(|place| in_path.get(place)).map_or(name, String::as_str).to_owned();
    Some(FieldError { field, detail: parameters::reason(said).to_owned() })
}
