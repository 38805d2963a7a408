//! `index`: a backlog in the stream, and how soon the real indexer has it in the catalogue.

use crate::broker::{Broker, REPLICAS, Sync};
use crate::events::Backlog;
use crate::lab::Lab;
use crate::postgres::{self, Postgres};
use crate::process::{Program, Usage};
use crate::programs::build;
use crate::table::{Table, median, megabytes, number};
use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use bytesize::ByteSize;
use catalog::{CatalogReader, CatalogSettings};
use clap::{Args, ValueEnum};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use shared::message::Message;
use shared::settings::StreamSettings;
use shared::stream::ensure_streams;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;

/// Publishes that wait for their acknowledgement at one time.
const IN_FLIGHT: usize = 512;

/// Above what five million events take.
const STREAM: ByteSize = ByteSize::gib(64);

/// How often the catalogue is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How slow an indexer may be before it is given up on, in instances a second.
const SLOWEST: u64 = 500;

#[derive(Debug, Clone, Args)]
pub(crate) struct IndexSettings {
    /// Instances in the backlog; several, separated by commas, are measured one after the other
    #[arg(long, value_delimiter = ',', default_value = "1000000")]
    pub(crate) instances: Vec<u64>,
    /// What the indexer works on; several, separated by commas, have their turn in each round
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = On::ALL)]
    pub(crate) on: Vec<On>,
    /// Series that they are of
    #[arg(long, default_value_t = 10_000)]
    pub(crate) series: u64,
    /// Series that arrived at the same time
    #[arg(long, default_value_t = 8)]
    pub(crate) interleaved: u64,
    /// Rounds of each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// 5,000 instances, once
    #[arg(long)]
    pub(crate) small: bool,
}

impl IndexSettings {
    /// What `--small` makes of them.
    fn effective(&self) -> Self {
        if !self.small {
            return self.clone();
        }
        Self { instances: vec![5_000], series: 50, rounds: 1, ..self.clone() }
    }
}

/// What the indexer works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum On {
    /// One nats-server, and SQLite
    Single,
    /// One nats-server, and PostgreSQL
    Postgres,
    /// Three nats-servers that replicate their streams, and PostgreSQL
    Cluster,
}

impl On {
    pub(crate) const ALL: [Self; 3] = [Self::Single, Self::Postgres, Self::Cluster];

    fn name(self) -> &'static str {
        match self {
            Self::Single => "one broker, SQLite",
            Self::Postgres => "one broker, PostgreSQL",
            Self::Cluster => "three brokers, PostgreSQL",
        }
    }

    /// How many servers have the stream.
    fn replicas(self) -> usize {
        match self {
            Self::Single | Self::Postgres => 1,
            Self::Cluster => REPLICAS,
        }
    }

    async fn broker(self, lab: &Lab, folder: &Path) -> anyhow::Result<Broker> {
        // It is the fill that this hurries.
        match self.replicas() {
            1 => Broker::start(&lab.nats_server, folder, Sync::Sometimes).await,
            _ => Broker::start_cluster(&lab.nats_server, folder, Sync::Sometimes).await,
        }
    }
}

/// What a backlog took.
#[derive(Debug, Clone)]
pub(crate) struct Drained {
    pub(crate) on: On,
    pub(crate) instances: u64,
    /// From the start of the process, the medians of the rounds.
    pub(crate) rate: f64,
    /// CPU seconds.
    pub(crate) cpu: f64,
    /// Of PostgreSQL.
    pub(crate) database_cpu: f64,
    pub(crate) broker_cpu: f64,
    /// Bytes.
    pub(crate) peak: f64,
}

/// Measures and prints.
pub(crate) async fn run(settings: &IndexSettings) -> anyhow::Result<bool> {
    measure(&Lab::enter().await?, settings).await?;
    Ok(true)
}

