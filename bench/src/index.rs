//! `index`: a backlog in the stream, and how soon the real indexer has it in the catalogue.

use crate::broker::{Broker, Sync};
use crate::events::Backlog;
use crate::lab::Lab;
use crate::process::{Program, Usage};
use crate::programs::build;
use crate::table::{Table, median, megabytes, number};
use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use bytesize::ByteSize;
use catalog::{CatalogReader, CatalogSettings};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use shared::message::Message;
use shared::settings::StreamSettings;
use shared::stream::ensure_streams;
use std::path::Path;
use std::time::{Duration, Instant};
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

/// What a backlog took.
#[derive(Debug, Clone)]
pub(crate) struct Drained {
    pub(crate) instances: u64,
    /// From the start of the process, the medians of the rounds.
    pub(crate) rate: f64,
    /// CPU seconds.
    pub(crate) cpu: f64,
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
    let mut drained = Vec::new();
    for instances in &settings.instances {
        let (instances, series) = (*instances, settings.series.min(*instances));
        let backlog = Backlog { instances, series, interleaved: settings.interleaved.max(1) };
        let folder = lab.folder()?;
        let mut broker = Broker::start(&lab.nats_server, folder.path(), Sync::Sometimes).await?;
        fill(&broker.url, backlog).await?;
        let mut rounds = Vec::new();
        for round in 0..settings.rounds {
            if round > 0 {
                // The stream keeps what was indexed; the next indexer has to find no consumer of
                // the last one.
                drop(broker);
                broker = Broker::start(&lab.nats_server, folder.path(), Sync::Sometimes).await?;
                forget_consumers(&broker.url).await?;
            }
            rounds.push(drain(lab, &indexer, &broker, backlog).await?);
        }
        let of = |figure: fn(&Drained) -> f64| median(rounds.iter().map(figure));
        drained.push(Drained {
            instances,
            rate: of(|round| round.rate),
            cpu: of(|round| round.cpu),
            broker_cpu: of(|round| round.broker_cpu),
            peak: of(|round| round.peak),
        });
    }
    println!("{}", table(lab, &settings, &drained));
    Ok(drained)
}

/// Publishes the backlog.
async fn fill(url: &str, backlog: Backlog) -> anyhow::Result<()> {
    let jetstream = jetstream::new(async_nats::connect(url).await?);
    ensure_streams(
        &jetstream,
        &StreamSettings { instances_max_bytes: STREAM, ..StreamSettings::default() },
    )
    .await?;
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
    let rate = backlog.instances as f64 / began.elapsed().as_secs_f64();
    println!("a backlog of {} instances, published at {}/s", backlog.instances, number(rate));
    Ok(())
}

async fn forget_consumers(url: &str) -> anyhow::Result<()> {
    let jetstream = jetstream::new(async_nats::connect(url).await?);
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
    backlog: Backlog,
) -> anyhow::Result<Drained> {
    let folder = lab.folder()?;
    let settings = CatalogSettings::at(&folder.path().join("catalog.db"));
    let catalog = CatalogReader::open(&settings)?;
    let mut command = Command::new(indexer);
    command
        .env("NATS_URL", &broker.url)
        .env("DATABASE_URL", settings.database_url)
        .env("ADMIN_ADDR", "127.0.0.1:0")
        .env("INSTANCES_MAX_BYTES", STREAM.as_u64().to_string())
        .env("RUST_LOG", "warn");
    let (began, before) = (Instant::now(), broker.program.usage());
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
        instances: backlog.instances,
        rate: backlog.instances as f64 / seconds,
        cpu: sum(&usage),
        broker_cpu: sum(&broker.program.usage()) - sum(&before),
        peak: usage.peak.values().max().copied().context("the indexer is gone")? as f64,
    })
}

fn table(lab: &Lab, settings: &IndexSettings, drained: &[Drained]) -> String {
    let mut table = Table::new([
        "instances",
        "instances/s",
        "of the first",
        "CPU us each",
        "broker's",
        "peak MB",
        "bounded by (% of one core)",
    ]);
    let first = drained.first().map_or(f64::NAN, |first| first.rate);
    for row in drained {
        let each = |cpu: f64| number(cpu / row.instances as f64 * 1e6);
        let percent = |cpu: f64| cpu / (row.instances as f64 / row.rate) * 100.0;
        let (indexer, broker) = (percent(row.cpu), percent(row.broker_cpu));
        let verdict = if indexer + broker > 85.0 * lab.cores {
            "all cores"
        } else if indexer > 70.0 {
            "indexer"
        } else {
            "disk"
        };
        table.row([
            number(row.instances as f64),
            number(row.rate),
            number(row.rate / first),
            each(row.cpu),
            each(row.broker_cpu),
            megabytes(row.peak as u64),
            format!("{verdict} (indexer {indexer:.0}, broker {broker:.0})"),
        ]);
    }
    let IndexSettings { series, interleaved, rounds, .. } = settings;
    format!(
        "indexer: a backlog in {series} series, {interleaved} at a time, until the catalogue has it \
         (synchronous=FULL); median of {rounds}\n\n{}",
        table.text()
    )
}
