//! Who a caller is by its certificate, in the words of an operator.

use ring::digest::{SHA256, digest};
use shared::senders::CertificateId;
use std::fmt;
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_cert::der::Decode as _;

/// A certificate that was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Its subject, as RFC 4514 writes it; nothing where it can't be read.
    subject: String,
    fingerprint: [u8; 32],
}

impl Certificate {
    /// Of these bytes.
    #[must_use]
    pub(crate) fn of(der: &CertificateDer<'_>) -> Self {
        let parsed = x509_cert::Certificate::from_der(der);
        let subject = parsed.map(|certificate| certificate.tbs_certificate().subject().to_string());
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, der).as_ref());
        Self { subject: subject.unwrap_or_default(), fingerprint }
    }

    /// What it is known by.
    #[must_use]
    pub(crate) fn id(&self) -> CertificateId<'_> {
        CertificateId { subject: &self.subject, fingerprint: &self.fingerprint }
    }
}

/// As `SOURCES_FILE` takes it.
impl fmt::Display for Certificate {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id().fmt(to)
    }
}
