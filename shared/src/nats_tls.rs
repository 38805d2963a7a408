//! How a service knows that it speaks to its own broker, and nobody listens: TLS
//! ([`nats-tls.conf`](../../nats-tls.conf)).

use crate::pem::{Named, authorities, certificates};
use anyhow::Context as _;
use async_nats::ConnectOptions;
use async_nats::rustls::crypto::ring;
use async_nats::rustls::pki_types::PrivateKeyDer;
use async_nats::rustls::pki_types::pem::PemObject as _;
use async_nats::rustls::sign::CertifiedKey;
use clap::Args;
use std::path::{Path, PathBuf};

/// What is trusted, and what is shown to whom asks for certificates. Any of it means that nothing is said
/// in plain text, whatever NATS_URL begins with.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
#[command(next_help_heading = "NATS")]
pub struct NatsTls {
    /// CA certificates for the NATS server, PEM [default: the CAs of the system]
    #[arg(long, env = "NATS_TLS_CA")]
    pub nats_tls_ca: Option<PathBuf>,

    /// Client certificate with its chain, PEM, for a NATS server that requires one
    #[arg(long, env = "NATS_TLS_CERT", requires = "nats_tls_key")]
    pub nats_tls_cert: Option<PathBuf>,

    /// Private key of NATS_TLS_CERT, PEM, without a passphrase
    #[arg(long, env = "NATS_TLS_KEY", requires = "nats_tls_cert")]
    pub nats_tls_key: Option<PathBuf>,
}

impl NatsTls {
    /// Whether anything is said of it.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.nats_tls_ca.is_some() || self.nats_tls_cert.is_some()
    }

    /// Has `options` use it. The files are read here to say what is wrong with them, and by the client
    /// again at each connection, so that new certificates are taken up by then.
    ///
    /// # Errors
    /// When a file can't be read or holds something else, with the name of its setting.
    pub(crate) fn secure(&self, mut options: ConnectOptions) -> anyhow::Result<ConnectOptions> {
        if let Some(file) = &self.nats_tls_ca {
            authorities(file).with_context(|| Named::new("NATS_TLS_CA", file).to_string())?;
            options = options.add_root_certificates(file.clone());
        }
        if let (Some(certificate), Some(key)) = (&self.nats_tls_cert, &self.nats_tls_key) {
            pair(certificate, key)?;
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(if self.is_set() { options.require_tls(true) } else { options })
    }
}

fn pair(certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let (certificate, key) =
        (Named::new("NATS_TLS_CERT", certificate), Named::new("NATS_TLS_KEY", key));
    let chain = certificates(certificate.path()).with_context(|| certificate.to_string())?;
    let secret = PrivateKeyDer::from_pem_file(key.path()).with_context(|| key.to_string())?;
    CertifiedKey::from_der(chain, secret, &ring::default_provider())
        .with_context(|| format!("{certificate} with {}", key.setting()))?;
    Ok(())
}
