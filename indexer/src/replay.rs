//! `indexer replay`: a catalogue rebuilt from the streams.
//!
//! The instances are recorded as they were, and what was decided of series is taken from the
//! record, not decided again: a completion or a deletion names the sequence of INSTANCES up to which it was
//! decided, and that is where it is written down.

use crate::batch::Batch;
use crate::consumer::BATCH;
use crate::debounce::Debouncer;
use crate::fact::Fact;
use crate::reading::{Reading, read};
use crate::settings::Settings;
use crate::sources::Sources;
use anyhow::{Context as _, ensure};
use async_nats::Client;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::{self, Message};
use clap::Args;
use futures_util::StreamExt;
use jiff::Timestamp;
use shared::catalog::{Bookmark, Catalog, CatalogSettings, EventMark, Restored};
use shared::ephemeral;
use shared::settings::NatsSettings;
use shared::sources::SourcesSettings;
use shared::stream::{self, INSTANCES, SERIES};
use shared::uid::SeriesInstanceUid;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// How long the broker may take for the next message of a stream that has one.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `indexer replay` is told.
#[derive(Debug, Clone, Args)]
pub struct ReplaySettings {
    /// The file to rebuild the catalogue into; it must not exist
    #[arg(long)]
    pub into: PathBuf,
    /// Those of the indexer whose catalogue it is
    #[command(flatten)]
    pub indexer: Settings,
    /// What differs by sender
    #[command(flatten)]
    pub sources: SourcesSettings,
    /// Where its streams are
    #[command(flatten)]
    pub nats: NatsSettings,
}

/// What a rebuilt catalogue is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events of INSTANCES that were read.
    pub events: u64,
    /// Completions that were written down.
    pub completions: u64,
    /// Completions of studies that were written down.
    pub studies: u64,
    /// Deletions of series that were written down.
    pub deletions: u64,
    /// Series that are marked partial, since some of what led up to their completion is no longer
    /// on the record.
    pub partial: BTreeSet<SeriesInstanceUid>,
}

