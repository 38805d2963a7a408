//! Settings of the OpenID Connect issuer whose JSON Web Tokens the API accepts.

use clap::Args;
use std::path::PathBuf;

/// Settings of OpenID Connect.
#[derive(Debug, Clone, Args)]
#[group(skip)]
#[command(next_help_heading = "Access to the HTTP API")]
pub struct OidcSettings {
    /// OpenID Connect issuer whose JSON Web Tokens are accepted, as in their `iss` claim [default: none]
    #[arg(long, env = "OIDC_ISSUER")]
    pub oidc_issuer: Option<String>,

    /// Audience that these tokens must name in their `aud` claim
    #[arg(long, env = "OIDC_AUDIENCE")]
    pub oidc_audience: Option<String>,

    /// File with the issuer's public keys (JWKS) [default: the keys are fetched]
    #[arg(long, env = "OIDC_JWKS_FILE")]
    pub oidc_jwks_file: Option<PathBuf>,

    /// URL of the issuer's public keys (JWKS) [default: `jwks_uri` of its
    /// `/.well-known/openid-configuration`]
    #[arg(long, env = "OIDC_JWKS_URL")]
    pub oidc_jwks_url: Option<String>,

    /// Claims that hold the scopes of a token, separated by commas; a dot descends into an object
    #[arg(long, env = "OIDC_SCOPE_CLAIM", default_value = "scope", value_delimiter = ',')]
    pub oidc_scope_claim: Vec<String>,

    /// Prefix of the scopes `read`, `write`, `admin` and `store` in these claims
    #[arg(long, env = "OIDC_SCOPE_PREFIX", default_value = "collimator.")]
    pub oidc_scope_prefix: String,
}
