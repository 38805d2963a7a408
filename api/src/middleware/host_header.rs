//! Which host a request is for, in one place for all that look: its `Host`.

use crate::http::problem::Problem;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use std::sync::Arc;

/// Answers 400 to a request with several hosts.
pub(crate) async fn check<E: Endpoint<Output = Response>>(
    next: Arc<E>,
    mut request: Request,
) -> poem::Result<Response> {
    match settle(&mut request) {
        Err(several) => Ok(several.into_response()),
        Ok(()) => next.call(request).await,
    }
}

/// Has `Host` say which host a request is for. In HTTP/2 that is in `:authority` instead (RFC 9113
/// section 8.3.1), and one that is in the target of HTTP/1.1 goes before `Host` (RFC 9112 section 3.2.2).
///
/// # Errors
/// 400 when there are several (RFC 9112 section 3.2): what was in front of us may have looked at
/// another one.
fn settle(request: &mut Request) -> Result<(), Problem> {
    let authority = request.uri().authority().map(|it| HeaderValue::from_str(it.as_str()));
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "there is more than one Host"));
    }
    if let Some(Ok(authority)) = authority {
        request.headers_mut().insert(header::HOST, authority);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(uri: &str, hosts: &[&str]) -> Option<String> {
        let mut request = Request::builder().uri_str(uri).finish();
        for host in hosts {
            request.headers_mut().append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        settle(&mut request).ok()?;
        Some(request.header(header::HOST).unwrap_or_default().to_owned())
    }

    #[test]
    fn the_host_of_the_target_goes_before_that_of_the_header_and_there_is_one() {
        for (uri, hosts, expected) in [
            ("/series", &["127.0.0.1"][..], Some("127.0.0.1")),
            ("/series", &[], Some("")),
            ("http://evil.example:80/series", &["127.0.0.1"], Some("evil.example:80")),
            ("http://evil.example/series", &[], Some("evil.example")),
            ("/series", &["127.0.0.1", "evil.example"], None),
            ("/series", &["127.0.0.1", "127.0.0.1"], None),
        ] {
            assert_eq!(settled(uri, hosts).as_deref(), expected, "{uri} {hosts:?}");
        }
    }
}
