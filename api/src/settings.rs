//! Settings of the API. Each is also an environment variable of the same name.

use crate::auth::guard::Guard;
use crate::auth::settings::AuthSettings;
use anyhow::anyhow;
use audit_export::SyslogSettings;
use clap::Args;
use shared::pem::Named;
use shared::settings::{duration, duration_or_zero};
use shared::tls::{Papers, Tls};
use shared::web_url::base_url;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Settings of the HTTP API.
#[derive(Debug, Clone, Args)]
// The all-in-one has several `Settings`, and a group is named by its type.
#[group(skip)]
#[command(next_help_heading = "HTTP API")]
pub struct Settings {
    /// Address and port of the HTTP API
    #[arg(long, env = "API_ADDR", default_value = "127.0.0.1:8000")]
    pub api_addr: SocketAddr,

    /// Certificate of the API with its chain, PEM; the API then serves HTTPS only [default: none, plain HTTP]
    #[arg(long, env = "API_TLS_CERT")]
    pub api_tls_cert: Option<PathBuf>,

    /// Private key of API_TLS_CERT, PEM, without a passphrase
    #[arg(long, env = "API_TLS_KEY")]
    pub api_tls_key: Option<PathBuf>,

    /// Maximum number of HTTP connections; further ones wait until one has ended
    #[arg(long, env = "MAX_HTTP_CONNECTIONS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_http_connections: u32,

    /// Maximum number of HTTP connections from one address (IPv6: from one /64). Clients behind a proxy share its address
    #[arg(long, env = "MAX_HTTP_CONNECTIONS_PER_ADDRESS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_http_connections_per_address: u32,

    /// Maximum number of subscribers to `GET /events`; further ones get 503 and `Retry-After`. Each uses one of
    /// the HTTP connections
    #[arg(long, env = "MAX_EVENT_SUBSCRIBERS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_event_subscribers: u32,

    /// Idle time-out of an HTTP connection
    #[arg(long, env = "HTTP_IDLE_TIMEOUT", default_value = "60s", value_parser = duration)]
    pub http_idle_timeout: Duration,

    /// Base URL of the API as clients see it, for the URLs in DICOMweb responses: `https://HOST`, with a path if a proxy
    /// adds one [default: the `Host` of each request]
    #[arg(long, env = "PUBLIC_URL", value_parser = base_url)]
    pub public_url: Option<Url>,

    /// Time without an answer on NATS after which a receiver is declared gone, so that its open associations count as
    /// aborted; `0s`: only `POST /receivers/{NodeName}/gone` declares it
    #[arg(
        long,
        env = "RECEIVER_GONE_AFTER",
        default_value = "0s",
        value_parser = duration_or_zero,
        help_heading = "Completeness"
    )]
    pub receiver_gone_after: Duration,

    /// Settings of authentication.
    #[command(flatten)]
    pub auth: AuthSettings,

    /// TOML file of webhooks, which receive completions by HTTP POST [default: none]
    #[arg(long, help_heading = "HTTP API", env = "WEBHOOKS_FILE")]
    pub webhooks_file: Option<PathBuf>,

    /// Settings of the Audit Record Repository.
    #[command(flatten)]
    pub syslog: SyslogSettings,
}

/// What is spoken over TLS. Not HTTP/2, though the server could: there a connection is many requests at one
/// time, of which `MAX_HTTP_CONNECTIONS` knows nothing, and has no `Host`, by which browsers are judged.
const PROTOCOLS: &[&str] = &["http/1.1"];

impl Settings {
    /// The guard in front of all routes.
    ///
    /// # Errors
    /// When the tokens or keys can't be read, or anybody on the network could ask without one.
    pub fn guard(&self) -> anyhow::Result<Guard> {
        Guard::new(&self.auth, self.api_addr)
    }

    /// Reads the certificate, if there is one.
    ///
    /// # Errors
    /// When it comes without its key, or a file can't be read or holds something else, with the name of its
    /// setting.
    pub fn tls(&self) -> anyhow::Result<Option<Tls>> {
        const CERT: &str = "API_TLS_CERT";
        const KEY: &str = "API_TLS_KEY";
        let (certificate, key) = match (&self.api_tls_cert, &self.api_tls_key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => return Err(anyhow!("{CERT} needs {KEY} as well")),
            (None, Some(_)) => return Err(anyhow!("{KEY} needs {CERT} as well")),
            (None, None) => return Ok(None),
        };
        let papers = Papers {
            certificate: Named::new(CERT, certificate),
            key: Named::new(KEY, key),
            client_ca: None,
            protocols: PROTOCOLS,
        };
        Tls::read(papers).map(Some)
    }
}
