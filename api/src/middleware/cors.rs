//! What a browser has to read in a response before a page of another origin may use it (CORS, the Fetch standard's
//! section on its protocol).

use crate::auth::guard::Guard;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response};
use std::sync::Arc;

/// What such a page may ask with. It may not send a name and a password that the browser keeps.
const METHODS: &str = "GET, HEAD, POST, DELETE";
const HEADERS: &str = "Authorization, Content-Type, If-None-Match, Last-Event-ID";

/// What it may read of an answer beside its body.
const EXPOSED: &str = "ETag, Link, Retry-After, Warning, X-Total-Count";

/// Answers a browser that asks whether a page of a named origin may ask.
pub(crate) async fn answer_preflight<E: Endpoint<Output = Response>>(
    next: Arc<E>,
    request: Request,
    guard: Arc<Guard>,
) -> poem::Result<Response> {
    match guard.origins().of(&request).and_then(|_named| preflight(&request)) {
        Some(response) => Ok(response),
        None => next.call(request).await,
    }
}

/// Lets the page of a named origin read the response.
pub(crate) async fn share<E: Endpoint<Output = Response>>(
    next: Arc<E>,
    request: Request,
    guard: Arc<Guard>,
) -> poem::Result<Response> {
    let origin = guard.origins().of(&request);
    let mut response = next.call(request).await?;
    if let Some(origin) = origin {
        share_with(&mut response, origin);
    }
    Ok(response)
}

/// The answer to a preflight. It brings no token yet.
fn preflight(request: &Request) -> Option<Response> {
    let is_asked = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    (request.method() == Method::OPTIONS && is_asked).then(|| {
        Response::builder()
            .status(StatusCode::NO_CONTENT)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
            .header(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS)
            .header(header::ACCESS_CONTROL_MAX_AGE, "600")
            .finish()
    })
}

fn share_with(response: &mut Response, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let exposed = HeaderValue::from_static(EXPOSED);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}