/// Each backlog in turn.
pub(crate) async fn measure(lab: &Lab, settings: &IndexSettings) -> anyhow::Result<Vec<Drained>> {
    let settings = settings.effective();
    let indexer = build("indexer").await?;
    let mut ons = settings.on.clone();
    if let Err(error) = postgres::install().await {
        println!("left out: what is on PostgreSQL: {error:#}");
        ons.retain(|on| *on == On::Single);
    }
    let mut drained = Vec::new();
    for instances in &settings.instances {
        let (instances, series) = (*instances, settings.series.min(*instances));
        let backlog = Backlog { instances, series, interleaved: settings.interleaved.max(1) };
        let stores = Stores::fill(lab, &ons, backlog).await?;
        let mut rounds = Vec::new();
        for round in 0..settings.rounds as usize {
            let mut order = ons.clone();
            order.rotate_left(round % ons.len().max(1));
            for on in order {
                let broker = on.broker(lab, stores.folder(on)).await?;
                forget_consumers(&broker).await?;
                rounds.push(drain(lab, &indexer, &broker, on, backlog).await?);
            }
        }
        for on in &ons {
            let own = || rounds.iter().filter(|round: &&Drained| round.on == *on);
            let of = |figure: fn(&Drained) -> f64| median(own().map(figure));
            drained.push(Drained {
                on: *on,
                instances,
                rate: of(|round| round.rate),
                cpu: of(|round| round.cpu),
                database_cpu: of(|round| round.database_cpu),
                broker_cpu: of(|round| round.broker_cpu),
                peak: of(|round| round.peak),
            });
        }
    }
    println!("{}", table(lab, &settings, &drained));
    Ok(drained)
}

/// Where the brokers keep a backlog.
struct Stores {
    single: TempDir,
    cluster: TempDir,
}

impl Stores {
    /// Publishes the backlog to one broker, and to several where somebody works on them.
    async fn fill(lab: &Lab, ons: &[On], backlog: Backlog) -> anyhow::Result<Self> {
        let stores = Self { single: lab.folder()?, cluster: lab.folder()? };
        let mut filled = Vec::new();
        for on in ons {
            if !filled.contains(&on.replicas()) {
                let broker = on.broker(lab, stores.folder(*on)).await?;
                publish(&broker, on.replicas(), backlog).await?;
                filled.push(on.replicas());
            }
        }
        Ok(stores)
    }

    fn folder(&self, on: On) -> &Path {
        match on.replicas() {
            1 => self.single.path(),
            _ => self.cluster.path(),
        }
    }
}

