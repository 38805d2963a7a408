//! Authorises requests: by their token, where tokens are configured, and by the host and origin that a browser
//! names.

use crate::auth::allowed_origins::AllowedOrigins;
use crate::auth::caller::{Caller, Proof};
use crate::auth::oidc::{Oidc, Untrusted};
use crate::auth::reloadable_file::ReloadableFile;
use crate::auth::settings::AuthSettings;
use crate::auth::tokens::{self, Scope, Tokens};
use crate::http::problem::Problem;
use anyhow::{Context as _, ensure};
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{IntoResponse, Request, Response};
use shared::health;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What is answered to everyone: whether it is alive and ready, which names nobody.
const OPEN: [&str; 2] = [health::LIVE, health::READY];

/// How to say who asks (RFC 9110 section 11.6.1). A browser asks its user by the second one, and then
/// says it each time, also where a page could not: for the page itself, and for an `EventSource`.
const BEARER: &str = "Bearer realm=\"collimator\"";
const BASIC: &str = "Basic realm=\"collimator\", charset=\"UTF-8\"";

const NEEDED: &str =
    "a token is needed: Authorization: Bearer and the token, or as the password of any user";

/// What stands between a request and the routes. By default no token is asked for.
#[derive(Debug, Clone)]
pub struct Guard {
    tokens: Option<Arc<ReloadableFile<Tokens>>>,
    oidc: Option<Arc<Oidc>>,
    /// Names under which a browser may know us; addresses are always such.
    hosts: Vec<String>,
    origins: AllowedOrigins,
}

impl Default for Guard {
    fn default() -> Self {
        let hosts = vec!["localhost".to_owned()];
        Self { tokens: None, oidc: None, hosts, origins: AllowedOrigins::default() }
    }
}

impl Guard {
    /// As the settings say.
    ///
    /// # Errors
    /// When the tokens or keys can't be read, or anybody on the network could ask without one.
    pub fn new(settings: &AuthSettings, addr: SocketAddr) -> anyhow::Result<Self> {
        let tokens = settings.tokens_file.as_deref();
        let tokens = tokens
            .map(|path| ReloadableFile::new("TOKENS_FILE", path, Tokens::read))
            .transpose()?;
        let (tokens, oidc) = (tokens.map(Arc::new), Oidc::new(&settings.oidc)?.map(Arc::new));
        ensure!(
            tokens.is_some() || oidc.is_some() || settings.insecure || addr.ip().is_loopback(),
            "API_ADDR {addr} is not on loopback, so that anybody who reaches it could read patients' \
             names: set TOKENS_FILE (see `collimator token create`) or OIDC_ISSUER, or INSECURE=true \
             where something else keeps others away"
        );
        let hosts = settings.allowed_hosts.iter().map(|host| host.trim().to_owned());
        let hosts = hosts.filter(|host| !host.is_empty()).collect();
        let origins = AllowedOrigins::new(&settings.allowed_origins).context("ALLOWED_ORIGINS")?;
        Ok(Self { tokens, oidc, hosts, origins })
    }

    /// Pages of which other origins may ask.
    #[must_use]
    pub fn origins(&self) -> &AllowedOrigins {
        &self.origins
    }

    /// Whether those who ask need a token.
    #[must_use]
    pub fn asks_for_tokens(&self) -> bool {
        self.tokens.is_some() || self.oidc.is_some()
    }

    /// Whether a request may pass that needs this scope, and who asks.
    ///
    /// # Errors
    /// The answer to one that may not: 401 or 403, or 503 while nobody can tell.
    pub async fn check(&self, request: &Request, needed: Scope) -> Result<Caller, Box<Refusal>> {
        let nobody = Caller::nobody(request);
        if OPEN.contains(&request.uri().path()) {
            return Ok(nobody);
        }
        let caller = match self.asks_for_tokens() {
            false => Caller { scopes: Scope::ALL.into(), ..nobody },
            true => self.identify(nobody, request).await?,
        };
        match self.forbids(request, &caller, needed) {
            None => Ok(caller),
            Some(detail) => Err(Box::new(Refusal::forbidden(caller, &detail))),
        }
    }

    /// Who has the token that a request brings.
    async fn identify(&self, nobody: Caller, request: &Request) -> Result<Caller, Box<Refusal>> {
        let token = tokens::token_in(request.headers()).unwrap_or_default();
        if let Some((name, scopes)) =
            self.tokens.as_ref().and_then(|all| all.current().holder(&token))
        {
            return Ok(Caller { name: Some(name), proof: Proof::Token, scopes, ..nobody });
        }
        // What has no two dots is no JSON Web Token (RFC 7515 section 3.1), nor meant to be one.
        let Some(oidc) = self.oidc.as_ref().filter(|_| token.matches('.').count() == 2) else {
            return Err(Box::new(Refusal::unauthorized(nobody, None)));
        };
        match oidc.holder(&token).await {
            Ok((name, scopes)) => {
                Ok(Caller { name: Some(name), proof: Proof::Jwt, scopes, ..nobody })
            }
            Err(untrusted) => Err(Box::new(Refusal::unauthorized(nobody, Some(&untrusted)))),
        }
    }

    /// Keeps the keys that tokens are judged by fresh, until told to stop.
    pub(crate) async fn keep(&self, stop: &CancellationToken) {
        if let Some(oidc) = &self.oidc {
            oidc.run(stop).await;
        }
    }

