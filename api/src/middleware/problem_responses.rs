//! Turns errors outside of the operations into problem details too (RFC 9457).

use super::documented_path::DocumentedPath;
use crate::dicomweb::qido;
use crate::http::parameters;
use crate::http::problem::{FieldError, PROBLEM_JSON, Problem};
use poem::http::{HeaderValue, StatusCode, header};
use poem::{Endpoint, IntoResponse, PathPattern, Request, Response};
use poem_openapi::error::{ParseParamError, ParsePathError};
use std::sync::Arc;

/// Makes a response of whatever the routes return. Its path pattern stays with it.
pub(crate) async fn convert<E: Endpoint>(next: Arc<E>, request: Request) -> poem::Result<Response> {
    let path = request.uri().path().to_owned();
    let documented = DocumentedPath::of(&request);
    let mut response = match next.call(request).await {
        Ok(answer) => answer.into_response(),
        Err(error) => {
            let pattern = error.data::<PathPattern>().cloned();
            let in_path = documented.as_ref().map_or(&[][..], |it| &it.path_parameters);
            let mut response = of_error(error, &path, in_path);
            if let Some(pattern) = pattern {
                response.set_data(pattern);
            }
            response
        }
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Some(documented) = documented
        && let Ok(methods) = HeaderValue::from_str(&documented.methods)
    {
        // RFC 9110 section 15.5.6 asks for it.
        response.headers_mut().entry(header::ALLOW).or_insert(methods);
    }
    Ok(response)
}

/// The answer to whatever went wrong before or beside the handlers: no such path, no such method,
/// a parameter that is none. `in_path` are the names of those in the path, in order.
fn of_error(error: poem::Error, path: &str, in_path: &[String]) -> Response {
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
        StatusCode::UNSUPPORTED_MEDIA_TYPE if qido::serves(path) => {
            "instances are taken as multipart/related; type=\"application/dicom\""
        }
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