/// Rebuilds a catalogue from the streams as they stand.
///
/// # Errors
/// When the file is there already or can't be made, or the broker does not give its streams.
pub async fn run(settings: &ReplaySettings, nats: &Client) -> anyhow::Result<Report> {
    let path = &settings.into;
    ensure!(!path.exists(), "{} exists; name a file that does not", path.display());
    let part = unfinished(path)?;
    let sources = settings.indexer.sources(settings.sources.read()?)?;
    let end = stream::position(nats).await?;
    let (mut events, mut facts) = (Tape::of(nats, INSTANCES).await?, Tape::of(nats, SERIES).await?);
    let catalog = Catalog::own(&CatalogSettings::at(&part)).await?;
    let mut replay = Replay::new(catalog.clone(), sources, end.created);

    let mut fact = facts.next_fact().await?;
    let mut sequence = 0;
    while sequence < end.last
        && let Some((message, info)) = events.next().await?
    {
        sequence = info.sequence;
        // What was decided before this event comes first.
        while let Some(decided) = fact.take_if(|fact| fact.sequence() < Some(sequence)) {
            replay.fact(&decided).await?;
            fact = facts.next_fact().await?;
        }
        let id = message.headers.as_ref().and_then(|headers| headers.get(NATS_MESSAGE_ID));
        let message_id = id.map(ToString::to_string).unwrap_or_default();
        let mark = EventMark { at: info.at, message_id };
        replay.event(sequence, mark, read(&message.subject, &message.payload)).await?;
    }
    while let Some(decided) = fact.take_if(|fact| fact.sequence() <= Some(end.last)) {
        replay.fact(&decided).await?;
        fact = facts.next_fact().await?;
    }
    if settings.indexer.study_quiet_period()?.is_none() {
        catalog.forget_open_studies().await?;
    }
    let report = replay.finish(end.last).await?;
    std::fs::rename(&part, path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(report)
}

/// Where a catalogue is as long as it is not whole; what an earlier try left there goes.
fn unfinished(path: &Path) -> anyhow::Result<PathBuf> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    for suffix in ["", "-wal", "-shm"] {
        let mut left = part.clone();
        left.push(suffix);
        match std::fs::remove_file(&left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot write {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(part.into())
}

/// One stream from its beginning to where it ends at the moment.
struct Tape {
    messages: pull::Ordered,
    left: u64,
}

/// What the broker says of a message.
struct Delivered {
    sequence: u64,
    at: Timestamp,
}

impl Tape {
    async fn of(nats: &Client, name: &str) -> anyhow::Result<Self> {
        let stream = jetstream::new(nats.clone()).get_stream(name).await;
        let stream = stream.with_context(|| format!("stream {name}"))?;
        let config = pull::OrderedConfig {
            name: Some(ephemeral::name("replay")),
            deliver_policy: DeliverPolicy::All,
            ..pull::OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await.context("reading the record")?;
        let left = consumer.cached_info().num_pending;
        Ok(Self { messages: consumer.messages().await?, left })
    }

    async fn next(&mut self) -> anyhow::Result<Option<(Message, Delivered)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let message = timeout(PATIENCE, self.messages.next()).await.context("NATS is silent")?;
        let message = message.context("the record broke off")?.context("reading the record")?;
        let info = message.info().map_err(|error| anyhow::anyhow!("a message: {error}"))?;
        let at = Timestamp::from_nanosecond(info.published.unix_timestamp_nanos())?;
        let delivered = Delivered { sequence: info.stream_sequence, at };
        self.left = info.pending;
        Ok(Some((message, delivered)))
    }

    async fn next_fact(&mut self) -> anyhow::Result<Option<Fact>> {
        while let Some((message, delivered)) = self.next().await? {
            let fact = Fact::read(&message.subject, &message.payload).map_err(|error| {
                // Its text may repeat a value, and that a patient's name.
                let (line, column) = (error.line(), error.column());
                anyhow::anyhow!(
                    "SERIES has something at {} that is not what its subject says: line {line} \
                     column {column}",
                    delivered.sequence
                )
            })?;
            if fact.is_some() {
                return Ok(fact);
            }
        }
        Ok(None)
    }
}

/// A catalogue that is being rebuilt. Events and facts come in the order in which they were.
#[derive(Debug)]
pub struct Replay {
    catalog: Catalog,
    sources: Sources,
    debouncer: Debouncer,
    batch: Batch,
    events: usize,
    report: Report,
}

impl Replay {
    /// Into an empty catalogue, of a stream that was made at `stream_created`.
    #[must_use]
    pub fn new(catalog: Catalog, sources: Sources, stream_created: Timestamp) -> Self {
        let debouncer = Debouncer::new(sources.clone());
        let batch =
            Batch::new(Bookmark { stream_created, last_sequence: 0, event: None, latest: None });
        Self { catalog, sources, debouncer, batch, events: 0, report: Report::default() }
    }

    /// The next event of INSTANCES.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn event(
        &mut self,
        sequence: u64,
        mark: EventMark,
        reading: Reading,
    ) -> anyhow::Result<()> {
        // What came of it is in the facts.
        let reading = match reading {
            Reading::DeletionRequested(_) => Reading::Nothing,
            reading => reading,
        };
        self.batch.push(sequence, mark, reading, &self.sources);
        self.events += 1;
        if self.events >= BATCH {
            self.commit().await?;
        }
        Ok(())
    }

    /// What was decided after the events so far.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn fact(&mut self, fact: &Fact) -> anyhow::Result<()> {
        self.commit().await?;
        let fact = match fact {
            Fact::Completed(fact) => fact,
            Fact::Deleted(fact) => {
                if self.catalog.restore_deletion(fact).await? != Restored::Known {
                    self.debouncer.close(&fact.series_instance_uid);
                    // Nothing of it is left that could be incomplete.
                    self.report.partial.remove(&fact.series_instance_uid);
                    self.report.deletions += 1;
                }
                return Ok(());
            }
            Fact::Study(fact) => {
                let restored = self.catalog.restore_study(fact).await?;
                self.report.studies += u64::from(restored != Restored::Known);
                return Ok(());
            }
        };
        let restored = self.catalog.restore(fact).await?;
        if restored == Restored::Known {
            return Ok(());
        }
        self.debouncer.close(&fact.series_instance_uid);
        self.report.completions += 1;
        if restored == Restored::Partial {
            self.report.partial.insert(fact.series_instance_uid.clone());
        }
        Ok(())
    }

    /// The record ends at sequence `last`.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn finish(mut self, last: u64) -> anyhow::Result<Report> {
        let bookmark = &mut self.batch.rows.bookmark;
        if bookmark.last_sequence != last {
            (bookmark.last_sequence, bookmark.event) = (last, None);
        }
        self.commit().await?;
        self.catalog.close().await;
        Ok(self.report)
    }

    async fn commit(&mut self) -> anyhow::Result<()> {
        let (batch, debouncer) = (&self.batch, &mut self.debouncer);
        self.catalog.record(&batch.rows, |recorded| batch.conclude(debouncer, recorded)).await?;
        self.report.events += self.events as u64;
        self.events = 0;
        self.batch = Batch::new(self.batch.rows.bookmark.clone());
        Ok(())
    }
}
