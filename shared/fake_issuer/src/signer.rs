//! Real keys, and what they sign.

use crate::base64url;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair, RsaPublicKeyComponents,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;

/// A private key and how it signs.
#[derive(Debug)]
pub struct Signer {
    id: String,
    /// Its `alg` (RFC 7518 section 3.1).
    pub algorithm: &'static str,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(Arc<RsaKeyPair>),
}

impl Signer {
    /// A new key for ECDSA on P-256.
    #[must_use]
    pub fn es256(id: &str) -> Self {
        let (random, by) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(by, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(by, key.as_ref(), &random).unwrap();
        Self { id: id.to_owned(), algorithm: "ES256", key: Key::Ec(key) }
    }

    /// A new key for ECDSA on P-384.
    #[must_use]
    pub fn es384(id: &str) -> Self {
        let (random, by) = (SystemRandom::new(), &ECDSA_P384_SHA384_FIXED_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(by, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(by, key.as_ref(), &random).unwrap();
        Self { id: id.to_owned(), algorithm: "ES384", key: Key::Ec(key) }
    }

    /// A new key for EdDSA on Curve25519.
    #[must_use]
    pub fn eddsa(id: &str) -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap();
        Self { id: id.to_owned(), algorithm: "EdDSA", key: Key::Ed(key) }
    }

    /// One for each way of signing by a new RSA key, which ring can't make; none where there is no openssl,
    /// which is said.
    #[must_use]
    pub fn rsa(id: &str) -> Vec<Self> {
        let make = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
        let Ok(made) = Command::new("openssl").args(make).output() else {
            assert!(std::env::var_os("COLLIMATOR_CI").is_none(), "nothing is skipped in CI");
            eprintln!("skipped: openssl is not installed");
            return Vec::new();
        };
        let key = PrivatePkcs8KeyDer::from_pem_slice(&made.stdout).unwrap();
        let key = Arc::new(RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap());
        let one = |algorithm| Self { id: id.to_owned(), algorithm, key: Key::Rsa(key.clone()) };
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].map(one).into()
    }

    /// Its public half (RFC 7517).
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Key::Ec(key) => {
                let (x, y) =
                    key.public_key().as_ref()[1..].split_at(key.public_key().as_ref().len() / 2);
                let curve = if self.algorithm == "ES256" { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
            }
            Key::Ed(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_key()) })
            }
            Key::Rsa(key) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = key.public().into();
                json!({ "kty": "RSA", "n": base64url(n), "e": base64url(e) })
            }
        };
        jwk["kid"] = self.id.clone().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The bytes of its public half, as somebody might take them for a secret.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        match &self.key {
            Key::Ec(key) => key.public_key().as_ref(),
            Key::Ed(key) => key.public_key().as_ref(),
            Key::Rsa(key) => key.public_key().as_ref(),
        }
    }

    /// A token.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm, "kid": self.id, "typ": "JWT" });
        self.token_with(&header, claims)
    }

    /// A token with a header that may lie.
    #[must_use]
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::Ec(key) => key.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            Key::Ed(key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
            Key::Rsa(key) => {
                let by: &dyn ring::signature::RsaEncoding = match self.algorithm {
                    "RS256" => &RSA_PKCS1_SHA256,
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    _ => &RSA_PSS_SHA512,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(by, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{signed}.{}", base64url(signature))
    }
}
