//! What the API can be told. Each is also an environment variable of the same name.

use clap::Args;
use std::net::SocketAddr;

/// Settings of the HTTP API.
#[derive(Debug, Clone, Args)]
// The all-in-one has several `Settings`, and a group is named by its type.
#[group(skip)]
pub struct Settings {
    /// Where the HTTP API listens
    #[arg(long, env = "API_ADDR", default_value = "127.0.0.1:8000")]
    pub api_addr: SocketAddr,
}
