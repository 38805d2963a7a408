//! Has the guard judge each request before the routes see it.

use crate::auth::guard::{Guard, Refusal};
use poem::{Endpoint, Request, Response};
use std::sync::Arc;

/// Lets a request pass with its caller, or answers the refusal. The response has the caller too.
pub(crate) async fn check<E: Endpoint<Output = Response>>(
    next: Arc<E>,
    mut request: Request,
    guard: Arc<Guard>,
) -> poem::Result<Response> {
    let (caller, mut response) = match guard.check(&request).await {
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
