//! What the API and the receiver agree on for STOW-RS: the API checks who sends and passes the request on, and the
//! receiver takes it only with a secret that both know, and believes then who the API says it is from.

use anyhow::{Context as _, ensure};
use blake3::Hash;
use clap::Args;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where instances are stored. Below it, the UID of a study may follow.
pub const STUDIES: &str = "/dicom-web/studies";

/// The header in which the API says from which address a request came.
pub const CLIENT_ADDRESS: &str = "collimator-client-address";

/// The header in which the API says the name of the token that a request had, if it had one.
pub const CLIENT_NAME: &str = "collimator-client-name";

/// The header in which the API says whether the connection of its client was encrypted: `true` or `false`.
pub const CLIENT_TLS: &str = "collimator-client-tls";

/// The header in which the API says at which DICOMweb service its client retrieves what is kept, where anything can be
/// retrieved.
pub const RETRIEVE_FROM: &str = "collimator-retrieve-from";

/// Shortest secret that is taken, in characters: nobody tries that many.
const SHORTEST: usize = 32;

/// The setting with the secret.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "STOW-RS")]
pub struct StowTokenFile {
    /// File whose first line is the shared secret of API and receiver for STOW-RS, at least 32 characters
    /// [default: none]
    #[arg(long, env = "STOW_TOKEN_FILE")]
    pub stow_token_file: Option<PathBuf>,
}

impl StowTokenFile {
    /// Reads the secret, if there is one.
    ///
    /// # Errors
    /// When the file can't be read, or what is in it is too short.
    pub fn read(&self) -> anyhow::Result<Option<StowToken>> {
        self.stow_token_file.as_deref().map(StowToken::read).transpose()
    }
}

/// The secret. It is never shown.
#[derive(Clone)]
pub struct StowToken(String);

impl StowToken {
    /// One that nobody has.
    #[must_use]
    pub fn random() -> Self {
        let random = || uuid::Uuid::new_v4().simple().to_string();
        Self(random() + &random())
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        let of_file = || format!("STOW_TOKEN_FILE {}", path.display());
        let text = std::fs::read_to_string(path).with_context(of_file)?;
        let secret = text.lines().next().unwrap_or_default().trim();
        let is_good =
            secret.len() >= SHORTEST && secret.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(
            is_good,
            "{}: its first line has to be {SHORTEST} or more printable ASCII characters without \
             spaces, such as `openssl rand -hex 32` makes",
            of_file()
        );
        Ok(Self(secret.to_owned()))
    }

    /// The value of the `Authorization` header of a request that has it.
    #[must_use]
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether this is the value of the `Authorization` header of a request that has it. Takes as long whatever is
    /// wrong with it: hashes are compared in constant time.
    #[must_use]
    pub fn is_in(&self, authorization: &[u8]) -> bool {
        let hash = |bytes: &[u8]| -> Hash { blake3::hash(bytes) };
        hash(authorization) == hash(self.authorization().as_bytes())
    }
}

impl fmt::Debug for StowToken {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("StowToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_its_first_line_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let setting = StowTokenFile { stow_token_file: Some(path.clone()) };
        let complaint = |text: Option<&str>| {
            match text {
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => drop(std::fs::remove_file(&path)),
            }
            let said = format!("{:#}", setting.read().unwrap_err());
            assert!(said.contains("STOW_TOKEN_FILE") && !said.contains("sesame"), "{said}");
        };
        complaint(None);
        complaint(Some(""));
        complaint(Some("sesame"));
        complaint(Some(&"sesame ".repeat(10)));
        let secret = "0123456789abcdef".repeat(2);
        std::fs::write(&path, format!("{secret}\nsomething else\n")).unwrap();
        let token = setting.read().unwrap().unwrap();
        assert!(token.is_in(format!("Bearer {secret}").as_bytes()));
        for wrong in ["", "Bearer ", &secret, &format!("Bearer {secret}0")] {
            assert!(!token.is_in(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "StowToken");
        assert!(StowTokenFile::default().read().unwrap().is_none());
    }

    #[test]
    fn no_two_random_secrets_are_the_same() {
        let (one, other) = (StowToken::random(), StowToken::random());
        assert!(one.is_in(one.authorization().as_bytes()));
        assert!(!one.is_in(other.authorization().as_bytes()));
    }
}
