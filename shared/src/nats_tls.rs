//! How a service knows that it speaks to its own broker, and nobody listens: TLS
//! ([`nats-tls.conf`](../../nats-tls.conf)).

use anyhow::{Context as _, ensure};
use async_nats::ConnectOptions;
use async_nats::rustls::RootCertStore;
use async_nats::rustls::crypto::ring;
use async_nats::rustls::pki_types::pem::PemObject as _;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::sign::CertifiedKey;
use clap::Args;
use std::path::{Path, PathBuf};

/// What is trusted, and what is shown to whom asks for certificates. Any of it means that nothing is said
/// in plain text, whatever NATS_URL begins with.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
pub struct NatsTls {
    /// Certificates of the CAs of the NATS server, PEM [default: those that the system trusts]
    #[arg(long, env = "NATS_TLS_CA")]
    pub nats_tls_ca: Option<PathBuf>,

    /// Our certificate for a NATS server that asks for one, and those between it and its CA, PEM
    #[arg(long, env = "NATS_TLS_CERT", requires = "nats_tls_key")]
    pub nats_tls_cert: Option<PathBuf>,

    /// The private key of that certificate, PEM, without a passphrase
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
            trusted(file).with_context(|| named("NATS_TLS_CA", file))?;
            options = options.add_root_certificates(file.clone());
        }
        if let (Some(certificate), Some(key)) = (&self.nats_tls_cert, &self.nats_tls_key) {
            pair(certificate, key)?;
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(if self.is_set() { options.require_tls(true) } else { options })
    }
}

fn named(setting: &str, file: &Path) -> String {
    format!("{setting} {}", file.display())
}

/// All certificates of a file, one at least.
fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>()?;
    ensure!(!all.is_empty(), "holds no certificate in PEM");
    Ok(all)
}

fn trusted(file: &Path) -> anyhow::Result<()> {
    let mut roots = RootCertStore::empty();
    certificates(file)?.into_iter().try_for_each(|certificate| Ok(roots.add(certificate)?))
}

fn pair(certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let chain = certificates(certificate).with_context(|| named("NATS_TLS_CERT", certificate))?;
    let secret = PrivateKeyDer::from_pem_file(key).with_context(|| named("NATS_TLS_KEY", key))?;
    CertifiedKey::from_der(chain, secret, &ring::default_provider())
        .with_context(|| format!("{} with NATS_TLS_KEY", named("NATS_TLS_CERT", certificate)))?;
    Ok(())
}
