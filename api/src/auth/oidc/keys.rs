//! The public keys of an issuer (RFC 7517): those that are good for verifying a signature, each with the
//! algorithms that it may be used by. Which these are is the key's to say, never the token's.

use anyhow::{Context as _, ensure};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// Longest set of keys, in bytes: those of large issuers have 20 KB.
pub(super) const MAX_LENGTH: usize = 256 * 1024;

/// The most keys of a set: an issuer has a few, and each is compared with the `kid` of a token.
const MOST: usize = 100;

/// The keys of an issuer. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Keys(Arc<[Key]>);

#[derive(Debug)]
struct Key {
    /// Its `kid`.
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Keys {
    /// Reads a file of them.
    ///
    /// # Errors
    /// When it can't be read or understood.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let read = || {
            let mut text = Vec::new();
            File::open(path)?.take(MAX_LENGTH as u64 + 1).read_to_end(&mut text)?;
            Self::parse(&text)
        };
        read().with_context(|| path.display().to_string())
    }

    /// Reads a JSON Web Key Set. Keys that are not understood, or for something else, are passed over, as
    /// RFC 7517 section 5 wants it.
    ///
    /// # Errors
    /// When it is none, is too large, or has no key that is of use.
    pub(super) fn parse(text: &[u8]) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        ensure!(text.len() <= MAX_LENGTH, "has more than {MAX_LENGTH} bytes");
        // What a parser says may repeat what it read, which may be another file's secret.
        let set: Option<Set> = serde_json::from_slice(text).ok();
        let Set { keys } = set.context("is no JSON Web Key Set, an object with `keys`")?;
        ensure!(keys.len() <= MOST, "has more than {MOST} keys");
        let keys = keys.into_iter().filter_map(|key| Key::of(&serde_json::from_value(key).ok()?));
        let keys: Arc<_> = keys.collect();
        ensure!(!keys.is_empty(), "has no public key for signatures that is known here");
        Ok(Self(keys))
    }

    /// Whether there is a key of this `kid`.
    pub(super) fn have(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// The key for a token with this header: the one of its `kid`; without one, the only one that fits.
    pub(super) fn find(&self, header: &Header) -> Option<&DecodingKey> {
        let fits = |key: &&Key| {
            key.algorithms.contains(&header.alg) && (header.kid.is_none() || key.id == header.kid)
        };
        let mut fitting = self.0.iter().filter(fits);
        let first = fitting.next()?;
        fitting.next().is_none().then_some(&first.key)
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        let is_for_signatures =
            common.public_key_use.as_ref().is_none_or(|is| *is == PublicKeyUse::Signature)
                && common
                    .key_operations
                    .as_ref()
                    .is_none_or(|all| all.contains(&KeyOperations::Verify));
        let fits = |algorithm: &Algorithm| {
            common.key_algorithm.is_none_or(|only| only == (*algorithm).into())
        };
        let algorithms: Vec<_> = algorithms(jwk).iter().copied().filter(fits).collect();
        if !is_for_signatures || algorithms.is_empty() {
            return None;
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        Some(Self { id: common.key_id.clone(), algorithms, key })
    }
}

/// What a key of this kind may be used by (RFC 7518 section 3.1, RFC 8037), none of which has a secret.
fn algorithms(jwk: &Jwk) -> &'static [Algorithm] {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[ES256],
            EllipticCurve::P384 => &[ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[EdDSA],
        _ => &[],
    }
}
