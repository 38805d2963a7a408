//! The indexer's loop: read a batch, commit it, acknowledge it; ask the broker for its time when a
//! series is due; write down what is complete.
//!
//! All that it knows is in the catalogue and in the stream. So there is one way to recover from
//! anything, a failed commit, a lost connection, a restart: begin again from the catalogue.

mod session;

use crate::consumer::{Consumer, resume_after};
use crate::continuity;
use crate::lease::Lease;
use crate::losses::Losses;
use crate::metrics::IndexerMetrics;
use crate::record;
use crate::ticks::{Ticks, confirm_leader};
use anyhow::ensure;
use async_nats::{Client, jetstream};
use catalog::{Bookmark, CatalogWriter, LossCause};
use completion::Senders;
use completion::clock::Clock;
use completion::debounce::{Debouncer, Watermark};
use completion::studies::Studies;
use jiff::SignedDuration;
use session::Session;
use shared::election::{self, is_passing, outlast};
use shared::errands;
use shared::health::Part;
use shared::metrics::Refusals;
use shared::stream::{self, Position};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often the broker's clock is looked at while a series is open, so that a step of it is known for what
/// it is before much else has happened; and how often it is seen whether the connection is still the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why it begins again with a stream that is not the one that it has read.
const MADE_ANEW: &str = "INSTANCES was made anew";

/// How often it is written down how far SERIES is in the catalogue: what was announced since is looked
/// through at the next start.
const KEEP_SERIES_BOOKMARK: Duration = Duration::from_secs(60);

/// First and longest pause before beginning again after a failure.
const RECOVERY_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Longest pause where nothing failed but that NATS did not answer, or had no leader.
const ELECTION_PAUSE: Duration = Duration::from_secs(1);

/// What the loop works with.
pub struct Driver {
    /// The broker.
    pub nats: Client,
    /// What makes it the one indexer on it.
    pub lease: Lease,
    /// The catalogue, which this process owns.
    pub catalog: CatalogWriter,
    /// How it is decided that a series is complete.
    pub senders: Senders,
    /// Whether any source may ask for storage commitment, so that receivers report on it.
    pub commitments: bool,
    /// The same of a study; `None` when studies are not announced.
    pub study_quiet_period: Option<SignedDuration>,
    /// See the settings.
    pub ack_wait: Duration,
    /// Told when there is something in the outbox.
    pub outbox_filled: std::sync::Arc<Notify>,
    /// Whether the loop does its work.
    pub health: Part,
    /// Where it is said what the stream has lost.
    pub losses: Losses,
    /// Counts dead letters.
    pub refusals: Refusals,
    /// Counts the rest.
    pub metrics: IndexerMetrics,
}