    /// Reads all files of tokens and keys again.
    pub(crate) fn reload(&self) {
        if let Some(tokens) = &self.tokens {
            tokens.reload();
        }
        if let Some(oidc) = &self.oidc {
            oidc.reload();
        }
    }

    /// Why this caller may not ask this.
    fn forbids(&self, request: &Request, caller: &Caller, needed: Scope) -> Option<String> {
        let path = request.uri().path();
        if !caller.may(needed) {
            return Some(format!("this token has not the scope `{needed}`"));
        }
        // Another host's page has no token to send, and no browser sends it ours. Metrics have no name
        // of a patient in them, and whoever fetches them knows us by any name.
        let needs_name = caller.proof == Proof::Nothing && path != "/metrics";
        if needs_name && !self.knows_host(request) {
            return Some("this name of the host is not in ALLOWED_HOSTS, and is no address".into());
        }
        if !self.is_own_page(request) {
            return Some("a page of another origin may not change anything here".into());
        }
        None
    }

    /// A name that somebody has pointed at us makes a page of theirs one of ours, for the browser (DNS
    /// rebinding). What says no `Host` is no browser.
    fn knows_host(&self, request: &Request) -> bool {
        let Some(host) = request.headers().get(header::HOST) else { return true };
        let host = host.to_str().unwrap_or_default();
        is_address(name_of(host)) || self.lists(name_of(host)) || self.lists(host)
    }

    /// A page elsewhere can't read answers, but it could send what changes something.
    fn is_own_page(&self, request: &Request) -> bool {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
            return true;
        }
        let Some(origin) = request.headers().get(header::ORIGIN) else { return true };
        if self.origins.of(request).is_some() {
            return true;
        }
        let origin = origin.to_str().unwrap_or_default();
        let (scheme, origin) = origin.split_once("://").unwrap_or_default();
        // Over TLS a page that came without it is not ours: it may be of anybody on the way.
        let is_safe = scheme == "https" || *request.scheme() != Scheme::HTTPS;
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let is_ours = host.is_some_and(|host| host.eq_ignore_ascii_case(origin));
        is_safe && !origin.is_empty() && (is_ours || self.lists(origin))
    }

    fn lists(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}

/// That a request may not pass.
#[derive(Debug)]
pub struct Refusal {
    /// Whose it is, as far as that is known.
    pub caller: Caller,
    /// What it is answered.
    pub response: Response,
}

impl Refusal {
    /// Nobody knows who asks: without a token of any kind, or with one that is not taken.
    fn unauthorized(caller: Caller, untrusted: Option<&Untrusted>) -> Self {
        let detail = untrusted.map_or_else(|| NEEDED.to_owned(), ToString::to_string);
        if untrusted == Some(&Untrusted::NoKeys) {
            let response = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
            return Self { caller, response };
        }
        let mut response = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
        // RFC 6750 section 3.1.
        let error =
            untrusted.map(|why| format!(", error=\"invalid_token\", error_description=\"{why}\""));
        for challenge in [BEARER.to_owned() + &error.unwrap_or_default(), BASIC.to_owned()] {
            if let Ok(challenge) = HeaderValue::try_from(challenge) {
                response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
            }
        }
        Self { caller, response }
    }

    fn forbidden(caller: Caller, detail: &str) -> Self {
        Self { caller, response: Problem::new(StatusCode::FORBIDDEN, detail).into_response() }
    }
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

    async fn status(guard: &Guard, method: Method, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri_str(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.finish();
        let needed = Scope::of_undocumented(request.method());
        let checked = guard.check(&request, needed).await;
        checked.map_or_else(|refused| refused.response.status().as_u16(), |_caller| 200)
    }

    #[tokio::test]
    async fn a_name_that_others_have_pointed_at_us_is_refused() {
        let guard = Guard::default();
        for host in ["127.0.0.1:8000", "[::1]:8000", "localhost:8000", "LOCALHOST", "192.0.2.7"] {
            assert_eq!(
                status(&guard, Method::GET, "/series", &[("host", host)]).await,
                200,
                "{host}"
            );
        }
        for host in ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
            assert_eq!(
                status(&guard, Method::GET, "/series", &[("host", host)]).await,
                403,
                "{host}"
            );
            for open in ["/health/live", "/health/ready", "/metrics"] {
                assert_eq!(
                    status(&guard, Method::GET, open, &[("host", host)]).await,
                    200,
                    "{host}"
                );
            }
        }
        let named = Guard { hosts: vec!["collimator.example".to_owned()], ..guard };
        assert_eq!(
            status(&named, Method::GET, "/", &[("host", "collimator.example:80")]).await,
            200
        );
    }

    #[tokio::test]
    async fn a_page_of_another_origin_changes_nothing() {
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
                assert_eq!(
                    status(&guard, Method::POST, path, &headers).await,
                    expected,
                    "{origin}"
                );
            }
            assert_eq!(
                status(&guard, Method::GET, "/series", &[host, ("origin", origin)]).await,
                200
            );
        }
        assert_eq!(status(&guard, Method::POST, "/store", &[host]).await, 200, "no browser");
        // Behind a proxy that asks for us by another name than it is asked by.
        let proxied = Guard { hosts: vec!["collimator.example".to_owned()], ..guard };
        let headers = [host, ("origin", "https://collimator.example")];
        assert_eq!(status(&proxied, Method::POST, "/store", &headers).await, 200);
    }
}
