//! `api`: the HTTP API as a service of its own.

use api::stow::settings::StowSettings;
use api::{Api, Settings};
use catalog::{CatalogReader, CatalogSettings};
use clap::Parser;
use contract::subject::Service;
use shared::audit::AuditSettings;
use shared::health::Health;
use shared::metrics::Metrics;
use shared::nodes::Node;
use shared::settings::{CommonSettings, NatsSettings};
use shared::{shutdown, stream};
use std::process::ExitCode;
use store::{Objects, S3Settings, StoreUrl};
use tokio_util::sync::CancellationToken;

/// A page of a list is some thousand small allocations, made and freed on any thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves the catalogue over HTTP: complete series, health, and their documentation.
#[derive(Debug, Parser)]
#[command(version = version::VERSION)]
struct Args {
    #[command(flatten)]
    api: Settings,
    #[command(flatten)]
    stow: StowSettings,
    #[command(flatten)]
    nats: NatsSettings,
    #[command(flatten)]
    catalog: CatalogSettings,
    /// Where receivers keep instances, for DICOMweb clients to retrieve: `none`, `file://` and the path of a folder, or
    /// `s3://`, a bucket and a prefix
    #[arg(long, help_heading = "Instance store", env = "STORE_URL", default_value = "none")]
    store_url: StoreUrl,
    #[command(flatten)]
    s3: S3Settings,
    #[command(flatten)]
    audit: AuditSettings,
    #[command(flatten)]
    common: CommonSettings,
}

fn main() -> ExitCode {
    shutdown::main(|args: &Args| &args.common, run)
}

async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let catalog = CatalogReader::open(&args.catalog)?;
    args.nats.user.check()?;
    let (stow, health) = (args.stow.read()?, Health::default());
    let api = Api::bind(
        &args.api,
        &args.audit,
        catalog,
        Objects::open(&args.store_url, &args.s3)?,
        health.clone(),
        Metrics::default(),
    )
    .await?;
    let api = api.with_stow(stow);
    tracing::info!(addr = %api.addr()?, scheme = api.scheme(), "api listens");
    // Reading does without NATS, so it is no condition for being ready.
    let (broker, nats_health) = (api.broker(), Health::default().part("nats"));
    let connect = async {
        if let Some(nats) = stream::connect(&args.nats, "api", nats_health, &stop).await? {
            broker.connect(nats.clone());
            let node = Node::new(&[Service::Api], env!("CARGO_PKG_VERSION"), health);
            node.attend(&nats, stop.cancelled()).await;
        }
        Ok(())
    };
    tokio::try_join!(api.run(stop.clone()), connect)?;
    Ok(ExitCode::SUCCESS)
}
