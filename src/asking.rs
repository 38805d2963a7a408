//! Asking the API, in plain text or over TLS: for the commands that are its clients.

mod pinned;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use pinned::Pinned;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use shared::pem;
use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{error::Elapsed, timeout};
use url::Url;

/// How long a connection may take to come about.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may pause. `GET /events` says every few seconds that it still stands.
const READ_PATIENCE: Duration = Duration::from_secs(30);

/// The longest body that is read whole. A page of 500 series is some hundred times shorter.
const MAX_WHOLE: usize = 64 << 20;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("collimator/", env!("CARGO_PKG_VERSION")));

/// Whose certificates are good.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// There is no TLS.
    PlainText,
    /// Those of the CAs that this machine trusts.
    Machine,
    /// Those of the CAs in this file, and no others.
    Authorities(&'a Path),
    /// The first one in this file, whatever name it is for, and no other.
    Only(&'a Path),
}

/// Asks, and follows no redirects. Knows no proxy: one for the way out of the house knows nothing of what
/// runs on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    client: legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// Why there is no answer, or no whole one. Nothing that was asked is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("it takes too long")]
    Late,
    /// Somebody answers whose certificate is not good.
    #[error("{0}")]
    Untrusted(String),
    #[error("{0}")]
    Lost(String),
}

impl From<Elapsed> for NoAnswer {
    fn from(_: Elapsed) -> Self {
        Self::Late
    }
}

impl Asking {
    /// With the certificates that are good.
    ///
    /// # Errors
    /// When they can't be read.
    pub(crate) fn new(trust: Trust<'_>) -> anyhow::Result<Self> {
        let ring = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(ring.clone())
            .with_safe_default_protocol_versions()?;
        let named = |path: &Path| path.display().to_string();
        let of_authorities = |roots| config.clone().with_root_certificates(roots);
        let builder = HttpsConnectorBuilder::new();
        let builder = match trust {
            Trust::PlainText => builder
                .with_tls_config(of_authorities(RootCertStore::empty()).with_no_client_auth()),
            Trust::Machine => builder.with_provider_and_native_roots(ring).context(
                "this machine trusts no certificates: name those of the API's CA, or install \
                 ca-certificates",
            )?,
            Trust::Authorities(path) => {
                let roots = pem::authorities(path).with_context(|| named(path))?;
                builder.with_tls_config(of_authorities(roots).with_no_client_auth())
            }
            Trust::Only(path) => {
                let pinned = Pinned::read(path, &ring).with_context(|| named(path))?;
                let config = config.dangerous().with_custom_certificate_verifier(Arc::new(pinned));
                builder.with_tls_config(config.with_no_client_auth())
            }
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_PATIENCE));
        let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Self { client: legacy::Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Asks for what is at a URL.
    pub(crate) async fn get(&self, url: &Url, headers: HeaderMap) -> Result<Answer, NoAnswer> {
        let mut request = Request::get(url.as_str())
            .body(Empty::new())
            .map_err(|error| NoAnswer::Lost(error.to_string()))?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(USER_AGENT, AGENT);
        let answer = timeout(READ_PATIENCE, self.client.request(request)).await?;
        answer.map(Answer).map_err(|error| no_answer(&error))
    }
}

/// An answer, whose body comes piece by piece.
#[derive(Debug)]
pub(crate) struct Answer(Response<Incoming>);

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The next piece of the body; nothing at its end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, NoAnswer> {
        while let Some(frame) = timeout(READ_PATIENCE, self.0.body_mut().frame()).await? {
            // What is no data are trailers, which say nothing to us.
            if let Ok(data) = frame.map_err(|error| no_answer(&error))?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The whole body.
    pub(crate) async fn whole(mut self) -> Result<Vec<u8>, NoAnswer> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await? {
            if whole.len() + piece.len() > MAX_WHOLE {
                return Err(NoAnswer::Lost("the answer is too long".to_owned()));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

/// What lies under an error: what is above it says nothing new, and may name what was asked for.
fn no_answer(error: &(dyn Error + 'static)) -> NoAnswer {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match of_tls(cause) {
        Some(rustls::Error::InvalidCertificate(_)) => NoAnswer::Untrusted(cause.to_string()),
        Some(rustls::Error::InvalidMessage(_)) => NoAnswer::Lost("it speaks no TLS".to_owned()),
        _ => NoAnswer::Lost(cause.to_string()),
    }
}

/// An error of I/O says what it was made of, but not as its source.
fn of_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => of_tls(error.get_ref()?),
        None => error.downcast_ref(),
    }
}
