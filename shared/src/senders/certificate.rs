//! What a certificate is known by in the senders file.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::fmt;

/// What an entry says of the certificate of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// Its whole subject, as RFC 4514 writes it.
    Subject(String),
    /// The SHA-256 of all of it.
    Fingerprint([u8; 32]),
}

/// What a certificate is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateId<'a> {
    /// Its whole subject, as RFC 4514 writes it.
    pub subject: &'a str,
    /// The SHA-256 of all of it.
    pub fingerprint: &'a [u8; 32],
}

impl CertificateName {
    /// Whether it is this certificate's.
    #[must_use]
    pub fn fits(&self, certificate: CertificateId<'_>) -> bool {
        match self {
            Self::Subject(subject) => subject == certificate.subject,
            Self::Fingerprint(fingerprint) => fingerprint == certificate.fingerprint,
        }
    }
}

impl<'de> Deserialize<'de> for CertificateName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let text = text.trim();
        if text.contains('=') {
            return Ok(Self::Subject(text.to_owned()));
        }
        let fingerprint = text.get(..7).filter(|start| start.eq_ignore_ascii_case("sha256:"));
        let fingerprint = fingerprint.and_then(|start| fingerprint_of(&text[start.len()..]));
        fingerprint.map(Self::Fingerprint).ok_or_else(|| {
            let help = "write its subject like CN=MR1,O=Hospital, or sha256: and its fingerprint";
            D::Error::custom(format!("`{text}` is no certificate; {help}"))
        })
    }
}

/// Of 64 hexadecimal digits, in pairs with colons between them or not.
fn fingerprint_of(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<_> = text.chars().filter(|c| *c != ':').map(|c| c.to_digit(16)).collect();
    let digits = digits.into_iter().collect::<Option<Vec<_>>>()?;
    let bytes: Vec<_> = digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
    if digits.len() % 2 == 0 { bytes.try_into().ok() } else { None }
}

fn write_fingerprint(fingerprint: &[u8; 32], to: &mut fmt::Formatter<'_>) -> fmt::Result {
    to.write_str("sha256")?;
    fingerprint.iter().try_for_each(|byte| write!(to, ":{byte:02X}"))
}

impl fmt::Display for CertificateName {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => to.write_str(subject),
            Self::Fingerprint(fingerprint) => write_fingerprint(fingerprint, to),
        }
    }
}

/// Both, of which an operator may choose.
impl fmt::Display for CertificateId<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} ", self.subject)?;
        write_fingerprint(self.fingerprint, to)
    }
}
