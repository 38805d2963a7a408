//! TLS on the port that has it (PS3.15 section B.12): its settings, and a connection over it with the
//! certificate of the sender.

use crate::negotiation::certificate::Certificate;
use anyhow::{Context as _, anyhow};
use clap::Args;
use dimse::net::{Encrypted, buffered};
use shared::pem::Named;
use shared::tls::{NoTls, Papers, Tls};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpStream;

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
        let file = |name, path: &Option<PathBuf>| path.as_deref().map(|it| Named::new(name, it));
        let certificate = file("DICOM_TLS_CERT", &self.dicom_tls_cert);
        let key = file("DICOM_TLS_KEY", &self.dicom_tls_key);
        let client_ca = file("DICOM_TLS_CLIENT_CA", &self.dicom_tls_client_ca);
        if self.dicom_tls_addr.is_none() {
            let useless = [certificate, key, client_ca].into_iter().flatten().next();
            return match useless {
                Some(file) => Err(anyhow!("{file} is of no use without DICOM_TLS_ADDR")),
                None => Ok(None),
            };
        }
        let missing = |name: &str| format!("DICOM_TLS_ADDR needs {name} as well");
        let papers = Papers {
            certificate: certificate.with_context(|| missing("DICOM_TLS_CERT"))?,
            key: key.with_context(|| missing("DICOM_TLS_KEY"))?,
            client_ca,
            protocols: &[],
        };
        Tls::read(papers).map(Some)
    }
}

/// The hand-shake, within this time. Gives the certificate of the peer if it was asked for one.
///
/// # Errors
/// When there is to be no connection; the peer has been told why, if it still listens.
pub async fn accept(
    tls: &Tls,
    socket: TcpStream,
    limit: Duration,
) -> Result<(Encrypted, Option<Certificate>), NoTls> {
    let encrypted = tls.accept(socket, limit, buffered).await?;
    let certificates = encrypted.get_ref().1.peer_certificates();
    let certificate = certificates.and_then(|chain| chain.first()).map(Certificate::of);
    Ok((encrypted, certificate))
}

/// Why there is no connection, in one word, for a counter; nothing of what is no refusal.
#[must_use]
pub fn cause(error: &NoTls) -> Option<&'static str> {
    match error {
        NoTls::Silent(_) => Some("silent"),
        NoTls::PlainText(_) | NoTls::Lost(_) => None,
        NoTls::Certificate(_) => Some("bad_certificate"),
        NoTls::HandShake(_) => Some("tls_hand_shake"),
    }
}
