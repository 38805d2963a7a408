//! One run of the indexer's loop, from the catalogue's state to the next failure: what is committed, asked and
//! decided.

use super::{Driver, LOOK_EVERY, MADE_ANEW};
use crate::batch::Batch;
use crate::consumer::{self, Consumer, Deliveries, Delivery};
use crate::dead;
use crate::metrics::BatchSize;
use crate::reading::Reading;
use crate::ticks::Ticks;
use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use catalog::{Bookmark, Committed, Loss, LossCause, Recorded};
use completion::Decided;
use completion::clock::{Answer, Clock, Step};
use completion::debounce::{Debouncer, Watermark};
use completion::studies::Studies;
use contract::event::{Disagreement, RegistrationRequested};
use jiff::{SignedDuration, Timestamp};
use shared::metrics::Refused;
use shared::stream;
use std::time::Duration;
use tokio::time::Instant;

/// Shortest time between two questions for the broker's time.
const ASK_PAUSE: Duration = Duration::from_millis(10);

/// The same where the question is an event of the stream.
const TICK_PAUSE: Duration = Duration::from_millis(50);

/// How long an answer is waited for to be reached by what is read, before the question is asked anew:
/// what is decided must not be older than that, since instances that came later are not read yet.
const ANSWER_LIFETIME: Duration = Duration::from_secs(1);

/// Why it begins again with a stream that ends before what was read of it.
const LOST_ITS_END: &str = "INSTANCES has lost its end";

/// Pause between two transactions with decisions. SQLite has no queue of writers: one that waits tries again every
/// 100 ms at the latest, and has to find the catalogue free.
const BETWEEN: Duration = Duration::from_millis(50);

/// See [`RegistrationRequested::LIFETIME`].
const REGISTRATION_LIFETIME: SignedDuration =
    SignedDuration::from_secs(RegistrationRequested::LIFETIME.as_secs() as i64);

/// Series that are completed in one transaction, and studies, each of as many series as it has.
/// However many are due at once, others write their turn in between, and events are read on.
const SERIES_AT_ONCE: usize = 250;
const STUDIES_AT_ONCE: usize = 50;

/// Why it begins again with a broker that may not have what the one before had.
const RECONNECTED: &str = "NATS was connected to anew";

/// One run from the catalogue's state to the next failure.
pub(super) struct Session<'a> {
    pub(super) driver: &'a Driver,
    pub(super) jetstream: jetstream::Context,
    pub(super) consumer: Consumer,
    pub(super) debouncer: Debouncer,
    pub(super) studies: Studies,
    pub(super) watermark: Watermark,
    /// How the time is asked for where the stream has replicas.
    pub(super) ticks: Option<Ticks>,
    pub(super) bookmark: Bookmark,
    /// How often the broker had been connected to as this began.
    pub(super) connects: u64,
    /// The beginning of the monotonic time of `clock`.
    pub(super) began: Instant,
    pub(super) clock: Clock,
    /// When the broker was last asked for its time.
    pub(super) asked: Instant,
    /// When a transaction with decisions last ended.
    pub(super) decided: Instant,
}

