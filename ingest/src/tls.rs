//! TLS on the port that has it (PS3.15 section B.12: TLS 1.2 and 1.3 as BCP 195 wants them): the
//! certificates, read again when told to, and the hand-shake.

use crate::certificate::Certificate;
use crate::socket::Prompt;
use anyhow::{Context as _, ensure};
use clap::Args;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::{error::Elapsed, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// Ciphertext that is read at a time: two records of the longest.
const BUFFER_LENGTH: usize = 32 * 1024;

/// The first byte of a hand-shake (RFC 8446 section 5.1), which no PDU begins with.
pub const HAND_SHAKE: u8 = 22;

/// Settings of DICOM TLS.
#[derive(Debug, Clone, Default, Args)]
pub struct TlsSettings {
    /// Where to listen for associations over TLS [default: none]
    #[arg(long, env = "DICOM_TLS_ADDR")]
    pub dicom_tls_addr: Option<SocketAddr>,

    /// Our certificate and those between it and its CA, PEM
    #[arg(long, env = "DICOM_TLS_CERT")]
    pub dicom_tls_cert: Option<PathBuf>,

    /// The private key of our certificate, PEM, without a passphrase
    #[arg(long, env = "DICOM_TLS_KEY")]
    pub dicom_tls_key: Option<PathBuf>,

    /// Certificates of the CAs of senders, PEM; then each sender needs a certificate
    /// [default: none, senders need none]
    #[arg(long, env = "DICOM_TLS_CLIENT_CA")]
    pub dicom_tls_client_ca: Option<PathBuf>,
}

impl TlsSettings {
    /// Reads the certificates, if there is a port for them.
    ///
    /// # Errors
    /// When a file is not named, can't be read, or holds something else, with the name of its setting.
    pub fn read(&self) -> anyhow::Result<Option<Tls>> {
        if self.dicom_tls_addr.is_none() {
            for (name, file) in [
                ("DICOM_TLS_CERT", &self.dicom_tls_cert),
                ("DICOM_TLS_KEY", &self.dicom_tls_key),
                ("DICOM_TLS_CLIENT_CA", &self.dicom_tls_client_ca),
            ] {
                ensure!(file.is_none(), "{name} is of no use without DICOM_TLS_ADDR");
            }
            return Ok(None);
        }
        let missing = |name: &str| format!("DICOM_TLS_ADDR needs {name} as well");
        let files = Files {
            certificate: self.dicom_tls_cert.clone().with_context(|| missing("DICOM_TLS_CERT"))?,
            key: self.dicom_tls_key.clone().with_context(|| missing("DICOM_TLS_KEY"))?,
            client_ca: self.dicom_tls_client_ca.clone(),
        };
        let config = Mutex::new(files.read()?);
        Ok(Some(Tls { files, config }))
    }
}

/// What is needed to speak TLS.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    /// Of what was read last that was good.
    config: Mutex<Arc<ServerConfig>>,
}

/// A connection that is encrypted from here on.
pub type Encrypted = TlsStream<BufReader<Prompt>>;

/// Why there is no encrypted connection.
#[derive(Debug, thiserror::Error)]
pub enum NoTls {
    /// The hand-shake did not come to its end in time.
    #[error("no TLS hand-shake within {}", humantime::format_duration(*.0))]
    Silent(Duration),
    /// The peer speaks plain DICOM, or something else that is no TLS.
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

impl NoTls {
    /// In one word, for a counter; nothing of what is no refusal.
    #[must_use]
    pub fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Silent(_) => Some("silent"),
            Self::PlainText(_) | Self::Lost(_) => None,
            Self::Certificate(_) => Some("bad_certificate"),
            Self::HandShake(_) => Some("tls_hand_shake"),
        }
    }
}

impl Tls {
    /// Reads the certificates again; when they are no good, it goes on with those it has.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn reload(&self) -> anyhow::Result<()> {
        let config = self.files.read()?;
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Whether a sender needs a certificate.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// The hand-shake, within this time. Gives the certificate of the peer if it was asked for one.
    ///
    /// # Errors
    /// When there is to be no connection; the peer has been told why, if it still listens.
    pub async fn accept(
        &self,
        socket: TcpStream,
        limit: Duration,
    ) -> Result<(Encrypted, Option<Certificate>), NoTls> {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let accepted = async {
            let mut first = [0];
            let came = socket.peek(&mut first).await.map_err(NoTls::Lost)?;
            if came > 0 && first[0] != HAND_SHAKE {
                return Err(NoTls::PlainText(socket));
            }
            let socket = BufReader::with_capacity(BUFFER_LENGTH, Prompt(socket));
            TlsAcceptor::from(config).accept(socket).await.map_err(failure)
        };
        let accepted = timeout(limit, accepted).await;
        let encrypted = accepted.map_err(|_: Elapsed| NoTls::Silent(limit))??;
        let certificates = encrypted.get_ref().1.peer_certificates();
        let certificate = certificates.and_then(|chain| chain.first()).map(Certificate::of);
        Ok((encrypted, certificate))
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

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl Files {
    fn read(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let chain =
            certificates(&self.certificate).with_context(|| named("CERT", &self.certificate))?;
        let key =
            PrivateKeyDer::from_pem_file(&self.key).with_context(|| named("KEY", &self.key))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier =
                    verifier(path, provider).with_context(|| named("CLIENT_CA", path))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .with_context(|| format!("{} with DICOM_TLS_KEY", named("CERT", &self.certificate)))?;
        // A session that is taken up again brings a certificate that nobody looks at any more.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

fn named(setting: &str, path: &Path) -> String {
    format!("DICOM_TLS_{setting} {}", path.display())
}

/// All certificates of a file, one at least.
fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
    ensure!(!all.is_empty(), "holds no certificate in PEM");
    Ok(all)
}

fn verifier(
    path: &Path,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?)
}

/// Reads the certificates again whenever this signal comes, until told to stop.
pub async fn reload_on(mut signal: Signal, tls: Arc<Tls>, stop: &CancellationToken) {
    loop {
        tokio::select! {
            told = signal.recv() => if told.is_none() { return },
            () = stop.cancelled() => return,
        }
        let tls = tls.clone();
        let read = spawn_blocking(move || tls.reload()).await;
        match read.map_err(anyhow::Error::from).and_then(|read| read) {
            Ok(()) => tracing::info!("the TLS certificates were read again"),
            Err(error) => tracing::error!("the TLS certificates stay as they were: {error:#}"),
        }
    }
}
