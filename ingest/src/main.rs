//! `ingest`: the receiver as a service of its own.

use clap::Parser;
use contract::subject::Service;
use ingest::{Ingest, Settings, StowSettings};
use shared::admin::{self, AdminSettings};
use shared::audit::AuditSettings;
use shared::durability::{MonitorSettings, verify};
use shared::health::Health;
use shared::metrics::Metrics;
use shared::nodes::Node;
use shared::senders::SendersSettings;
use shared::settings::{CommonSettings, NatsSettings, StreamSettings};
use shared::shutdown::{self, Shutdown};
use shared::stream;
use std::process::ExitCode;

/// Where health checks are answered, unless ADMIN_ADDR says otherwise.
const ADMIN_PORT: u16 = 9101;

/// Receives DICOM instances (C-STORE, C-ECHO) and publishes one durable event for each.
#[derive(Debug, Parser)]
#[command(version = version::VERSION)]
struct Args {
    #[command(flatten)]
    ingest: Settings,
    #[command(flatten)]
    stow: StowSettings,
    #[command(flatten)]
    senders: SendersSettings,
    #[command(flatten)]
    nats: NatsSettings,
    #[command(flatten)]
    monitor: MonitorSettings,
    #[command(flatten)]
    streams: StreamSettings,
    #[command(flatten)]
    audit: AuditSettings,
    #[command(flatten)]
    admin: AdminSettings,
    #[command(flatten)]
    common: CommonSettings,
}

fn main() -> ExitCode {
    let common = |args: &Args| args.common.clone();
    shutdown::main_with(common, |args| args.ingest.drain_timeout, run)
}

async fn run(args: Args, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    let (health, metrics) = (Health::default(), Metrics::default());
    let nats_health = health.part("nats");
    let stow = args.stow.read()?;
    let mut ingest =
        Ingest::bind(args.ingest, &args.senders, &args.audit, &health, &metrics).await?;
    if let Some(addr) = ingest.addr()? {
        tracing::info!(%addr, "ingest listens");
    }
    if let Some(addr) = ingest.tls_addr()? {
        tracing::info!(%addr, "ingest listens for TLS");
    }
    if let Some((addr, token)) = stow {
        let addr = ingest.listen_for_stow(addr, token).await?;
        tracing::info!(%addr, "ingest listens for STOW-RS");
    }
    let serve = async {
        match stream::connect(&args.nats, "ingest", nats_health, &shutdown.draining).await? {
            Some(nats) => {
                let verified = verify(&args.monitor, &nats);
                let node = Node::new(&[Service::Ingest], env!("CARGO_PKG_VERSION"), health.clone());
                let run = Box::pin(ingest.run(&nats, &args.streams, shutdown.clone()));
                tokio::join!(node.attend(&nats, run), verified).0
            }
            None => {
                shutdown.stop.cancel();
                Ok(())
            }
        }
    };
    let admin = admin::serve(
        args.admin.addr_or(ADMIN_PORT),
        health.clone(),
        metrics,
        shutdown.stop.clone(),
    );
    tokio::try_join!(admin, serve)?;
    Ok(ExitCode::SUCCESS)
}
