//! The whole pipeline in one process: how its parts are put together, and what is printed once
//! they work.

use crate::disk;
use crate::embedded_nats::{EmbeddedNats, Finder};
use crate::watchdog::Watchdog;
use anyhow::{Context as _, ensure};
use api::Api;
use api::stow::Stow;
use async_nats::jetstream;
use bytesize::ByteSize;
use catalog::{CatalogReader, CatalogSettings};
use clap::Args;
use console::style;
use contract::subject::Service;
use indexer::Indexer;
use ingest::Ingest;
use shared::audit::AuditSettings;
use shared::durability::{MonitorSettings, verify};
use shared::health::Health;
use shared::metrics::Metrics;
use shared::nats_url::NatsUrl;
use shared::nats_user::NatsUser;
use shared::nats_version::OldNats;
use shared::nodes::Node;
use shared::senders::SendersSettings;
use shared::settings::{NatsSettings, StreamSettings};
use shared::shutdown::Shutdown;
use shared::stow::StowToken;
use shared::stream;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use store::Objects;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether all parts are ready, after a start.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The audit trail of the own server takes one of so many parts of what INSTANCES may take of a disk.
const AUDIT_SHARE: u64 = 8;

/// Time that the broker gets for its stop once the services have ended.
const BROKER_GRACE: Duration = Duration::from_secs(5);

/// Settings of the whole pipeline.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "NATS")]
pub struct PipelineSettings {
    /// URL of the NATS server, nats://HOST:4222 or tls://HOST:4222; the servers of a cluster are separated by
    /// commas [default: none, the embedded nats-server is run]
    #[arg(long, env = "NATS_URL", hide_env_values = true)]
    pub nats_url: Option<NatsUrl>,

    /// The NATS user.
    #[command(flatten)]
    pub nats_user: NatsUser,

    /// How old the server may be.
    #[command(flatten)]
    pub old_nats: OldNats,

    /// The monitoring port of that NATS server
    #[command(flatten)]
    pub monitor: MonitorSettings,

    /// Program of the embedded nats-server, 2.14 or newer [default: the newer of the one on the PATH and a downloaded one]
    #[arg(long, env = "NATS_SERVER")]
    pub nats_server: Option<PathBuf>,

    /// Address and port of the embedded nats-server
    #[arg(long, env = "NATS_ADDR", default_value = "127.0.0.1:4222")]
    pub nats_addr: SocketAddr,

    /// Folder of the catalogue and of the embedded nats-server
    #[arg(long, help_heading = "Catalogue", env = "DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// Catalogue database: `sqlite://` and the path of a file, with `%25` for `%`, `%3F` for `?`; or `postgres://` with
    /// user, hosts and database [default: catalog.db in DATA_DIR]
    #[arg(long, help_heading = "Catalogue", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// Settings of the senders file.
    #[command(flatten)]
    pub senders: SendersSettings,

    /// Settings of the receiver.
    #[command(flatten)]
    pub ingest: ingest::Settings,

    /// Settings of the indexer.
    #[command(flatten)]
    pub indexer: indexer::Settings,

    /// Settings of the streams.
    #[command(flatten)]
    pub streams: StreamSettings,

    /// Settings of the audit trail.
    #[command(flatten)]
    pub audit: AuditSettings,

    /// Settings of the HTTP API.
    #[command(flatten)]
    pub api: api::Settings,
}

impl PipelineSettings {
    /// Where the embedded nats-server's files are.
    pub(crate) fn nats_folder(&self) -> PathBuf {
        self.data_dir.join("nats")
    }

    /// Looks whether the broker can be spoken to as the settings say.
    pub(crate) fn check_nats(&self) -> anyhow::Result<()> {
        ensure!(
            self.nats_url.is_some() || !self.nats_user.is_set(),
            "NATS_USER, NATS_CREDS_FILE and NATS_TLS_... are of no use without NATS_URL: the own \
             nats-server has no users, and listens in plain text on this machine"
        );
        self.nats_user.check()
    }

    /// Where to look for the embedded nats-server.
    pub(crate) fn finder(&self) -> Finder {
        Finder::new(self.nats_server.clone(), &self.data_dir).with_old(self.old_nats)
    }

