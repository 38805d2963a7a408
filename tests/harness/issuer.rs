//! An OpenID Connect issuer: it signs tokens, publishes its keys, changes them, and hangs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Whom its tokens are for.
pub const AUDIENCE: &str = "collimator";

/// An issuer with a key, which listens.
pub struct Issuer {
    /// Its name, which is where it listens.
    pub url: String,
    key: KeyPair,
    id: u32,
    /// What it publishes; `None`: it hangs.
    published: Arc<Mutex<Option<Value>>>,
}

impl Issuer {
    /// One that has published nothing yet, and hangs.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let published = Arc::new(Mutex::new(None));
        let (issuer, shared) = (url.clone(), published.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, issuer.clone(), shared.clone()));
            }
        });
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        Self { url, key, id: 1, published }
    }

    /// Publishes its key, and that one alone.
    pub fn publishes(&self) {
        *self.published.lock().unwrap() = Some(self.keys());
    }

    /// Its public key, as a key set.
    pub fn keys(&self) -> Value {
        let x = base64url(self.key.der_bytes());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": self.id.to_string(), "x": x }] })
    }

    /// Signs by a new key from now on. It is not published yet.
    pub fn changes_its_key(&mut self) {
        self.key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        self.id += 1;
    }

    /// A token with these scopes.
    pub fn token(&self, subject: &str, scope: &str) -> String {
        let header = json!({ "alg": "EdDSA", "kid": self.id.to_string() });
        let claims = json!({
            "iss": self.url, "aud": AUDIENCE, "sub": subject, "scope": scope,
            "exp": Timestamp::now().as_second() + 600,
        });
        let signed = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
        let signature = self.key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64url(signature))
    }
}

/// RFC 4648 section 5, without padding.
fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

async fn answer(socket: TcpStream, url: String, keys: Arc<Mutex<Option<Value>>>) -> Option<()> {
    let mut socket = BufReader::new(socket);
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != "\r\n") {
        let mut line = String::new();
        socket.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        lines.push(line);
    }
    let keys = keys.lock().unwrap().clone();
    let Some(keys) = keys else { return std::future::pending().await };
    let body = match lines[0].starts_with("GET /.well-known/openid-configuration ") {
        true => json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }),
        false => keys,
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 200 \r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    socket.write_all(format!("{head}\r\n{body}").as_bytes()).await.ok()?;
    socket.shutdown().await.ok()
}
