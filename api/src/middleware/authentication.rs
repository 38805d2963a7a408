//! Has the guard judge each request before the routes see it.

use super::documented_path::DocumentedPath;
use crate::auth::guard::{Guard, Refusal};
use crate::auth::tokens::Scope;
use poem::{Endpoint, Request, Response};
use std::sync::Arc;

/// Lets a request pass with its caller, or answers the refusal. The response has the caller too.
pub(crate) async fn check<E: Endpoint<Output = Response>>(
    next: Arc<E>,
    mut request: Request,
    guard: Arc<Guard>,
) -> poem::Result<Response> {
    let (caller, mut response) = match guard.check(&request, needed(&request)).await {
        Ok(caller) => {
            request.set_data(caller.clone());
            (caller, next.call(request).await?)
        }
        Err(refusal) => {
            let Refusal { caller, response } = *refusal;
            (caller, response)
        }
    };
    response.set_data(caller);
    Ok(response)
}

/// The scope that a request needs.
fn needed(request: &Request) -> Scope {
    let method = request.method();
    let rules = DocumentedPath::of(request).and_then(|path| path.rules(method));
    rules.map_or_else(|| Scope::of_undocumented(method), |rules| rules.scope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::committed_paths;
    use poem::http::Method;

    #[test]
    fn what_changes_something_needs_more_than_reading() {
        let paths = committed_paths();
        let needed = |method: Method, path: &str| {
            let mut request = Request::builder().method(method).uri_str(path).finish();
            paths.attach_to(&mut request);
            needed(&request)
        };
        assert_eq!(needed(Method::GET, "/series"), Scope::Read);
        assert_eq!(needed(Method::HEAD, "/series"), Scope::Read);
        assert_eq!(needed(Method::POST, "/store"), Scope::Write);
        assert_eq!(needed(Method::POST, "/series/1.2/complete"), Scope::Admin);
        assert_eq!(needed(Method::DELETE, "/series/1.2"), Scope::Admin);
        assert_eq!(needed(Method::POST, "/store/"), Scope::Admin);
        assert_eq!(needed(Method::PUT, "/store"), Scope::Admin);
    }
}