    /// Where the catalogue is.
    pub(crate) fn catalog(&self) -> CatalogSettings {
        match &self.database_url {
            Some(url) => CatalogSettings { database_url: url.clone() },
            None => CatalogSettings::at(&self.data_dir.join("catalog.db")),
        }
    }
}

/// Where the parts of a running pipeline are.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The C-STORE SCP in plain text, where there is one.
    pub dicom: Option<SocketAddr>,
    /// The C-STORE SCP over TLS, where there is one.
    pub dicom_tls: Option<SocketAddr>,
    /// Its AE title.
    pub ae_title: String,
    /// The HTTP API.
    pub api: SocketAddr,
    /// How that is asked: `http`, or `https`.
    pub api_scheme: &'static str,
    /// The broker.
    pub nats: String,
    /// The data folder.
    pub data_dir: PathBuf,
}

/// Runs the pipeline until told to stop. `ready` is called once everything works.
///
/// # Errors
/// What could not be started, or what failed for good.
pub async fn run(
    settings: PipelineSettings,
    shutdown: Shutdown,
    ready: impl AsyncFnOnce(Addresses) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    settings.check_nats()?;
    let Shutdown { draining, stop } = shutdown.clone();
    let (health, metrics) = (Health::default(), Metrics::default());
    let nats_health = health.part("nats");
    let catalog_settings = settings.catalog();
    let (senders, audit, receiver) = (&settings.senders, &settings.audit, settings.ingest.clone());
    let mut ingest = Ingest::bind(receiver, senders, audit, &health, &metrics).await?;
    // The API passes on what comes by STOW-RS, and nobody else can ask there.
    let token = StowToken::random();
    let stow_addr = ingest.listen_for_stow((Ipv4Addr::LOCALHOST, 0).into(), token.clone()).await?;
    let stow = Stow::to(&format!("http://{stow_addr}"), token)?;
    let catalog = CatalogReader::open(&catalog_settings)?;
    let store = &settings.ingest.store;
    let objects = Objects::open(&store.store_url, &store.s3)?;
    let api =
        Api::bind(&settings.api, audit, catalog, objects, health.clone(), metrics.clone()).await?;
    let api = api.with_stow(stow);

    let (settings_of_indexer, store) = (&settings.indexer, &settings.ingest.store);
    let catalog = catalog_settings;
    let indexer =
        Indexer::new(settings_of_indexer, senders, store, audit, catalog, &health, &metrics)?
            .with_public_url(settings.api.public_url.as_ref());

    let (broker, nats_url) = match &settings.nats_url {
        Some(url) => (None, url.clone()),
        None => {
            let broker = start_broker(&settings).await?;
            let url = broker.url();
            (Some(broker), url)
        }
    };
    let addresses = Addresses {
        dicom: ingest.addr()?,
        dicom_tls: ingest.tls_addr()?,
        ae_title: settings.ingest.ae_title.clone(),
        api: api.addr()?,
        api_scheme: api.scheme(),
        nats: nats_url.to_string(),
        data_dir: std::path::absolute(&settings.data_dir).context("DATA_DIR")?,
    };

    let streams = match &broker {
        Some(_) => streams_that_fit(&settings)?,
        None => settings.streams.clone(),
    };

    let ended = async {
        let (user, old) = (settings.nats_user.clone(), settings.old_nats);
        let broker_settings = NatsSettings { nats_url, user, old };
        let connected =
            stream::connect(&broker_settings, "collimator", nats_health, &draining).await?;
        let Some(nats) = connected else { return Ok(()) };
        api.broker().connect(nats.clone());
        if settings.nats_url.is_some() {
            // The own server has our configuration; of another one nobody knows.
            verify(&settings.monitor, &nats).await;
        }
        let publishers = [ingest.acknowledgements(), indexer.acknowledgements()];
        let watchdog = async {
            if let Some(broker) = &broker {
                let (folder, streams) = (&settings.nats_folder(), &streams);
                let jetstream = jetstream::new(nats.clone());
                Watchdog { broker, folder, publishers, jetstream, streams }.run(&stop).await;
            }
        };
        let node = Node::new(&Service::ALL, env!("CARGO_PKG_VERSION"), health.clone());
        // Whatever ends one of them ends all, in order. Each is in memory of its own: together they are
        // more than the stack takes.
        let (ingest, indexer, api, ready, ()) = tokio::join!(
            stopping(&stop, Box::pin(ingest.run(&nats, &streams, shutdown))),
            stopping(&stop, Box::pin(indexer.run(&nats, &streams, stop.clone()))),
            stopping(&stop, Box::pin(node.attend(&nats, api.run(stop.clone())))),
            stopping(&stop, when_ready(&health, &draining, ready(addresses))),
            watchdog,
        );
        ingest.and(indexer).and(api).and(ready)
    }
    .await;
    if let Some(broker) = broker {
        broker.stop(BROKER_GRACE).await;
    }
    ended
}

