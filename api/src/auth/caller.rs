//! Who asks: what a request has shown of whoever sent it. Every request that the guard lets through has
//! one among its extensions.

use crate::auth::tokens::Scope;
use poem::Request;
use std::net::SocketAddr;
use std::sync::Arc;

/// Whoever sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What it is called: the `name` of its token in `TOKENS_FILE`, the subject of its JSON Web Token;
    /// nothing when it has proved nothing.
    pub name: Option<Arc<str>>,
    /// How it has proved to be that.
    pub proof: Proof,
    /// What it may do.
    pub scopes: Arc<[Scope]>,
    /// Where the connection comes from, which may be a proxy.
    pub peer: Option<SocketAddr>,
}

/// How a caller has proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Not at all.
    Nothing,
    /// By a token of `TOKENS_FILE`.
    Token,
    /// By a JSON Web Token of `OIDC_ISSUER`.
    Jwt,
}

impl Caller {
    /// One that has shown nothing, and may do nothing.
    #[must_use]
    pub fn nobody(request: &Request) -> Self {
        let peer = request.remote_addr().as_socket_addr().copied();
        Self { name: None, proof: Proof::Nothing, scopes: [].into(), peer }
    }

    /// Whether it may do what needs this scope.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}
