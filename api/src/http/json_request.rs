//! JSON request bodies: bounded in length and time, and checked by a type of their own.

use super::json_body::JsonBody;
use super::problem::Problem;
use poem::error::ReadBodyError;
use poem::http::StatusCode;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::impl_apirequest_for_payload;
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::types::Type;
use std::time::Duration;
use tokio::time::timeout;

/// Longest request body, in bytes. `POST /store` needs a few hundred.
pub const HTTP_BODY_LIMIT: usize = 64 * 1024;

/// How long a request body may take to arrive, once its head has.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Something that a JSON request body is checked into.
pub trait FromJson: Type + Sized {
    /// Checks the body's JSON.
    ///
    /// # Errors
    /// The problem to answer with: it names the fields that are wrong, and none of their values.
    fn from_json(json: serde_json::Value) -> Result<Self, Problem>;
}

impl<T: FromJson> ParsePayload for JsonBody<T> {
    const IS_REQUIRED: bool = true;

    async fn from_request(request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        let body = poem::Body::from_request(request, body).await?;
        let read = timeout(BODY_TIMEOUT, body.into_bytes_limit(HTTP_BODY_LIMIT)).await;
        let read = read.map_err(|_| {
            let detail = format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_error()
        })?;
        let bytes = read.map_err(|error| {
            let problem = match error {
                ReadBodyError::PayloadTooLarge => {
                    let detail =
                        format!("the body must not be longer than {HTTP_BODY_LIMIT} bytes");
                    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
                }
                _ => {
                    let detail = "the body is not as long as it says, or its chunks are none";
                    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
                }
            };
            problem.into_error()
        })?;
        let json = serde_json::from_slice(&bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let detail = format!("the body is not JSON, at line {line} column {column}");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).into_error()
        })?;
        T::from_json(json).map(Self).map_err(Problem::into_error)
    }
}

impl_apirequest_for_payload!(JsonBody<T>, T: FromJson);
