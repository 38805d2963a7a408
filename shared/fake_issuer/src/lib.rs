//! An issuer of tokens for tests (OpenID Connect): its keys, and the server that publishes them. No program
//! links it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;
mod signer;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
pub use server::Server;
pub use signer::Signer;

/// The `iss` of tokens.
pub const ISSUER: &str = "https://login.example.org/realms/hospital";

/// Claims of a token that may read.
#[must_use]
pub fn claims() -> Value {
    let now = Timestamp::now().as_second();
    json!({
        "iss": ISSUER, "aud": ["account", "collimator"], "sub": "f3b1", "iat": now, "nbf": now,
        "exp": now + 300, "scope": "openid collimator.read",
    })
}

/// RFC 4648 section 5, without padding.
#[must_use]
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public halves of keys.
#[must_use]
pub fn key_set(signers: &[&Signer]) -> Value {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() })
}
