//! Who may ask for what: by the token that a request brings, where there are tokens, and by what a
//! browser says of the page that it acts for.

use crate::origins::Origins;
use crate::problem::Problem;
use crate::settings::Settings;
use crate::tokens::{Scope, Tokens};
use anyhow::{Context as _, ensure};
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{IntoResponse, Request, Response};
use std::net::IpAddr;

/// What is answered to everyone: whether it is alive and ready, which names nobody.
const OPEN: [&str; 2] = ["/health/live", "/health/ready"];

/// How to say who asks (RFC 9110 section 11.6.1). A browser asks its user by the second one, and then
/// says it each time, also where a page could not: for the page itself, and for an `EventSource`.
const CHALLENGES: [&str; 2] =
    ["Bearer realm=\"collimator\"", "Basic realm=\"collimator\", charset=\"UTF-8\""];

/// What stands between a request and the routes. By default no token is asked for.
#[derive(Debug, Clone)]
pub struct Guard {
    tokens: Option<Tokens>,
    /// Names under which a browser may know us; addresses are always such.
    hosts: Vec<String>,
    origins: Origins,
}

impl Default for Guard {
    fn default() -> Self {
        let hosts = vec!["localhost".to_owned()];
        Self { tokens: None, hosts, origins: Origins::default() }
    }
}

impl Guard {
    /// As the settings say.
    ///
    /// # Errors
    /// When the tokens can't be read, or anybody on the network could ask without one.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let tokens = settings.tokens_file.as_deref().map(Tokens::read).transpose();
        let tokens = tokens.context("TOKENS_FILE")?;
        let addr = settings.api_addr;
        ensure!(
            tokens.is_some() || settings.insecure || addr.ip().is_loopback(),
            "API_ADDR {addr} is not on loopback, so that anybody who reaches it could read patients' \
             names: set TOKENS_FILE (see `collimator token create`), or INSECURE=true where something \
             else keeps others away"
        );
        let hosts = settings.allowed_hosts.iter().map(|host| host.trim().to_owned());
        let hosts = hosts.filter(|host| !host.is_empty()).collect();
        let origins = Origins::new(&settings.allowed_origins).context("ALLOWED_ORIGINS")?;
        Ok(Self { tokens, hosts, origins })
    }

    /// Pages of which other origins may ask.
    #[must_use]
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Whether a request may pass.
    ///
    /// # Errors
    /// The answer to one that may not: 401 or 403.
    pub fn check(&self, request: &Request) -> Result<(), Box<Response>> {
        let path = request.uri().path();
        if OPEN.contains(&path) {
            return Ok(());
        }
        match &self.tokens {
            // Another host's page has no token to send, and no browser sends it ours.
            Some(tokens) => allows(tokens, request)?,
            // It has no name of a patient in it, and whoever fetches it knows us by any name.
            None if path == "/metrics" => {}
            None => self.knows_host(request)?,
        }
        self.is_own_page(request)
    }

    /// A name that somebody has pointed at us makes a page of theirs one of ours, for the browser (DNS
    /// rebinding). What says no `Host` is no browser.
    fn knows_host(&self, request: &Request) -> Result<(), Box<Response>> {
        let Some(host) = request.headers().get(header::HOST) else { return Ok(()) };
        let host = host.to_str().unwrap_or_default();
        if is_address(name_of(host)) || self.lists(name_of(host)) || self.lists(host) {
            return Ok(());
        }
        Err(forbidden("this name of the host is not in ALLOWED_HOSTS, and is no address"))
    }

    /// A page elsewhere can't read answers, but it could send what changes something.
    fn is_own_page(&self, request: &Request) -> Result<(), Box<Response>> {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
            return Ok(());
        }
        let Some(origin) = request.headers().get(header::ORIGIN) else { return Ok(()) };
        if self.origins.of(request).is_some() {
            return Ok(());
        }
        let origin = origin.to_str().unwrap_or_default();
        let (scheme, origin) = origin.split_once("://").unwrap_or_default();
        // Over TLS a page that came without it is not ours: it may be of anybody on the way.
        if scheme != "https" && *request.scheme() == Scheme::HTTPS {
            return Err(forbidden("a page that came without TLS may not change anything here"));
        }
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let is_ours = host.is_some_and(|host| host.eq_ignore_ascii_case(origin));
        if !origin.is_empty() && (is_ours || self.lists(origin)) {
            return Ok(());
        }
        Err(forbidden("a page of another origin may not change anything here"))
    }

    fn lists(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}

/// Whether the token of a request is for what it asks.
fn allows(tokens: &Tokens, request: &Request) -> Result<(), Box<Response>> {
    let needed = Scope::of(request.method(), request.uri().path());
    match tokens.scopes(request.headers()) {
        Some(scopes) if scopes.contains(&needed) => Ok(()),
        Some(_) => Err(forbidden(&format!("this token has not the scope `{needed}`"))),
        None => {
            let detail = "a token is needed: Authorization: Bearer and the token, or as the \
                          password of any user";
            let mut refused = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
            for challenge in CHALLENGES {
                let challenge = HeaderValue::from_static(challenge);
                refused.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
            }
            Err(Box::new(refused))
        }
    }
}

fn forbidden(detail: &str) -> Box<Response> {
    Box::new(Problem::new(StatusCode::FORBIDDEN, detail).into_response())
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _port)| name),
    }
}

fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(guard: &Guard, method: Method, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri_str(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard.check(&request.finish()).map_or_else(|refused| refused.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_name_that_others_have_pointed_at_us_is_refused() {
        let guard = Guard::default();
        for host in ["127.0.0.1:8000", "[::1]:8000", "localhost:8000", "LOCALHOST", "192.0.2.7"] {
            assert_eq!(status(&guard, Method::GET, "/series", &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
            assert_eq!(status(&guard, Method::GET, "/series", &[("host", host)]), 403, "{host}");
            for open in ["/health/live", "/health/ready", "/metrics"] {
                assert_eq!(status(&guard, Method::GET, open, &[("host", host)]), 200, "{host}");
            }
        }
        let named = Guard { hosts: vec!["collimator.example".to_owned()], ..guard };
        assert_eq!(status(&named, Method::GET, "/", &[("host", "collimator.example:80")]), 200);
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        let guard = Guard::default();
        let host = ("host", "127.0.0.1:8000");
        for (origin, expected) in [
            ("http://127.0.0.1:8000", 200),
            ("http://127.0.0.1:9000", 403),
            ("https://evil.example", 403),
            ("null", 403),
            ("", 403),
        ] {
            for path in ["/store", "/series/1.2/complete", "/sources/MR1/trust"] {
                let headers = [host, ("origin", origin)];
                assert_eq!(status(&guard, Method::POST, path, &headers), expected, "{origin}");
            }
            assert_eq!(status(&guard, Method::GET, "/series", &[host, ("origin", origin)]), 200);
        }
        assert_eq!(status(&guard, Method::POST, "/store", &[host]), 200, "no browser");
        // Behind a proxy that asks for us by another name than it is asked by.
        let proxied = Guard { hosts: vec!["collimator.example".to_owned()], ..guard };
        let headers = [host, ("origin", "https://collimator.example")];
        assert_eq!(status(&proxied, Method::POST, "/store", &headers), 200);
    }
}
