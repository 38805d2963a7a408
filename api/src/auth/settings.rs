//! Settings of authentication.

use super::oidc::OidcSettings;
use clap::Args;
use std::path::PathBuf;

/// Settings of tokens, hosts and origins.
#[derive(Debug, Clone, Args)]
pub struct AuthSettings {
    /// A TOML file of the tokens that clients need, made by `collimator token create` [default: none is
    /// needed]
    #[arg(long, env = "TOKENS_FILE")]
    pub tokens_file: Option<PathBuf>,

    /// Of the issuer whose tokens are taken as well.
    #[command(flatten)]
    pub oidc: OidcSettings,

    /// Answer everybody, also beyond loopback: something else keeps others away
    #[arg(long, env = "INSECURE")]
    pub insecure: bool,

    /// Names of this host that browsers may ask, in a list with commas; addresses always are
    #[arg(long, env = "ALLOWED_HOSTS", default_value = "localhost", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,

    /// Other origins whose pages may ask (CORS), in a list with commas [default: none]
    #[arg(long, env = "ALLOWED_ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<String>,
}
