//! TLS as a server speaks it, for DICOM (PS3.15 section B.12) and HTTP alike: TLS 1.2 and 1.3 as BCP 195
//! wants them, the certificates, which are read again when told to, and the hand-shake.

use crate::pem::{Named, authorities, certificates};
use anyhow::Context as _;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{error::Elapsed, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, ServerConfig};
pub use tokio_rustls::server::TlsStream;

/// The first byte of a hand-shake (RFC 8446 section 5.1), with which neither a PDU nor an HTTP request
/// begins.
pub const HAND_SHAKE: u8 = 22;

/// What a port for TLS is made of.
#[derive(Debug, Clone)]
pub struct Papers {
    /// Our certificate and those between it and its CA, PEM.
    pub certificate: Named,
    /// Its private key, PEM, without a passphrase.
    pub key: Named,
    /// The CAs of callers, PEM; then each caller needs a certificate.
    pub client_ca: Option<Named>,
    /// What is spoken within (ALPN, RFC 7301), if that has a name: best first.
    pub protocols: &'static [&'static str],
}

/// What is needed to speak TLS.
#[derive(Debug)]
pub struct Tls {
    papers: Papers,
    /// Of what was read last that was good.
    config: Mutex<Arc<ServerConfig>>,
}

/// Why there is no encrypted connection.
#[derive(Debug, thiserror::Error)]
pub enum NoTls {
    /// The hand-shake did not come to its end in time.
    #[error("no TLS hand-shake within {}", humantime::format_duration(*.0))]
    Silent(Duration),
    /// The peer speaks plain text, or something else that is no TLS.
    #[error("no TLS on the port for it")]
    PlainText(TcpStream),
    /// The peer went away.
    #[error("the connection was lost in the TLS hand-shake: {0}")]
    Lost(io::Error),
    /// It came with no certificate, or with one that is no good.
    #[error("the caller's certificate: {0}")]
    Certificate(rustls::Error),
    /// Both could not agree, or the peer did not like our certificate.
    #[error("the TLS hand-shake failed: {0}")]
    HandShake(rustls::Error),
}

impl Tls {
    /// Reads the certificates.
    ///
    /// # Errors
    /// When a file can't be read, or holds something else, with the name of its setting.
    pub fn read(papers: Papers) -> anyhow::Result<Self> {
        let config = Mutex::new(papers.read()?);
        Ok(Self { papers, config })
    }

    /// Reads the certificates again, and says what came of it; when they are no good, it goes on with those
    /// that it has.
    pub fn again(&self) {
        match self.papers.read() {
            Ok(config) => {
                *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
                tracing::info!("the TLS certificates were read again: {}", self.papers.certificate);
            }
            Err(error) => tracing::error!("the TLS certificates stay as they were: {error:#}"),
        }
    }

    /// Whether a caller needs a certificate.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        self.papers.client_ca.is_some()
    }

    /// The hand-shake, within this time, over what `prepare` makes of the connection.
    ///
    /// # Errors
    /// When there is to be no connection; the peer has been told why, if it still listens, unless it is
    /// one for plain text.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: TcpStream,
        limit: Duration,
        prepare: impl FnOnce(TcpStream) -> S,
    ) -> Result<TlsStream<S>, NoTls> {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let accepted = async {
            let mut first = [0];
            let came = socket.peek(&mut first).await.map_err(NoTls::Lost)?;
            if came > 0 && first[0] != HAND_SHAKE {
                return Err(NoTls::PlainText(socket));
            }
            TlsAcceptor::from(config).accept(prepare(socket)).await.map_err(failure)
        };
        timeout(limit, accepted).await.map_err(|_: Elapsed| NoTls::Silent(limit))?
    }
}

/// What became of a hand-shake that failed.
fn failure(error: io::Error) -> NoTls {
    match error.downcast::<rustls::Error>() {
        Ok(
            error @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented),
        ) => NoTls::Certificate(error),
        Ok(error) => NoTls::HandShake(error),
        Err(error) => NoTls::Lost(error),
    }
}

impl Papers {
    fn read(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let Self { certificate, key, client_ca, protocols } = self;
        let chain = certificates(certificate.path()).with_context(|| certificate.to_string())?;
        let private = PrivateKeyDer::from_pem_file(key.path()).with_context(|| key.to_string())?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let verifier = verifier(ca.path(), provider).with_context(|| ca.to_string())?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(chain, private)
            .with_context(|| format!("{certificate} with {}", key.setting()))?;
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        // A session that is taken up again brings a certificate that nobody looks at any more.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

fn verifier(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let roots = Arc::new(authorities(path)?);
    Ok(WebPkiClientVerifier::builder_with_provider(roots, provider).build()?)
}
