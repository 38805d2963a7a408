//! Refuses parameters of a GET that are not documented, or there twice: a filter that is misspelt must not list
//! everything.

use super::documented_path::DocumentedPath;
use crate::http::problem::{FieldError, Problem};
use catalog::Attribute;
use poem::http::Method;
use poem::{Endpoint, IntoResponse, Request, Response};
use std::collections::HashSet;
use std::sync::Arc;

/// The most wrong parameters that one answer names.
const WRONG_PARAMETERS: usize = 10;

/// Answers 422 to a request with a wrong parameter.
pub(crate) async fn check<E: Endpoint<Output = Response>>(
    next: Arc<E>,
    request: Request,
) -> poem::Result<Response> {
    let documented = DocumentedPath::of(&request);
    let wrong = documented.map(|path| wrong(&path, &request)).unwrap_or_default();
    if !wrong.is_empty() {
        return Ok(Problem::fields(wrong).into_response());
    }
    next.call(request).await
}

fn wrong(path: &DocumentedPath, request: &Request) -> Vec<FieldError> {
    // What has no GET is answered with the methods that it has; a HEAD is answered as a GET.
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    let Some(known) = path.query_parameters.as_ref().filter(|_| is_read) else { return Vec::new() };
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
