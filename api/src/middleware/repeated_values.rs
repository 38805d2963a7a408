//! Joins query parameters that a request has several times into one list.

use crate::http::matching::with_lists;
use poem::http::{HeaderValue, header};
use poem::{Endpoint, Request, Response};
use std::sync::Arc;
use url::form_urlencoded;

/// Joins the lines of `If-None-Match`, and the parameters of one attribute.
pub(crate) async fn join<E: Endpoint<Output = Response>>(
    next: Arc<E>,
    mut request: Request,
) -> poem::Result<Response> {
    join_tags(&mut request);
    join_lists(&mut request);
    next.call(request).await
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
