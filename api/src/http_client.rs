//! The way out over HTTP, for all that the API asks of others. It follows no redirects, keeps no cookies
//! and knows no proxy.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// How long an idle connection is kept, and how many for each receiver.
const IDLE: Duration = Duration::from_secs(30);
const MAX_IDLE: usize = 4;

/// What we call ourselves.
pub(crate) const AGENT: &str = concat!("collimator/", env!("CARGO_PKG_VERSION"));

/// Clones share connections.
pub(crate) type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client, over TLS too when it `is_secure`: that takes the certificates that this machine trusts.
///
/// # Errors
/// When it trusts none.
pub(crate) fn client(is_secure: bool) -> anyhow::Result<Client> {
    let ring = Arc::new(ring::default_provider());
    let builder = HttpsConnectorBuilder::new();
    let builder = match is_secure {
        true => builder.with_provider_and_native_roots(ring).context(
            "https needs trusted certificates: install ca-certificates, or set SSL_CERT_FILE",
        )?,
        false => {
            let config = ClientConfig::builder_with_provider(ring);
            let config = config.with_safe_default_protocol_versions()?;
            let nobody = RootCertStore::empty();
            builder.with_tls_config(config.with_root_certificates(nobody).with_no_client_auth())
        }
    };
    let connector = builder.https_or_http().enable_http1().build();
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .build(connector))
}

/// All that an error says, which is never where to.
pub(crate) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
