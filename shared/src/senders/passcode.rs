//! Passcodes of users, of which only a hash is ever written down.

use anyhow::{Context as _, ensure};
use argon2::password_hash::phc::{Ident, PasswordHash};
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Argon2, Params};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::fmt;

/// Shortest passcode that is hashed, in bytes: guesses are few, but may go on for years.
const SHORTEST: usize = 8;

/// Longest there can be, in bytes (PS3.7 section D.3.3.7.1).
const LONGEST: usize = 65_535;

/// Memory that a check may take, in KiB: three times what our own hashes ask for.
const MOST_MEMORY: u32 = 64 * 1024;

/// Passes over it.
const MOST_PASSES: u32 = 10;

/// The hash of a passcode, by Argon2id.
#[derive(Clone, PartialEq, Eq)]
pub struct PasscodeHash(String);

impl PasscodeHash {
    /// Hashes a passcode with a salt of its own.
    ///
    /// # Errors
    /// When it is too short or too long, or there is no randomness to be had.
    pub fn of(passcode: &[u8]) -> anyhow::Result<Self> {
        let length = passcode.len();
        ensure!(length >= SHORTEST, "a passcode has to have {SHORTEST} bytes or more");
        ensure!(length <= LONGEST, "a passcode can have {LONGEST} bytes at most");
        let hash = Argon2::default().hash_password(passcode).context("the passcode's hash")?;
        Ok(Self(hash.to_string()))
    }

    /// Whether it is of this passcode. Takes some 20 MB and tens of milliseconds of one core.
    #[must_use]
    pub fn is_of(&self, passcode: &[u8]) -> bool {
        PasswordHash::new(&self.0)
            .is_ok_and(|hash| Argon2::default().verify_password(passcode, &hash).is_ok())
    }

    /// As it is written down.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not for logs: a hash can be tried at leisure.
impl fmt::Debug for PasscodeHash {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("PasscodeHash")
    }
}

impl<'de> Deserialize<'de> for PasscodeHash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // What is no hash may be a passcode, and is not repeated.
        let no_hash =
            || D::Error::custom("is no hash of Argon2id; `collimator hash-passcode` makes one");
        let hash = PasswordHash::new(&text).map_err(|_| no_hash())?;
        let params = Params::try_from(&hash).map_err(|_| no_hash())?;
        if hash.algorithm != Ident::new_unwrap("argon2id") || hash.hash.is_none() {
            return Err(no_hash());
        }
        if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_PASSES {
            let most = format!("m={MOST_MEMORY},t={MOST_PASSES}");
            return Err(D::Error::custom(format!("takes too long to check; the most is {most}")));
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        passcode: PasscodeHash,
    }

    fn read(hash: &str) -> Result<PasscodeHash, String> {
        let text = format!("passcode = '{hash}'");
        toml::from_str(&text)
            .map(|file: File| file.passcode)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_hash_is_read_back_and_is_of_its_passcode_alone() {
        let hash = PasscodeHash::of(b"correct horse").unwrap();
        let read = read(hash.as_str()).unwrap();
        assert_eq!(read, hash);
        assert!(read.is_of(b"correct horse"));
        assert!(!read.is_of(b"correct horse ") && !read.is_of(b""));
        assert_ne!(hash, PasscodeHash::of(b"correct horse").unwrap(), "each has its own salt");
    }

    #[test]
    fn neither_a_passcode_nor_its_hash_is_shown() {
        let hash = PasscodeHash::of(b"correct horse").unwrap();
        assert_eq!(format!("{hash:?}"), "PasscodeHash");
        for bad in
            ["correct horse", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ", "$2b$12$abcdefgh"]
        {
            let error = read(bad).unwrap_err();
            assert!(error.contains("is no hash of Argon2id") && !error.contains(bad), "{error}");
        }
    }

    #[test]
    fn a_hash_that_takes_too_long_is_refused() {
        let hash = PasscodeHash::of(b"correct horse").unwrap();
        let slow = hash.as_str().replace("m=19456", "m=1048576");
        assert!(read(&slow).unwrap_err().contains("takes too long"));
    }

    #[test]
    fn a_passcode_that_is_easily_guessed_is_not_hashed() {
        assert!(PasscodeHash::of(b"1234567").is_err());
    }
}
