//! `api`: the HTTP API as a service of its own.

use api::{Api, Settings};
use clap::Parser;
use shared::catalog::{Catalog, CatalogSettings};
use shared::health::Health;
use shared::settings::CommonSettings;
use shared::shutdown;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// Serves the catalogue over HTTP: complete series, health, and their documentation.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    api: Settings,
    #[command(flatten)]
    catalog: CatalogSettings,
    #[command(flatten)]
    common: CommonSettings,
}

fn main() -> ExitCode {
    shutdown::main(|args: &Args| &args.common, run)
}

async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let catalog = Catalog::open(&args.catalog)?;
    let api = Api::bind(&args.api, catalog, Health::default()).await?;
    tracing::info!(addr = %api.addr()?, "api listens");
    api.run(stop).await?;
    Ok(ExitCode::SUCCESS)
}
