//! Settings of authentication.

use super::oidc::OidcSettings;
use clap::Args;
use std::path::PathBuf;

/// Settings of tokens, hosts and origins.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Access to the HTTP API")]
pub struct AuthSettings {
    /// TOML file of access tokens, written by `collimator token create` [default: none, no token is
    /// required]
    #[arg(long, env = "TOKENS_FILE")]
    pub tokens_file: Option<PathBuf>,

    /// Of the issuer whose tokens are taken as well.
    #[command(flatten)]
    pub oidc: OidcSettings,

    /// Serve the API beyond loopback without tokens, where something else controls access
    #[arg(long, env = "INSECURE")]
    pub insecure: bool,

    /// Host names under which browsers may use the API, separated by commas; IP addresses are always allowed
    #[arg(long, env = "ALLOWED_HOSTS", default_value = "localhost", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,

    /// Other origins whose pages may use the API (CORS), separated by commas [default: none]
    #[arg(long, env = "ALLOWED_ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<String>,
}
