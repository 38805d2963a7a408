//! An issuer of tokens for tests, with real keys: its signatures, and its server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair, RsaPublicKeyComponents,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The `iss` of tokens.
pub(crate) const ISSUER: &str = "https://login.example.org/realms/hospital";

/// Claims of a token that may read.
pub(crate) fn claims() -> Value {
    let now = Timestamp::now().as_second();
    json!({
        "iss": ISSUER, "aud": ["account", "collimator"], "sub": "f3b1", "iat": now, "nbf": now,
        "exp": now + 300, "scope": "openid collimator.read",
    })
}

/// RFC 4648 section 5, without padding.
pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A private key and how it signs.
pub(crate) struct Signer {
    id: String,
    pub(crate) algorithm: &'static str,
    key: Key,
}

enum Key {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(Arc<RsaKeyPair>),
}

impl Signer {
    pub(crate) fn es256(id: &str) -> Self {
        let (random, by) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(by, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(by, key.as_ref(), &random).unwrap();
        Self { id: id.to_owned(), algorithm: "ES256", key: Key::Ec(key) }
    }

    pub(crate) fn es384(id: &str) -> Self {
        let (random, by) = (SystemRandom::new(), &ECDSA_P384_SHA384_FIXED_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(by, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(by, key.as_ref(), &random).unwrap();
        Self { id: id.to_owned(), algorithm: "ES384", key: Key::Ec(key) }
    }

    pub(crate) fn eddsa(id: &str) -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap();
        Self { id: id.to_owned(), algorithm: "EdDSA", key: Key::Ed(key) }
    }

    /// One for each way of signing by a new RSA key, which ring can't make; none where there is no openssl,
    /// which is said.
    pub(crate) fn rsa(id: &str) -> Vec<Self> {
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
    pub(crate) fn jwk(&self) -> Value {
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
    pub(crate) fn public(&self) -> &[u8] {
        match &self.key {
            Key::Ec(key) => key.public_key().as_ref(),
            Key::Ed(key) => key.public_key().as_ref(),
            Key::Rsa(key) => key.public_key().as_ref(),
        }
    }

    /// A token.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm, "kid": self.id, "typ": "JWT" });
        self.token_with(&header, claims)
    }

    /// A token with a header that may lie.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
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

/// The public halves of keys.
pub(crate) fn key_set(signers: &[&Signer]) -> Value {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() })
}

/// What an issuer serves over HTTP.
#[derive(Clone, Default)]
pub(crate) struct Server {
    pub(crate) url: String,
    answers: Arc<Mutex<HashMap<String, String>>>,
    /// It takes requests and says nothing.
    hangs: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    /// Listens on a free port. It has nothing yet.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { url, ..Self::default() };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let server = serving.clone();
                tokio::spawn(async move { server.answer(socket).await });
            }
        });
        server
    }

    /// Serves this at a path from now on.
    pub(crate) fn serves(&self, path: &str, what: impl ToString) {
        self.answers.lock().unwrap().insert(path.to_owned(), what.to_string());
    }

    /// Answers nothing from now on, or does again.
    pub(crate) fn hangs(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// How many requests have come.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn answer(&self, socket: TcpStream) -> Option<()> {
        let mut socket = BufReader::new(socket);
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != "\r\n") {
            let mut line = String::new();
            socket.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            lines.push(line);
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let path = lines[0].split(' ').nth(1)?;
        let found = self.answers.lock().unwrap().get(path).cloned();
        let (status, body) = found.map_or((404, String::new()), |body| (200, body));
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} \r\ncontent-length: {length}\r\nconnection: close\r\n");
        socket.write_all(format!("{head}\r\n{body}").as_bytes()).await.ok()?;
        socket.shutdown().await.ok()
    }
}