impl Driver {
    /// Runs until told to stop, and begins again after every failure.
    pub async fn run(&self, stop: CancellationToken) {
        let mut pause = RECOVERY_PAUSE.0;
        while !stop.is_cancelled() {
            let began = Instant::now();
            let error = tokio::select! {
                ended = self.read_on() => match ended {
                    Ok(never) => match never {},
                    Err(error) => error,
                },
                () = stop.cancelled() => return,
            };
            if began.elapsed() > RECOVERY_PAUSE.1 {
                pause = RECOVERY_PAUSE.0;
            }
            // An election is soon over.
            if is_passing(&error) {
                pause = pause.min(ELECTION_PAUSE);
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
    async fn read_on(&self) -> anyhow::Result<std::convert::Infallible> {
        self.catalog.begin_again().await?;
        let jetstream = election::jetstream(self.nats.clone());
        let connects = self.connects();
        // The consumer of another one is not ours to delete.
        self.lease.check().await?;
        let mut position = stream::position(&self.nats).await?;
        let ticks = (position.replicas > 1).then(Ticks::default);
        if ticks.is_some() {
            // A server that was cut off from the others would say that the stream has lost its end.
            let sequence = confirm_leader(&jetstream).await?;
            position = stream::position(&self.nats).await?;
            ensure!(position.last >= sequence, "the leader of INSTANCES has changed");
        }
        let bookmark = self.bookmark(&jetstream, &position).await?;
        let taken_up =
            record::take_up(&self.nats, &self.catalog, &self.senders, &position, bookmark);
        let bookmark = Box::pin(taken_up).await?;
        let last_sequence = bookmark.last_sequence;
        if self.senders.ask() {
            errands::ensure(&jetstream, errands::QUESTIONS).await?;
        }
        if self.senders.fetch() {
            errands::ensure(&jetstream, errands::FETCHES).await?;
        }
        if self.commitments {
            errands::ensure(&jetstream, errands::COMMITMENTS).await?;
        }
        let consumer = Consumer::start(&jetstream, last_sequence, self.ack_wait).await?;
        // Of a stream that was made anew meanwhile it would not read the beginning.
        ensure!(stream::position(&self.nats).await?.created == position.created, MADE_ANEW);
        let mut session = Session {
            driver: self,
            consumer,
            jetstream,
            debouncer: Debouncer::new(self.senders.clone()),
            studies: Studies::new(self.study_quiet_period),
            watermark: Watermark::default(),
            ticks,
            bookmark,
            connects,
            began: Instant::now(),
            clock: Clock::default(),
            asked: Instant::now(),
            decided: Instant::now(),
        };
        if let Some(latest) = session.bookmark.latest {
            session.debouncer.resume(latest);
        }
        if self.catalog.losses().await?.iter().any(|loss| loss.cause != LossCause::Replaced) {
            session.debouncer.know_losses();
        }
        let open = self.catalog.open_series().await?;
        tracing::info!(after = last_sequence, open_series = open.len(), "indexing");
        self.metrics.resumed(last_sequence, open.len());
        session.debouncer.restore(open, self.catalog.disproved().await?);
        session.debouncer.restore_sources(self.catalog.asked_sources().await?);
        session.debouncer.restore_lists(self.catalog.lists().await?);
        session.debouncer.restore_pauses(self.catalog.pauses().await?);
        self.metrics.pauses.resumed(session.debouncer.pauses());
        session.studies.restore(self.catalog.open_studies().await?, position.now);
        session.leave_studies().await?;
        self.health.ready();
        let mut keep_series_bookmark = interval(KEEP_SERIES_BOOKMARK);
        keep_series_bookmark.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (decide_at, ask_at) = (session.decide_at(), session.ask_at());
            tokio::select! {
                deliveries = session.consumer.next() => session.commit(deliveries?).await?,
                () = sleep_until(decide_at.unwrap_or_else(Instant::now)), if decide_at.is_some() => {
                    session.decide_some().await?;
                }
                () = sleep_until(ask_at.unwrap_or_else(Instant::now)), if ask_at.is_some() => {
                    session.ask().await?;
                }
                () = sleep(LOOK_EVERY) => session.is_connected_as_before()?,
                _ = keep_series_bookmark.tick() => {
                    record::has_taken_up_all(&self.nats, &self.catalog).await?;
                }
            }
        }
    }

    /// Where to go on: where the catalogue ends, or where the stream that is there parts from it.
    async fn bookmark(
        &self,
        jetstream: &jetstream::Context,
        position: &Position,
    ) -> anyhow::Result<Bookmark> {
        let mut bookmark = self.catalog.bookmark().await?;
        if let Some(kept) = &mut bookmark
            && kept.stream_created == position.created
            && let Some(parting) = outlast(&self.nats, || async {
                continuity::parting(jetstream, &self.catalog, kept, position).await
            })
            .await?
        {
            self.catalog.go_back(parting.common, &parting.loss).await?;
            self.losses.report(&parting.loss);
            (kept.last_sequence, kept.event, kept.latest) = (parting.common, None, None);
        }
        let last_sequence = resume_after(bookmark.as_ref(), position);
        match bookmark {
            Some(bookmark) if bookmark.last_sequence == last_sequence => {
                Ok(Bookmark { stream_created: position.created, ..bookmark })
            }
            None => Ok(Bookmark::new(position.created, 0)),
            Some(_) => {
                tracing::warn!(
                    "INSTANCES is not the stream that was read before: reading all of it"
                );
                Ok(Bookmark::new(position.created, 0))
            }
        }
    }

    /// How often the broker was connected to.
    fn connects(&self) -> u64 {
        self.nats.statistics().connects.load(Ordering::Relaxed)
    }
}
