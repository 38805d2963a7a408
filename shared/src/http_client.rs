//! HTTP requests to others. The client follows no redirects, keeps no cookies and uses no proxy: one for the
//! way out of the house knows nothing of what runs on this machine.

use anyhow::{Context as _, anyhow, bail, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// How long an idle connection is kept, and how many for each server.
const IDLE: Duration = Duration::from_secs(30);
const MAX_IDLE: usize = 4;

/// The `User-Agent` of each request.
pub const AGENT: &str = concat!("collimator/", env!("CARGO_PKG_VERSION"));

/// Clones share connections.
pub type Client<B = Full<Bytes>> = legacy::Client<HttpsConnector<HttpConnector>, B>;

/// Whose certificates a client accepts.
#[derive(Debug)]
pub enum Trust {
    /// Nobody's: all is in plain text.
    Nobody,
    /// Those of the CAs that this machine trusts.
    Machine,
    /// Those of these CAs, and no others.
    Authorities(RootCertStore),
    /// What this says, which may hold a certificate of ours.
    Config(Box<ClientConfig>),
    /// Those that this accepts.
    Verifier(Arc<dyn ServerCertVerifier>),
}

impl Trust {
    /// The CAs of this machine where TLS is wanted; without TLS a machine that has none will do.
    #[must_use]
    pub fn machine_if(is_secure: bool) -> Self {
        match is_secure {
            true => Self::Machine,
            false => Self::Nobody,
        }
    }
}

/// A client, with how long a connection may take to come about where the request has no limit of its own.
///
/// # Errors
/// When it is to trust this machine's CAs, and there are none.
pub fn client<B>(trust: Trust, connect_timeout: Option<Duration>) -> anyhow::Result<Client<B>>
where
    B: Body<Data: Send> + Send,
{
    let ring = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(ring.clone()).with_safe_default_protocol_versions()?;
    let of_authorities = |roots| config.clone().with_root_certificates(roots).with_no_client_auth();
    let builder = HttpsConnectorBuilder::new();
    let builder = match trust {
        Trust::Nobody => builder.with_tls_config(of_authorities(RootCertStore::empty())),
        Trust::Machine => builder.with_provider_and_native_roots(ring).context(
            "https needs trusted certificates: install ca-certificates, or set SSL_CERT_FILE",
        )?,
        Trust::Authorities(roots) => builder.with_tls_config(of_authorities(roots)),
        Trust::Config(config) => builder.with_tls_config(*config),
        Trust::Verifier(verifier) => {
            let config = config.dangerous().with_custom_certificate_verifier(verifier);
            builder.with_tls_config(config.with_no_client_auth())
        }
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(connect_timeout);
    let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .build(connector))
}

/// The JSON at a URL, of this length at most. How long that may take is up to the caller.
///
/// # Errors
/// When the answer is not 200, is too long, or breaks off.
pub async fn get_json(client: &Client, url: &Uri, max_length: usize) -> anyhow::Result<Bytes> {
    let request = Request::get(url)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, AGENT)
        .body(Full::default())?;
    let answer = client.request(request).await;
    let answer = answer.map_err(|error| anyhow!("{url}: {}", chain(&error)))?;
    ensure!(answer.status() == StatusCode::OK, "{url}: the answer was {}", answer.status());
    match Limited::new(answer.into_body(), max_length).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => bail!("{url}: {}", chain(&*error)),
    }
}

/// All that an error says, which is never where to.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
