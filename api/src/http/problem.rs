//! Error responses: RFC 9457 problem details, in one table from error to status. None repeats the request, which
//! may name a patient.

use crate::http::json_body::JsonBody;
use catalog::CatalogError;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::Object;
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
    /// The error of this try
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
            CatalogError::Unreadable(_) | CatalogError::Settings(_) => {
                tracing::error!(%error, "the catalogue is damaged");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the catalogue can't be read; see the log",
                )
            }
            CatalogError::NotMigrated
            | CatalogError::Unfinished
            | CatalogError::OtherVersion(_)
            | CatalogError::Superseded(_)
            | CatalogError::Replaced(_)
            | CatalogError::Unavailable(_)
            | CatalogError::Refused(_) => {
                tracing::warn!(%error, "the catalogue is unavailable");
                let detail = "the catalogue is not available; it is made and kept by the indexer, \
                              so see that one runs, and try again";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        }
    }
}
