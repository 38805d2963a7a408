//! The indexer's loop: read a batch, commit it, acknowledge it; ask the broker for its time when a
//! series is due; write down what is complete.
//!
//! All that it knows is in the catalogue and in the stream. So there is one way to recover from
//! anything, a failed commit, a lost connection, a restart: begin again from the catalogue.

use crate::batch::Batch;
use crate::consumer::{self, Consumer, Deliveries, Delivery, resume_after};
use crate::dead;
use crate::debounce::{Debouncer, Watermark};
use crate::metrics::{BatchSize, IndexerMetrics};
use crate::reading::Reading;
use crate::sources::Sources;
use crate::studies::Studies;
use anyhow::{Context as _, ensure};
use async_nats::{Client, jetstream};
use jiff::{SignedDuration, Timestamp};
use shared::catalog::{Bookmark, Catalog, Recorded};
use shared::event::Disagreement;
use shared::health::Part;
use shared::metrics::{Refusals, Refused};
use shared::stream;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Shortest time between two questions for the broker's time.
const ASK_PAUSE: Duration = Duration::from_millis(10);

/// How long an answer is waited for to be reached by what is read, before the question is asked anew:
/// what is decided must not be older than that, since instances that came later are not read yet.
const ANSWER_LIFETIME: Duration = Duration::from_secs(1);

/// Why it begins again with a stream that is not the one that it has read.
const MADE_ANEW: &str = "INSTANCES was made anew";

/// Studies that are completed in one transaction, each of as many series as it has.
const STUDIES_AT_ONCE: usize = 100;

/// First and longest pause before beginning again after a failure.
const RECOVERY_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What the loop works with.
pub struct Driver {
    /// The broker.
    pub nats: Client,
    /// The catalogue, which this process owns.
    pub catalog: Catalog,
    /// How it is decided that a series is complete.
    pub sources: Sources,
    /// The same of a study; `None` when studies are not announced.
    pub study_quiet_period: Option<SignedDuration>,
    /// See the settings.
    pub ack_wait: Duration,
    /// Told when there is something in the outbox.
    pub outbox_filled: std::sync::Arc<Notify>,
    /// Whether the loop does its work.
    pub health: Part,
    /// Counts dead letters.
    pub refusals: Refusals,
    /// Counts the rest.
    pub metrics: IndexerMetrics,
}

impl Driver {
    /// Runs until told to stop, and begins again after every failure. Hears by `stored` of the
    /// studies in which somebody stored a series by HTTP.
    pub async fn run(&self, mut stored: mpsc::Receiver<String>, stop: CancellationToken) {
        let mut pause = RECOVERY_PAUSE.0;
        while !stop.is_cancelled() {
            let began = Instant::now();
            let error = tokio::select! {
                ended = self.read_on(&mut stored) => match ended {
                    Ok(never) => match never {},
                    Err(error) => error,
                },
                () = stop.cancelled() => return,
            };
            if began.elapsed() > RECOVERY_PAUSE.1 {
                pause = RECOVERY_PAUSE.0;
            }
            self.health.not_ready(format!("{error:#}"));
            tracing::warn!("indexing stopped and will go on: {error:#}");
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(RECOVERY_PAUSE.1),
                () = stop.cancelled() => return,
            }
        }
    }

    /// Goes on from the catalogue, until something fails. A transaction that is cut off by a stop
    /// is rolled back and read again at the next start.
    async fn read_on(
        &self,
        stored: &mut mpsc::Receiver<String>,
    ) -> anyhow::Result<std::convert::Infallible> {
        self.catalog.reopen_if_replaced().await?;
        let jetstream = jetstream::new(self.nats.clone());
        let position = stream::position(&self.nats).await?;
        let bookmark = self.catalog.bookmark().await?;
        let last_sequence = resume_after(bookmark, &position);
        if bookmark.is_some_and(|bookmark| bookmark.last_sequence != last_sequence) {
            tracing::warn!("INSTANCES is not the stream that was read before: reading all of it");
        }
        let consumer = Consumer::start(&jetstream, last_sequence, self.ack_wait).await?;
        // Of a stream that was made anew meanwhile it would not read the beginning.
        ensure!(stream::position(&self.nats).await?.created == position.created, MADE_ANEW);
        let mut session = Session {
            driver: self,
            consumer,
            jetstream,
            debouncer: Debouncer::new(self.sources.clone()),
            studies: Studies::new(self.study_quiet_period),
            watermark: Watermark::default(),
            bookmark: Bookmark { stream_created: position.created, last_sequence },
            broker_clock: BrokerClock::new(position.now),
            asked: Instant::now(),
        };
        let open = self.catalog.open_series().await?;
        tracing::info!(after = last_sequence, open_series = open.len(), "indexing");
        self.metrics.goes_on(last_sequence, open.len());
        session.debouncer.restore(open, self.catalog.disproved().await?);
        session.studies.restore(self.catalog.open_studies().await?, position.now);
        session.leave_studies().await?;
        self.health.ready();
        loop {
            let ask_at = session.ask_at();
            tokio::select! {
                deliveries = session.consumer.next() => session.commit(deliveries?).await?,
                () = sleep_until(ask_at.unwrap_or_else(Instant::now)), if ask_at.is_some() => {
                    session.ask().await?;
                }
                Some(study) = stored.recv() => session.stored(&study).await?,
            }
        }
    }
}

