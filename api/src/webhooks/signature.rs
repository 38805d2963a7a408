//! The signature of a delivery, by which its receiver detects forged and replayed ones.

use anyhow::ensure;
use jiff::Timestamp;
use ring::hmac;
use std::fmt::Write as _;

/// When it was signed: Unix seconds.
pub(super) const TIMESTAMP_HEADER: &str = "X-Collimator-Timestamp";
/// `sha256=` and the HMAC-SHA256, in hexadecimal digits, of the timestamp, a full stop, and the body.
pub(super) const SIGNATURE_HEADER: &str = "X-Collimator-Signature";

/// Least length of a secret, in bytes: a shorter one can be found out by trying.
const MIN_SECRET: usize = 16;

/// What a webhook and its receiver share. Its `Debug` tells nothing of it.
#[derive(Debug, Clone)]
pub(super) struct Secret(hmac::Key);

impl Secret {
    /// The secret that is this text.
    ///
    /// # Errors
    /// When it is too short to be one.
    pub(super) fn new(text: &str) -> anyhow::Result<Self> {
        ensure!(text.len() >= MIN_SECRET, "the secret must have at least {MIN_SECRET} characters");
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes())))
    }

    /// The values of [`TIMESTAMP_HEADER`] and [`SIGNATURE_HEADER`] for a body.
    #[must_use]
    pub(super) fn sign(&self, body: &[u8], at: Timestamp) -> (String, String) {
        let seconds = at.as_second().to_string();
        let mut signing = hmac::Context::with_key(&self.0);
        signing.update(seconds.as_bytes());
        signing.update(b".");
        signing.update(body);
        let mut signature = "sha256=".to_owned();
        for byte in signing.sign().as_ref() {
            // Writing to a String can't fail.
            let _ = write!(signature, "{byte:02x}");
        }
        (seconds, signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_pythons_hmac_says() {
        let secret = Secret::new("sixteen characters").unwrap();
        let at = Timestamp::from_second(1_770_000_000).unwrap();
        let (seconds, signature) = secret.sign(br#"{"a":1}"#, at);
        assert_eq!(seconds, "1770000000");
        let python = "sha256=d727af274e9a763417268130f0d2aa918a301b3b1869624d2affaa84d0ac2923";
        assert_eq!(signature, python);
    }
}
