//! Settings of the OpenID Connect issuer whose JSON Web Tokens the API accepts.

use clap::Args;
use std::path::PathBuf;

/// Settings of OpenID Connect.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct OidcSettings {
    /// Whose JSON Web Tokens are taken (OpenID Connect), as their `iss` has it [default: nobody's]
    #[arg(long, env = "OIDC_ISSUER")]
    pub oidc_issuer: Option<String>,

    /// Whom these tokens have to be for: one of their `aud`
    #[arg(long, env = "OIDC_AUDIENCE")]
    pub oidc_audience: Option<String>,

    /// A file with the issuer's public keys (JWKS) [default: they are fetched]
    #[arg(long, env = "OIDC_JWKS_FILE")]
    pub oidc_jwks_file: Option<PathBuf>,

    /// Where the issuer's public keys (JWKS) are fetched [default: where its
    /// `/.well-known/openid-configuration` says]
    #[arg(long, env = "OIDC_JWKS_URL")]
    pub oidc_jwks_url: Option<String>,

    /// Claims of a token that say what it is good for, in a list with commas; dots go into objects
    #[arg(long, env = "OIDC_SCOPE_CLAIM", default_value = "scope", value_delimiter = ',')]
    pub oidc_scope_claim: Vec<String>,

    /// What stands before `read`, `write` and `admin` in these claims
    #[arg(long, env = "OIDC_SCOPE_PREFIX", default_value = "collimator.")]
    pub oidc_scope_prefix: String,
}
