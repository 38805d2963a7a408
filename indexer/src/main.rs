//! `indexer`: the catalogue's writer as a service of its own.

use anyhow::{Context as _, ensure};
use catalog::{CatalogReader, CatalogSettings};
use clap::{Parser, Subcommand};
use contract::subject::Service;
use indexer::replay::{self, ReplaySettings};
use indexer::restore::{self, RestoreSettings};
use indexer::{Indexer, Settings};
use shared::admin::{self, AdminSettings};
use shared::audit::AuditSettings;
use shared::health::Health;
use shared::metrics::Metrics;
use shared::nodes::Node;
use shared::senders::SendersSettings;
use shared::settings::{CommonSettings, NatsSettings, StreamSettings};
use shared::sighup::Sighup;
use shared::web_url::base_url;
use shared::{shutdown, stream};
use std::path::PathBuf;
use std::process::ExitCode;
use store::StoreSettings;
use tokio_util::sync::CancellationToken;
use url::Url;

/// An event of a backlog is a hundred small allocations, made by one thread and freed by another. With
/// the C library's allocator these were a third of all that the indexer did.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What `replay` exits with when something is missing from what it has made. (2 is of a wrong argument.)
const PARTIAL: u8 = 3;

/// Where health checks are answered, unless ADMIN_ADDR says otherwise.
const ADMIN_PORT: u16 = 9102;

/// Turns instance events into complete series: writes the catalogue and announces what is complete.
#[derive(Debug, Parser)]
#[command(version = version::VERSION, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    indexer: Settings,
    #[command(flatten)]
    senders: SendersSettings,
    #[command(flatten)]
    catalog: CatalogSettings,
    #[command(flatten)]
    store: StoreSettings,
    /// Where clients reach the API, for the `RetrieveURL` of events about series that are kept: `https://HOST`, with a path
    /// if a proxy adds one [default: none, events have no such URL]
    #[arg(long, help_heading = "HTTP API", env = "PUBLIC_URL", value_parser = base_url)]
    public_url: Option<Url>,
    #[command(flatten)]
    nats: NatsSettings,
    #[command(flatten)]
    streams: StreamSettings,
    #[command(flatten)]
    audit: AuditSettings,
    #[command(flatten)]
    admin: AdminSettings,
    #[command(flatten)]
    common: CommonSettings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Rebuild a catalogue from the streams, beside the one that is in use; exits with 3 when the streams
    /// no longer have all of it
    Replay(Box<ReplaySettings>),
    /// Copy the catalogue as it is now into a file, while it is in use
    Backup(BackupSettings),
    /// Put a backup in the place of the catalogue, while nobody has it open
    Restore(RestoreSettings),
}

#[derive(Debug, clap::Args)]
struct BackupSettings {
    /// The file to write; it must not exist
    file: PathBuf,
    #[command(flatten)]
    catalog: CatalogSettings,
}

fn main() -> ExitCode {
    shutdown::main(|args: &Args| &args.common, run)
}

async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    if args.command.is_some() {
        Sighup::listen()?.stops(&stop);
    }
    match args.command {
        Some(Command::Replay(settings)) => return replay(&settings, stop).await,
        Some(Command::Backup(settings)) => return backup(&settings).await,
        Some(Command::Restore(settings)) => {
            print!("{}", restore::run(&settings).await?);
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    let (health, metrics) = (Health::default(), Metrics::default());
    let nats_health = health.part("nats");
    let (senders, store) = (&args.senders, &args.store);
    let indexer =
        Indexer::new(&args.indexer, senders, store, &args.audit, args.catalog, &health, &metrics)?
            .with_public_url(args.public_url.as_ref());
    let serve = async {
        match stream::connect(&args.nats, "indexer", nats_health, &stop).await? {
            Some(nats) => {
                let node =
                    Node::new(&[Service::Indexer], env!("CARGO_PKG_VERSION"), health.clone());
                let run = Box::pin(indexer.run(&nats, &args.streams, stop.clone()));
                node.attend(&nats, run).await
            }
            None => Ok(()),
        }
    };
    tokio::try_join!(
        admin::serve(args.admin.addr_or(ADMIN_PORT), health.clone(), metrics, stop.clone()),
        serve
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn replay(settings: &ReplaySettings, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let health = Health::default().part("nats");
    let Some(nats) = stream::connect(&settings.nats, "replay", health, &stop).await? else {
        return Ok(ExitCode::FAILURE);
    };
    let report = tokio::select! {
        report = Box::pin(replay::run(settings, &nats)) => report?,
        () = stop.cancelled() => return Ok(ExitCode::FAILURE),
    };
    print!("{}", report.summary(&CatalogSettings::named(&settings.into).name()?));
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(PARTIAL) })
}

async fn backup(settings: &BackupSettings) -> anyhow::Result<ExitCode> {
    let file = &settings.file;
    ensure!(!file.exists(), "{} exists; name a file that does not", file.display());
    let catalog = CatalogReader::open(&settings.catalog)?;
    catalog.check().await?;
    catalog.backup(file).await.with_context(|| format!("cannot write {}", file.display()))?;
    catalog.close().await;
    println!("the catalogue is in {}", file.display());
    Ok(ExitCode::SUCCESS)
}
