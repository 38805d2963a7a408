//! `indexer`: the catalogue's writer as a service of its own.

use clap::Parser;
use indexer::{Indexer, Settings};
use shared::catalog::CatalogSettings;
use shared::health::{self, Health};
use shared::settings::{CommonSettings, NatsSettings, StreamSettings};
use shared::{shutdown, stream};
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// Turns instance events into complete series: writes the catalogue and announces what is complete.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    indexer: Settings,
    #[command(flatten)]
    catalog: CatalogSettings,
    #[command(flatten)]
    nats: NatsSettings,
    #[command(flatten)]
    streams: StreamSettings,
    /// Where to answer health checks
    #[arg(long, env = "ADMIN_ADDR", default_value = "127.0.0.1:9102")]
    admin_addr: SocketAddr,
    #[command(flatten)]
    common: CommonSettings,
}

fn main() -> ExitCode {
    shutdown::main(|args: &Args| &args.common, run)
}

async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let health = Health::default();
    let nats_health = health.part("nats");
    let indexer = Indexer::new(&args.indexer, args.catalog, &health)?;
    let serve = async {
        match stream::connect(&args.nats.nats_url, "indexer", nats_health, &stop).await? {
            Some(nats) => indexer.run(&nats, &args.streams, stop.clone()).await,
            None => Ok(()),
        }
    };
    tokio::try_join!(health::serve(args.admin_addr, health, stop.clone()), serve)?;
    Ok(ExitCode::SUCCESS)
}