async fn start_broker(settings: &PipelineSettings) -> anyhow::Result<EmbeddedNats> {
    let server = settings.finder().find_or_fetch().await?;
    EmbeddedNats::start(&server, settings.nats_addr, &settings.nats_folder(), None).await
}

/// The settings of the streams, with no more than fits the disk of our own server.
fn streams_that_fit(settings: &PipelineSettings) -> anyhow::Result<StreamSettings> {
    let (folder, wanted) = (settings.nats_folder(), settings.streams.instances_max_bytes);
    let fitting = |wanted: ByteSize| {
        disk::fitting(wanted, &folder).context("how much room there is in DATA_DIR")
    };
    let instances_max_bytes = fitting(wanted)?;
    if instances_max_bytes < wanted {
        tracing::warn!(
            "INSTANCES_MAX_BYTES is {wanted}, but the disk of {} is too small for that: senders are \
             refused from {instances_max_bytes} of unread events on",
            folder.display()
        );
    }
    // Nobody is refused for the audit trail, so it must not fill what is left.
    let audit = settings.streams.audit_max_bytes.0.saturating_mul(AUDIT_SHARE);
    let audit_max_bytes = ByteSize(fitting(ByteSize(audit))?.0 / AUDIT_SHARE);
    Ok(StreamSettings { instances_max_bytes, audit_max_bytes, ..settings.streams.clone() })
}

/// Runs one part; if it fails, the others are told to stop.
async fn stopping(
    stop: &CancellationToken,
    part: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let ended = part.await;
    if let Err(error) = &ended
        && !stop.is_cancelled()
    {
        tracing::debug!("stopping: {error:#}");
        stop.cancel();
    }
    ended
}

async fn when_ready(
    health: &Health,
    stop: &CancellationToken,
    then: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    while !health.not_ready().is_empty() {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
    tokio::select! {
        done = then => done,
        () = stop.cancelled() => Ok(()),
    }
}

impl Addresses {
    /// The C-STORE SCP as a sender on this machine reaches it in plain text.
    #[must_use]
    pub fn dicom_here(&self) -> Option<SocketAddr> {
        self.dicom.map(here)
    }

    /// The API as who is on this machine asks it: a URL without a path.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}://{}", self.api_scheme, here(self.api))
    }

    /// What to tell people who have just started the pipeline: one line for each service, in colour on a terminal.
    #[must_use]
    pub fn welcome(&self) -> String {
        let (api, ae, nats) = (self.api_url(), &self.ae_title, &self.nats);
        let mut lines =
            format!("{}; Ctrl-C ends it.\n\n", style("Collimator is ready").green().bold());
        let mut line = |service: &str, place: &str| {
            lines += &format!("  {:6} {place}\n", style(service).bold());
        };
        if let Some(listens) = self.dicom {
            let (ip, port) = (here(listens).ip(), listens.port());
            let send = format!("dcmsend -aec {ae} {ip} {port} --scan-directories --recurse FOLDER");
            line("DICOM", &format!("{ae} on {listens}      {send}"));
        }
        if let Some(listens) = self.dicom_tls {
            line("TLS", &format!("{ae} on {listens}      DICOM over TLS"));
        }
        line("API", &format!("{api}      docs: {api}/docs      series: {api}/series"));
        line("NATS", &format!("{nats}      nats sub --server {nats} 'dicom.>'"));
        line("data", &self.data_dir.display().to_string());
        lines
    }
}

/// An address to connect to, where `addr` may be "all addresses".
pub(crate) fn here(addr: SocketAddr) -> SocketAddr {
    match addr.ip().is_unspecified() {
        true => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), addr.port()),
        false => addr,
    }
}
