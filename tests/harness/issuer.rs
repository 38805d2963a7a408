//! An OpenID Connect issuer: it signs tokens, publishes its keys, changes them, and hangs.

use fake_issuer::{Server, Signer, key_set};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Whom its tokens are for.
pub const AUDIENCE: &str = "collimator";

/// An issuer with a key, which listens.
pub struct Issuer {
    /// Its name, which is where it listens.
    pub url: String,
    server: Server,
    signer: Signer,
    id: u32,
}

impl Issuer {
    /// One that has published nothing yet, and hangs.
    pub async fn start() -> Self {
        let server = Server::start().await;
        server.hangs(true);
        let url = server.url.clone();
        let configuration = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
        server.serves("/.well-known/openid-configuration", configuration);
        Self { url, server, signer: Signer::eddsa("1"), id: 1 }
    }

    /// Publishes its key, and that one alone.
    pub fn publishes(&self) {
        self.server.serves("/keys", self.keys());
        self.server.hangs(false);
    }

    /// Its public key, as a key set.
    pub fn keys(&self) -> Value {
        key_set(&[&self.signer])
    }

    /// Signs by a new key from now on. It is not published yet.
    pub fn changes_its_key(&mut self) {
        self.id += 1;
        self.signer = Signer::eddsa(&self.id.to_string());
    }

    /// A token with these scopes.
    pub fn token(&self, subject: &str, scope: &str) -> String {
        self.signer.token(&json!({
            "iss": self.url, "aud": AUDIENCE, "sub": subject, "scope": scope,
            "exp": Timestamp::now().as_second() + 600,
        }))
    }
}
