//! Pages of other origins that may ask: none, unless they are named (CORS, the Fetch standard's section
//! on its protocol).

use anyhow::ensure;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};
use shared::web_url::web_url;

/// What such a page may ask with. It may not send a name and a password that the browser keeps.
const METHODS: &str = "GET, HEAD, POST, DELETE";
const HEADERS: &str = "Authorization, Content-Type, If-None-Match, Last-Event-ID";

/// What it may read of an answer beside its body.
const EXPOSED: &str = "ETag, Link, Retry-After, Warning, X-Total-Count";

/// Origins that were named.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Of a setting.
    ///
    /// # Errors
    /// When one is not written as browsers do: a scheme, a host, and a port that is not the scheme's.
    pub fn new(named: &[String]) -> anyhow::Result<Self> {
        let named: Vec<_> = named.iter().map(|origin| origin.trim().to_owned()).collect();
        for origin in &named {
            let written = web_url(origin).map(|url| url.origin().ascii_serialization());
            let is_one = written.is_ok_and(|written| written.eq_ignore_ascii_case(origin));
            ensure!(is_one, "{origin:?} is no origin, as https://viewer.example.org is one");
        }
        Ok(Self(named))
    }

    /// The origin of the page that a request is for, if it was named.
    #[must_use]
    pub fn of(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.0.iter().any(|named| named.eq_ignore_ascii_case(text)).then(|| origin.clone())
    }
}

/// The answer to a browser that asks whether a page may ask. It brings no token yet.
pub(crate) fn preflight(request: &Request) -> Option<Response> {
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

/// Lets the page of a named origin read an answer.
pub(crate) fn share(response: &mut Response, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let exposed = HeaderValue::from_static(EXPOSED);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_origin_is_refused() {
        let named = |origin: &str| Origins::new(&[origin.to_owned()]);
        for origin in ["https://viewer.example.org", " http://127.0.0.1:3000"] {
            named(origin).unwrap();
        }
        for wrong in [
            "*",
            "",
            "viewer.example.org",
            "https://",
            "https://a/",
            "https://*.a",
            "null",
            "https://a..b",
            "https://a:443",
            "https://u@a",
            "http://a:99999",
        ] {
            named(wrong).unwrap_err();
        }
    }
}
