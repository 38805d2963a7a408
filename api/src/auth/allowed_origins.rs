//! Pages of other origins that may ask: none, unless they are named (CORS, the Fetch standard's section
//! on its protocol).

use anyhow::ensure;
use poem::Request;
use poem::http::{HeaderValue, header};
use shared::web_url::web_url;

/// Origins that were named.
#[derive(Debug, Clone, Default)]
pub struct AllowedOrigins(Vec<String>);

impl AllowedOrigins {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_origin_is_refused() {
        let named = |origin: &str| AllowedOrigins::new(&[origin.to_owned()]);
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