impl Session<'_> {
    /// One batch: one transaction, then one acknowledgement.
    pub(super) async fn commit(&mut self, mut deliveries: Deliveries) -> anyhow::Result<()> {
        self.is_connected_as_before()?;
        let bytes = deliveries.bytes;
        self.pass_over_late(&mut deliveries.new).await?;
        self.record(std::mem::take(&mut deliveries.new), bytes).await?;
        deliveries.acknowledge().await?;
        let read = self.ticks.as_mut().and_then(|ticks| ticks.answer(self.began.elapsed()));
        if let Some((sequence, answer)) = read {
            self.watermark.asked(sequence..=sequence, answer);
        }
        self.decide(self.bookmark.last_sequence).await
    }

    /// Passes over requests to register a series that come too late to count: whoever asked knows by now that there
    /// is no answer.
    async fn pass_over_late(&self, deliveries: &mut [Delivery]) -> anyhow::Result<()> {
        let is_request =
            |it: &&mut Delivery| matches!(it.reading, Reading::RegistrationRequested(_));
        let mut requests = deliveries.iter_mut().filter(is_request).peekable();
        if requests.peek().is_none() {
            return Ok(());
        }
        let now = stream::position(&self.driver.nats).await?.now;
        for late in requests.filter(|it| now.duration_since(it.mark.at) > REGISTRATION_LIFETIME) {
            if let Reading::RegistrationRequested(event) = &late.reading {
                let series = &event.series_instance_uid;
                tracing::warn!(%series, "request to register a series ignored: it came too late");
            }
            late.reading = Reading::Nothing;
        }
        Ok(())
    }

    async fn record(&mut self, deliveries: Vec<Delivery>, bytes: usize) -> anyhow::Result<()> {
        let Some(at) = deliveries.last().map(|delivery| delivery.mark.at) else { return Ok(()) };
        let size = BatchSize { events: deliveries.len(), bytes };
        let Driver { senders, refusals, metrics, .. } = self.driver;
        let mut took = Duration::ZERO;
        let mut batch = Batch::new(self.bookmark.clone());
        for delivery in deliveries {
            if delivery.gone > 0 {
                self.lose(&delivery).await?;
            }
            if let Reading::Dead { reason, error } = &delivery.reading {
                dead::bury(&self.jetstream, &delivery, reason, error).await?;
                refusals.count(Refused::Event, *reason);
            }
            if let Some(ticks) = &mut self.ticks {
                ticks.read(delivery.sequence, &delivery.mark);
            }
            if !batch.takes(&delivery.reading) {
                let next = Batch::new(batch.rows.bookmark.clone());
                took += self.write(std::mem::replace(&mut batch, next)).await?;
            }
            batch.push(delivery.sequence, delivery.mark, delivery.reading, senders);
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
        let Committed { deleted, registered } = catalog.record(&batch.rows, conclude).await?;
        let took = began.elapsed();
        self.bookmark = batch.rows.bookmark.clone();
        self.follow_steps().await?;
        for event in &deleted {
            let (series, revision) = (&event.series_instance_uid, event.revision);
            tracing::info!(%series, revision, reason = event.reason.as_str(), "series deleted");
        }
        for event in &registered {
            let (series, instances) = (&event.series_instance_uid, event.instances_count);
            tracing::info!(%series, revision = event.revision, instances, "series registered");
            self.driver.metrics.series_registered();
            let latest = self.bookmark.latest.unwrap_or(event.completed_at);
            self.studies.series_completed(&event.study_instance_uid, latest);
        }
        if !registered.is_empty() {
            self.leave_studies().await?;
        }
        if !(deleted.is_empty() && registered.is_empty() && batch.rows.releases.is_empty()) {
            self.driver.outbox_filled.notify_one();
        }
        // A hundred small allocations an event: the thread that reads the next ones frees them sooner.
        tokio::spawn(async move { drop(batch) });
        Ok(took)
    }

    /// Events are gone that nobody has read.
    async fn lose(&mut self, next: &Delivery) -> anyhow::Result<()> {
        let position = stream::position(&self.driver.nats).await?;
        let (first, last) = (next.sequence - next.gone, next.sequence - 1);
        let cause = if last < position.first { LossCause::Purged } else { LossCause::Missing };
        let loss = Loss { first, last, cause, noticed_at: position.now };
        if self.driver.catalog.lose(&loss).await? {
            self.driver.losses.report(&loss);
        }
        self.debouncer.know_losses();
        Ok(())
    }

    /// What the stream has may be another thing once the broker was away, and the catalogue once its server was.
    pub(super) fn is_connected_as_before(&self) -> anyhow::Result<()> {
        ensure!(self.driver.connects() == self.connects, RECONNECTED);
        Ok(self.driver.catalog.check_begun()?)
    }

    /// What is due next, a series or a study.
    fn next_due(&self) -> Option<Timestamp> {
        [self.debouncer.next_due(), self.studies.next_due()].into_iter().flatten().min()
    }

    /// When to go on deciding, if more is due by the watermark than one transaction takes.
    pub(super) fn decide_at(&self) -> Option<Instant> {
        let is_due = self.debouncer.is_due() || self.studies.are_due();
        is_due.then_some(self.decided + BETWEEN)
    }

    /// When to ask the broker for its time, if any series or study waits for it.
    pub(super) fn ask_at(&self) -> Option<Instant> {
        if self.decide_at().is_some() {
            return None;
        }
        let due = self.began + self.clock.until(self.next_due()?, Duration::ZERO);
        if let Some(ticks) = &self.ticks {
            let pause = if ticks.is_pending() { ANSWER_LIFETIME } else { TICK_PAUSE };
            return Some(due.max(self.asked + pause));
        }
        let pause = if self.watermark.is_waiting() { ANSWER_LIFETIME } else { ASK_PAUSE };
        Some(due.min(self.asked + LOOK_EVERY).max(self.asked + pause))
    }

    /// Asks the broker for its time and where the stream ends.
    pub(super) async fn ask(&mut self) -> anyhow::Result<()> {
        if let Some(ticks) = &mut self.ticks {
            // By an event of the stream, whose time counts once it is read.
            let published = ticks.publish(&self.jetstream, self.began.elapsed()).await;
            self.asked = Instant::now();
            if let Some(sequence) = published? {
                ensure!(sequence > self.bookmark.last_sequence, LOST_ITS_END);
                self.consumer.hurry();
            }
            return Ok(());
        }
        let waited = self.watermark.is_waiting();
        let asked = self.began.elapsed();
        let position = stream::position(&self.driver.nats).await?;
        self.asked = Instant::now();
        ensure!(position.created == self.bookmark.stream_created, MADE_ANEW);
        ensure!(position.last >= self.bookmark.last_sequence, LOST_ITS_END);
        let answer = Answer { now: position.now, asked, answered: self.began.elapsed() };
        self.watermark.asked(position.first..=position.last, answer);
        // The last event may have been deleted unread: the stream still ends with it, and it never comes.
        let all = waited
            && position.last > self.bookmark.last_sequence
            && consumer::has_read_all(&self.jetstream).await?;
        self.decide(if all { position.last } else { self.bookmark.last_sequence }).await?;
        if self.watermark.is_waiting() && self.next_due().is_some_and(|due| due < position.now) {
            self.consumer.hurry();
        }
        Ok(())
    }

    /// Moves time on, if everything up to sequence `read` is as far as the stream went when the broker
    /// was asked, and writes down what is complete by it, or the first part of that.
    async fn decide(&mut self, read: u64) -> anyhow::Result<()> {
        let Some(reached) = self.watermark.reached(read) else {
            return Ok(());
        };
        let watermark = reached.answer.now;
        // What came after the answer is later than it.
        let latest = self.debouncer.latest().filter(|_| read <= reached.last);
        if let Some(step) = self.clock.answered(reached.answer, latest) {
            self.step(&step).await?;
        }
        let is_deciding = self.decide_at().is_some();
        self.debouncer.advance(watermark);
        self.studies.advance(watermark);
        self.driver.metrics.watermark_advanced(watermark);
        // What was due before goes on at its own pace, and this with it.
        if is_deciding { Ok(()) } else { self.decide_some().await }
    }

    /// Writes down what is due, as much as one transaction takes. Events that come before the rest is
    /// written down may open or close what is due: it is decided with them. What a crash leaves is open in the
    /// catalogue, and decided again.
    pub(super) async fn decide_some(&mut self) -> anyhow::Result<()> {
        self.complete_series().await?;
        self.complete_studies().await?;
        self.decided = Instant::now();
        Ok(())
    }

    /// The broker's clock was set, as its answers show: what is open moves along.
    async fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        tracing::warn!(by = %step.by, "the clock of NATS was set; open series are shifted by the same step");
        self.debouncer.step(step);
        self.studies.step(step);
        self.bookmark.latest = self.debouncer.latest();
        let unchanged = Batch::new(self.bookmark.clone()).rows;
        let debouncer = &mut self.debouncer;
        self.driver.catalog.record(&unchanged, |_| debouncer.take_consequences()).await?;
        Ok(self.driver.catalog.move_open_studies(&self.studies.open()).await?)
    }

    /// The same, as events have shown.
    async fn follow_steps(&mut self) -> anyhow::Result<()> {
        for step in self.debouncer.take_steps() {
            tracing::warn!(by = %step.by, "the clock of NATS was set back between two events");
            // What was answered before says nothing of what comes.
            self.clock.forget();
            self.watermark = Watermark::default();
            self.studies.step(&step);
            self.driver.catalog.move_open_studies(&self.studies.open()).await?;
        }
        Ok(())
    }

    async fn complete_series(&mut self) -> anyhow::Result<()> {
        let metrics = &self.driver.metrics;
        let due = std::iter::from_fn(|| self.debouncer.poll());
        let due: Vec<_> = due.take(SERIES_AT_ONCE).collect();
        if due.is_empty() {
            return Ok(());
        }
        let (mut completions, mut questions) = (Vec::new(), Vec::new());
        for decided in due {
            match decided {
                Decided::Complete(completion) => completions.push(completion),
                Decided::Ask(question) => questions.push(question),
                Decided::Wait => {}
            }
        }
        let (kept, catalog) = (self.debouncer.take_consequences(), &self.driver.catalog);
        let decided = catalog.decide(&completions, &questions, &kept).await;
        let events = decided.context("completing")?;
        for question in &questions {
            let (series, source) = (&question.series, &question.source);
            tracing::debug!(%series, source, "source asked how many instances it has");
        }
        metrics.open_series.set(self.debouncer.open_series() as i64);
        for (sender, pauses) in &kept.pauses {
            metrics.pauses.learnt(sender, pauses);
        }
        // In the same order, without those that were not open any more.
        let mut decided = completions.iter();
        for event in events {
            let series = &event.series_instance_uid;
            if let Some(completion) = decided.find(|completion| completion.series == *series) {
                metrics.completed(completion);
                if let Some(at_source) = completion.at_source {
                    tracing::warn!(%series, at_source, "the source of the series has more instances");
                }
                if completion.missing > 0 {
                    let missing = completion.missing;
                    tracing::warn!(%series, missing, "acknowledged instances of the series are lost");
                }
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
                let why = Disagreement::summary(&event.disagrees);
                tracing::warn!(series = %event.series_instance_uid, "instances of the series disagree: {why}");
            }
            for study in event.studies() {
                self.studies.series_completed(study, event.completed_at);
            }
        }
        self.driver.outbox_filled.notify_one();
        self.leave_studies().await
    }

    async fn complete_studies(&mut self) -> anyhow::Result<()> {
        let due = std::iter::from_fn(|| self.studies.poll());
        let due: Vec<_> = due.take(STUDIES_AT_ONCE).collect();
        if due.is_empty() {
            return Ok(());
        }
        let decided = self.driver.catalog.complete_studies(&due).await.context("completing")?;
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
        Ok(())
    }

    /// Where studies are not announced, none is to be open.
    pub(super) async fn leave_studies(&self) -> anyhow::Result<()> {
        if !self.studies.are_announced() {
            self.driver.catalog.forget_open_studies().await?;
        }
        Ok(())
    }
}