/// One run from the catalogue's state to the next failure.
struct Session<'a> {
    driver: &'a Driver,
    jetstream: jetstream::Context,
    consumer: Consumer,
    debouncer: Debouncer,
    studies: Studies,
    watermark: Watermark,
    bookmark: Bookmark,
    broker_clock: BrokerClock,
    /// When the broker was last asked for its time.
    asked: Instant,
}

impl Session<'_> {
    /// One batch: one transaction, then one acknowledgement.
    async fn commit(&mut self, mut deliveries: Deliveries) -> anyhow::Result<()> {
        let bytes = deliveries.bytes;
        self.record(std::mem::take(&mut deliveries.new), bytes).await?;
        deliveries.acknowledge().await?;
        self.decide(self.bookmark.last_sequence).await
    }

    async fn record(&mut self, deliveries: Vec<Delivery>, bytes: usize) -> anyhow::Result<()> {
        let Some(at) = deliveries.last().map(|delivery| delivery.at) else { return Ok(()) };
        let size = BatchSize { events: deliveries.len(), bytes };
        let Driver { sources, refusals, metrics, .. } = self.driver;
        let mut took = Duration::ZERO;
        let mut batch = Batch::new(self.bookmark);
        for delivery in deliveries {
            if let Reading::Dead { reason, error } = &delivery.reading {
                dead::bury(&self.jetstream, &delivery, reason, error).await?;
                refusals.count(Refused::Event, *reason);
            }
            batch.push(delivery.sequence, delivery.at, delivery.reading, sources);
            if batch.ends() {
                let next = Batch::new(batch.rows.bookmark);
                took += self.write(std::mem::replace(&mut batch, next)).await?;
            }
        }
        took += self.write(batch).await?;
        metrics.committed(&size, took, self.bookmark.last_sequence, at);
        metrics.open_series.set(self.debouncer.open_series() as i64);
        Ok(())
    }

    /// One transaction; gives how long it took. An empty batch needs none.
    async fn write(&mut self, batch: Batch) -> anyhow::Result<Duration> {
        if batch.rows.bookmark == self.bookmark {
            return Ok(Duration::ZERO);
        }
        let (catalog, debouncer) = (&self.driver.catalog, &mut self.debouncer);
        let began = Instant::now();
        let conclude = |recorded: &Recorded| batch.conclude(debouncer, recorded);
        let deleted = catalog.record(&batch.rows, conclude).await?;
        let took = began.elapsed();
        self.bookmark = batch.rows.bookmark;
        for event in &deleted {
            let (series, revision) = (&event.series_instance_uid, event.revision);
            tracing::info!(%series, revision, reason = event.reason.as_str(), "series deleted");
        }
        if !deleted.is_empty() {
            self.driver.outbox_filled.notify_one();
        }
        // A hundred small allocations an event: the thread that reads the next ones frees them sooner.
        tokio::spawn(async move { drop(batch) });
        Ok(took)
    }

    /// When to ask the broker for its time, if any series or study waits for it.
    fn ask_at(&self) -> Option<Instant> {
        let next = [self.debouncer.next_due(), self.studies.next_due()];
        let due = self.broker_clock.when(next.into_iter().flatten().min()?);
        let pause = if self.watermark.is_waiting() { ANSWER_LIFETIME } else { ASK_PAUSE };
        Some(due.max(self.asked + pause))
    }

    /// Asks the broker for its time and where the stream ends.
    async fn ask(&mut self) -> anyhow::Result<()> {
        let waited = self.watermark.is_waiting();
        let position = stream::position(&self.driver.nats).await?;
        self.asked = Instant::now();
        self.broker_clock = BrokerClock::new(position.now);
        ensure!(position.created == self.bookmark.stream_created, MADE_ANEW);
        self.watermark.asked(position);
        // The last event may have been deleted unread: the stream still ends with it, and it never comes.
        let all = waited
            && position.last > self.bookmark.last_sequence
            && consumer::has_read_all(&self.jetstream).await?;
        self.decide(if all { position.last } else { self.bookmark.last_sequence }).await?;
        if self.watermark.is_waiting() {
            self.consumer.hurry();
        }
        Ok(())
    }

    /// A series of the study was stored by HTTP. When, is what the broker's clock says now.
    async fn stored(&mut self, study: &str) -> anyhow::Result<()> {
        if self.studies.are_announced() {
            let now = stream::position(&self.driver.nats).await?.now;
            self.studies.series_completed(study, now);
        }
        self.leave_studies().await
    }

    /// Moves time on, if everything up to sequence `read` is as far as the stream went when the broker
    /// was asked, and writes down which series are complete by it.
    async fn decide(&mut self, read: u64) -> anyhow::Result<()> {
        let Some(watermark) = self.watermark.reached(read) else {
            return Ok(());
        };
        self.complete_series(watermark).await?;
        self.complete_studies(watermark).await
    }

    async fn complete_series(&mut self, watermark: Timestamp) -> anyhow::Result<()> {
        self.debouncer.advance(watermark);
        let metrics = &self.driver.metrics;
        metrics.reached(watermark);
        let completions: Vec<_> = std::iter::from_fn(|| self.debouncer.poll()).collect();
        if completions.is_empty() {
            return Ok(());
        }
        let events = self.driver.catalog.complete(&completions).await.context("completing")?;
        metrics.open_series.set(self.debouncer.open_series() as i64);
        // In the same order, without those that were not open any more.
        let mut decided = completions.iter();
        for event in events {
            let series = &event.series_instance_uid;
            if let Some(completion) = decided.find(|completion| completion.series == *series) {
                metrics.completed(completion);
            }
            tracing::info!(
                series = %event.series_instance_uid,
                revision = event.revision,
                reason = event.reason.as_str(),
                instances = event.instances_count,
                "series complete"
            );
            if !event.disagrees.is_empty() {
                metrics.disagreed();
                let why = Disagreement::told(&event.disagrees);
                tracing::warn!(series = %event.series_instance_uid, "of the series, {why}");
            }
            for study in event.studies() {
                self.studies.series_completed(study, event.completed_at);
            }
        }
        self.driver.outbox_filled.notify_one();
        self.leave_studies().await
    }

    async fn complete_studies(&mut self, watermark: Timestamp) -> anyhow::Result<()> {
        self.studies.advance(watermark);
        let due: Vec<_> = std::iter::from_fn(|| self.studies.poll()).collect();
        for due in due.chunks(STUDIES_AT_ONCE) {
            let decided = self.driver.catalog.complete_studies(due).await.context("completing")?;
            for study in &decided.waiting {
                self.studies.waits(study);
            }
            for event in &decided.complete {
                let (study, revision) = (&event.study_instance_uid, event.revision);
                let series = event.number_of_study_related_series;
                tracing::info!(study, revision, series, "study complete");
            }
            if !decided.complete.is_empty() {
                self.driver.outbox_filled.notify_one();
            }
        }
        Ok(())
    }

    /// Where studies are not announced, none is to be open.
    async fn leave_studies(&self) -> anyhow::Result<()> {
        if !self.studies.are_announced() {
            self.driver.catalog.forget_open_studies().await?;
        }
        Ok(())
    }
}

/// The broker's time as estimated here. It only says when to ask; it decides nothing.
struct BrokerClock {
    then: Timestamp,
    at: Instant,
}

impl BrokerClock {
    fn new(now: Timestamp) -> Self {
        Self { then: now, at: Instant::now() }
    }

    /// When the broker's clock will be past `time`, by ours.
    fn when(&self, time: Timestamp) -> Instant {
        // One more millisecond, since due is strictly before.
        let wait = time.duration_since(self.then).saturating_add(SignedDuration::from_millis(1));
        self.at + Duration::try_from(wait).unwrap_or(Duration::ZERO)
    }
}
