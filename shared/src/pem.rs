//! Certificates in files of PEM (RFC 7468), and how a file that is no good is named.

use anyhow::ensure;
use async_nats::rustls::RootCertStore;
use async_nats::rustls::pki_types::CertificateDer;
use async_nats::rustls::pki_types::pem::PemObject as _;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// A file, with the name of its setting for whoever has to set it right.
#[derive(Debug, Clone)]
pub struct Named {
    setting: &'static str,
    path: PathBuf,
}

impl Named {
    /// The file that a setting names.
    #[must_use]
    pub fn new(setting: &'static str, path: &Path) -> Self {
        Self { setting, path: path.to_owned() }
    }

    /// The name of the setting.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Display for Named {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.setting, self.path.display())
    }
}

/// All certificates of a file in PEM, one at least.
///
/// # Errors
/// When it can't be read, or holds none.
pub fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
    ensure!(!all.is_empty(), "holds no certificate in PEM");
    Ok(all)
}

/// The CAs whose certificates a file in PEM holds.
///
/// # Errors
/// When it can't be read, or holds no certificate, or one of no CA.
pub fn authorities(path: &Path) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}
