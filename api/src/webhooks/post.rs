//! One delivery over HTTP: the request, and what its receiver made of it.

use super::cloud_event::CLOUD_EVENT;
use super::file::Hook;
use super::pauses;
use super::signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER};
use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;
use poem::http::{Method, Request, StatusCode, header};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What is read of an answer's body, so that its connection can be used again, and for how long.
/// Nothing of it is kept: it may repeat what was sent.
const MAX_BODY: usize = 64 * 1024;
const DRAIN: Duration = Duration::from_secs(1);

/// How long an idle connection is kept, and how many for each receiver.
const IDLE: Duration = Duration::from_secs(30);
const MAX_IDLE: usize = 4;

/// Why a receiver has not taken a delivery.
#[derive(Debug)]
pub(super) struct Refusal {
    /// In words, which repeat nothing of the delivery nor of the answer.
    pub(super) cause: String,
    /// How long it asks to be left alone.
    pub(super) asked: Option<Duration>,
}

/// Posts to receivers. Follows no redirects and keeps no cookies. Clones share connections.
#[derive(Debug, Clone)]
pub(super) struct Post {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Post {
    /// Over TLS too when it `is_secure`: that takes the certificates that this machine trusts.
    ///
    /// # Errors
    /// When it trusts none.
    pub(super) fn new(is_secure: bool) -> anyhow::Result<Self> {
        let ring = Arc::new(ring::default_provider());
        let builder = HttpsConnectorBuilder::new();
        let builder = match is_secure {
            true => builder.with_provider_and_native_roots(ring).context(
                "webhooks over https need trusted certificates: install ca-certificates, or set \
                 SSL_CERT_FILE",
            )?,
            false => {
                let config = ClientConfig::builder_with_provider(ring);
                let config = config.with_safe_default_protocol_versions()?;
                let nobody = RootCertStore::empty();
                builder.with_tls_config(config.with_root_certificates(nobody).with_no_client_auth())
            }
        };
        let connector = builder.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(connector);
        Ok(Self { client })
    }

    /// Sends an event to a webhook, signed as of now.
    ///
    /// # Errors
    /// When its receiver did not answer with 2xx in time.
    pub(super) async fn deliver(&self, hook: &Hook, event: String) -> Result<(), Refusal> {
        let (timestamp, signature) = hook.secret.sign(event.as_bytes(), Timestamp::now());
        let request = Request::builder()
            .method(Method::POST)
            .uri(&hook.url)
            .header(header::CONTENT_TYPE, CLOUD_EVENT)
            .header(header::USER_AGENT, concat!("collimator/", env!("CARGO_PKG_VERSION")))
            .header(TIMESTAMP_HEADER, timestamp)
            .header(SIGNATURE_HEADER, signature)
            .body(Full::from(event))
            .map_err(|error| refusal(format!("the request can't be made: {error}")))?;
        let answer = match timeout(hook.timeout, self.client.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(refusal(chain(&error))),
            Err(_elapsed) => {
                return Err(refusal(format!("no answer within {:?}", hook.timeout)));
            }
        };
        let status = answer.status();
        let asked = answer.headers().get(header::RETRY_AFTER);
        let asked = asked.and_then(|value| pauses::asked(value.to_str().ok()?, Timestamp::now()));
        // The status is the answer; how its body ends changes nothing.
        let _ = timeout(DRAIN, Limited::new(answer.into_body(), MAX_BODY).collect()).await;
        if status.is_success() {
            return Ok(());
        }
        Err(Refusal { cause: said(status), asked })
    }
}

fn refusal(cause: String) -> Refusal {
    Refusal { cause, asked: None }
}

fn said(status: StatusCode) -> String {
    let code = status.as_u16();
    match status.is_redirection() {
        true => format!("the answer was {code}, and redirects are not followed"),
        false => format!("the answer was {code}"),
    }
}

/// All that an error says, which is never where to.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