/// Publishes the backlog.
async fn publish(broker: &Broker, replicas: usize, backlog: Backlog) -> anyhow::Result<()> {
    let jetstream = jetstream::new(broker.client().await?);
    let stream_replicas = u8::try_from(replicas).ok().filter(|replicas| *replicas > 1);
    let settings = StreamSettings {
        instances_max_bytes: STREAM,
        stream_replicas,
        ..StreamSettings::default()
    };
    ensure_streams(&jetstream, &settings).await?;
    let began = Instant::now();
    stream::iter(backlog.events()?)
        .map(|event| {
            let jetstream = jetstream.clone();
            async move {
                Message::of(&event?)?.store(&jetstream).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<()>()
        .await?;
    let rate = number(backlog.instances as f64 / began.elapsed().as_secs_f64());
    let on = if replicas > 1 { " to three brokers" } else { "" };
    println!("a backlog of {} instances, published{on} at {rate}/s", backlog.instances);
    Ok(())
}

/// The stream keeps what was indexed; the next indexer has to find no consumer of the last one.
async fn forget_consumers(broker: &Broker) -> anyhow::Result<()> {
    let jetstream = jetstream::new(broker.client().await?);
    let stream = jetstream.get_stream(shared::stream::INSTANCES).await?;
    let names: Vec<String> = stream.consumer_names().try_collect().await?;
    for name in names {
        stream.delete_consumer(&name).await?;
    }
    Ok(())
}

/// Starts the indexer on an empty catalogue and waits until it has everything.
async fn drain(
    lab: &Lab,
    indexer: &Path,
    broker: &Broker,
    on: On,
    backlog: Backlog,
) -> anyhow::Result<Drained> {
    let folder = lab.folder()?;
    let postgres = match on {
        On::Single => None,
        On::Postgres | On::Cluster => Some(Postgres::start(lab).await?),
    };
    let settings = match &postgres {
        None => CatalogSettings::at(&folder.path().join("catalog.db")),
        Some(postgres) => CatalogSettings { database_url: postgres.url.clone() },
    };
    let catalog = CatalogReader::open(&settings)?;
    let mut command = Command::new(indexer);
    command
        .env("NATS_URL", &broker.url)
        .env("DATABASE_URL", settings.database_url)
        .env("ADMIN_ADDR", "127.0.0.1:0")
        .env("INSTANCES_MAX_BYTES", STREAM.as_u64().to_string())
        .env("RUST_LOG", "warn");
    if on.replicas() > 1 {
        command.env("STREAM_REPLICAS", on.replicas().to_string());
    }
    let (began, before) = (Instant::now(), broker.usage());
    let mut program = Program::start(&mut command, &folder.path().join("indexer.log"))?;
    let limit = Duration::from_secs(30 + backlog.instances / SLOWEST);
    loop {
        // There is no catalogue at first.
        let bookmark = catalog.bookmark().await.ok().flatten();
        if bookmark.as_ref().is_some_and(|bookmark| bookmark.last_sequence >= backlog.instances) {
            break;
        }
        let said = || std::fs::read_to_string(folder.path().join("indexer.log"));
        ensure!(!program.has_ended(), "the indexer has ended: {}", said().unwrap_or_default());
        ensure!(began.elapsed() < limit, "the indexer does not get there; it is at {bookmark:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let sum = |of: &Usage| of.cpu.values().sum::<f64>();
    let usage = program.usage();
    catalog.close().await;
    Ok(Drained {
        on,
        instances: backlog.instances,
        rate: backlog.instances as f64 / seconds,
        cpu: sum(&usage),
        database_cpu: postgres.map_or(0.0, |postgres| sum(&postgres.program.usage())),
        broker_cpu: sum(&broker.usage()) - sum(&before),
        peak: usage.peak.values().max().copied().context("the indexer is gone")? as f64,
    })
}

fn table(lab: &Lab, settings: &IndexSettings, drained: &[Drained]) -> String {
    let mut table = Table::new([
        "instances",
        "on",
        "instances/s",
        "x the first",
        "CPU us each",
        "PostgreSQL's",
        "broker's",
        "peak MB",
        "bounded by (% of one core)",
    ]);
    let first = drained.first().map_or(f64::NAN, |first| first.rate);
    for row in drained {
        let each = |cpu: f64| number(cpu / row.instances as f64 * 1e6);
        let percent = |cpu: f64| cpu / (row.instances as f64 / row.rate) * 100.0;
        let [indexer, database, broker] = [row.cpu, row.database_cpu, row.broker_cpu].map(percent);
        let verdict = if indexer + database + broker > 85.0 * lab.cores {
            "all cores"
        } else if indexer > 70.0 {
            "indexer"
        } else if database > 70.0 {
            "PostgreSQL"
        } else {
            "disk"
        };
        table.row([
            number(row.instances as f64),
            row.on.name().to_owned(),
            number(row.rate),
            number(row.rate / first),
            each(row.cpu),
            each(row.database_cpu),
            each(row.broker_cpu),
            megabytes(row.peak as u64),
            format!(
                "{verdict} (indexer {indexer:.0}, PostgreSQL {database:.0}, broker {broker:.0})"
            ),
        ]);
    }
    let IndexSettings { series, interleaved, rounds, .. } = settings;
    format!(
        "indexer: a backlog in {series} series, {interleaved} at a time, until the catalogue has it \
         (SQLite with synchronous=FULL, PostgreSQL with synchronous_commit=on); median of {rounds}\n\n{}",
        table.text()
    )
}
