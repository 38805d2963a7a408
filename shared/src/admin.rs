//! Where a service that has no HTTP of its own says how it is: `/health/live`, `/health/ready`,
//! `/metrics`.

use crate::health::{self, Health};
use crate::metrics::{self, Metrics};
use anyhow::Context;
use clap::Args;
use poem::listener::TcpAcceptor;
use poem::{Route, Server};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long answers that have begun may take after a stop.
const DRAIN: Duration = Duration::from_secs(1);

/// Where a service without HTTP of its own answers.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Health, logging and shutdown")]
pub struct AdminSettings {
    /// Address and port of health checks and metrics
    /// [default: 127.0.0.1:9101 in ingest, 127.0.0.1:9102 in indexer]
    #[arg(long, env = "ADMIN_ADDR")]
    admin_addr: Option<SocketAddr>,
}

impl AdminSettings {
    /// The address; by default this port on loopback.
    #[must_use]
    pub fn addr_or(&self, port: u16) -> SocketAddr {
        self.admin_addr.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, port).into())
    }
}

/// Serves until `stop`.
///
/// # Errors
/// When `addr` can't be listened on.
pub async fn serve(
    addr: SocketAddr,
    health: Health,
    metrics: Metrics,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(addr).await.with_context(|| {
        format!(
            "cannot listen on {addr} for health checks; stop the other program or set ADMIN_ADDR"
        )
    })?;
    tracing::info!(addr = %listener.local_addr()?, "admin listens");
    metrics.collect(health.clone());
    let acceptor = TcpAcceptor::from_tokio(listener).context("cannot serve health checks")?;
    let routes = Route::new()
        .at(health::LIVE, health::live())
        .at(health::READY, health::ready(health))
        .at("/metrics", metrics::route(metrics));
    Server::new_with_acceptor(acceptor)
        .run_with_graceful_shutdown(routes, stop.cancelled(), Some(DRAIN))
        .await
        .context("health checks ended")
}
