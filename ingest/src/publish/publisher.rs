//! Publishing to the broker: events whose acknowledgement is awaited, events that are published without one,
//! and before any of them the start of this process.

use crate::publish::health::{Outage, PublishHealth};
use crate::publish::refused::{PublishRefused, may_be_stored};
use anyhow::ensure;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use contract::event::{Event, IngestResumed, IngestStarted};
use jiff::Timestamp;
use prometheus_client::metrics::histogram::Histogram;
use shared::acknowledgements::is_passing;
use shared::message::Message;
use shared::stream;
use std::mem;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long an event that is published without an acknowledgement may hold up its publisher: the connection
/// takes it at once unless it is stuck.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(1);

/// Pause before the broker is asked, while it stores nothing, whether it would again.
const ASK_PAUSE: Duration = Duration::from_secs(1);

/// Pause before an event is published again that nobody took: as long as an election lasts, many are made.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// In how many parts the time for one event is divided: after each without an acknowledgement the event is
/// published again. A connection that is dead is found out and made anew by the last of them.
const TRIES: u32 = 4;

/// Pause between two tries to have the start of this process stored while nobody waits for it.
const START_PAUSE: Duration = Duration::from_secs(1);

/// An event that the broker has not acknowledged.
#[derive(Debug)]
pub(crate) struct NotPublished {
    /// Why.
    pub refused: PublishRefused,
    /// Whether it may be stored all the same.
    pub may_be_stored: bool,
}

/// Publishes the events of this process through one connection, in order.
#[derive(Debug)]
pub(crate) struct Publisher {
    jetstream: Context,
    timeout: Duration,
    health: PublishHealth,
    /// How long it takes to acknowledge, in seconds.
    acknowledged_after: Histogram,
    start: IngestStarted,
    /// Set once `start` is stored. Nothing else is published before: what comes after it in the
    /// stream must be of this process or a later one of its name.
    started: OnceCell<()>,
}

impl Publisher {
    /// Publishes through `jetstream` for the receiver `node_name`; `timeout` is for all tries of
    /// one event together, and `acknowledged_after` gets the seconds of each that succeeds.
    #[must_use]
    pub(crate) fn new(
        mut jetstream: Context,
        timeout: Duration,
        node_name: String,
        health: PublishHealth,
        acknowledged_after: Histogram,
    ) -> Self {
        // A lost acknowledgement is noticed while there is still time for another try.
        jetstream.set_timeout(timeout / TRIES);
        let start = IngestStarted {
            node_name,
            start_id: uuid::Uuid::new_v4().to_string(),
            started_at: Timestamp::now(),
        };
        let started = OnceCell::new();
        Self { jetstream, timeout, health, acknowledged_after, start, started }
    }

    /// Has the start of this process stored, unless it is. Ok means that other events may follow.
    ///
    /// # Errors
    /// When the broker has not acknowledged it; the next event tries again.
    pub(crate) async fn start(&self) -> Result<(), PublishRefused> {
        let started = self.start_until(Instant::now() + self.timeout).await;
        if let Err(error) = &started {
            self.health.refused(error);
        }
        started
    }

    /// Has the start of this process stored, however long that takes, or until told to stop.
    pub(crate) async fn start_eventually(&self, stop: &CancellationToken) {
        let started = async {
            while let Err(error) = self.start().await {
                tracing::warn!(%error, "the start of this receiver is not published; trying again");
                tokio::time::sleep(START_PAUSE).await;
            }
        };
        stop.run_until_cancelled(started).await;
    }

    /// Publishes an event. Ok means that the broker has acknowledged it as stored.
    ///
    /// # Errors
    /// When it has not. It may be stored all the same: the catalogue counts it once.
    pub(crate) async fn publish<E: Event>(&self, event: &E) -> Result<(), PublishRefused> {
        self.publish_or_tell(event).await.map_err(|not_published| not_published.refused)
    }

    /// As [`Publisher::publish`], for whoever has to undo what an event names that is surely not stored.
    ///
    /// # Errors
    /// When the broker has not acknowledged it, and whether it may be stored all the same.
    pub(crate) async fn publish_or_tell<E: Event>(&self, event: &E) -> Result<(), NotPublished> {
        let deadline = Instant::now() + self.timeout;
        let mut may_be_stored = false;
        let published = async {
            self.start_until(deadline).await?;
            self.store(event, deadline, &mut may_be_stored).await
        };
        match published.await {
            Ok(()) => {
                self.health.stored();
                Ok(())
            }
            Err(refused) => {
                self.health.refused(&refused);
                Err(NotPublished { refused, may_be_stored })
            }
        }
    }

    /// Why the next event would not be stored, while an outage of the broker lasts; see [`Publisher::watch`].
    pub(crate) fn outage(&self) -> Option<PublishRefused> {
        self.health.refusal()
    }

    /// Finds out after each outage of the broker when it stores events again, though no sender tries,
    /// and publishes that: that the event is stored is what shows it. Until told to stop.
    pub(crate) async fn watch(&self, stop: &CancellationToken) {
        let watching = async {
            for number in 1.. {
                let Outage { refused_at, cause } = self.health.outage().await;
                let IngestStarted { node_name, start_id, .. } = self.start.clone();
                let event =
                    IngestResumed { node_name, start_id, outage: number, cause, refused_at };
                loop {
                    tokio::time::sleep(ASK_PAUSE).await;
                    match self.resume(&event).await {
                        Ok(()) => break self.health.stored(),
                        Err(error) => self.health.refused(&error),
                    }
                }
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    async fn resume(&self, event: &IngestResumed) -> Result<(), PublishRefused> {
        let deadline = Instant::now() + self.timeout;
        let has_room = timeout_at(deadline, stream::has_room(&self.jetstream)).await;
        let has_room = has_room.map_err(|_: Elapsed| PublishRefused::TimedOut(self.timeout))?;
        match has_room {
            Ok(true) => {}
            Ok(false) => return Err(PublishRefused::Full),
            Err(error) => {
                tracing::debug!("cannot check the free space of INSTANCES: {error:#}");
                return Err(PublishRefused::Nobody("nobody answers"));
            }
        }
        self.start_until(deadline).await?;
        // The same event every time until it is stored, so one that is there already is that of an earlier try.
        self.store(event, deadline, &mut true).await
    }

    /// Publishes an event without waiting until it is stored: it comes before all that is
    /// published later, or not at all. Returns whether it went out.
    pub(crate) async fn publish_unacknowledged<E: Event>(&self, event: &E) -> bool {
        let said = self.hand_over(event).await;
        if let Err(error) = &said {
            tracing::debug!(subject = %event.subject(), "event not published: {error:#}");
        }
        said.is_ok()
    }

    async fn hand_over<E: Event>(&self, event: &E) -> anyhow::Result<()> {
        ensure!(self.started.initialized(), "the start of this receiver is not published yet");
        let Message { subject, headers, payload } = Message::of(event)?;
        let client = self.jetstream.client();
        timeout(HAND_OVER_TIMEOUT, client.publish_with_headers(subject, headers, payload))
            .await??;
        Ok(())
    }

    /// One caller tries at a time; the others wait for it, each no longer than its own deadline.
    async fn start_until(&self, deadline: Instant) -> Result<(), PublishRefused> {
        // The same event every time, so one that is there already is that of an earlier try.
        let start = self
            .started
            .get_or_try_init(async || self.store(&self.start, deadline, &mut true).await);
        match timeout_at(deadline, start).await {
            Ok(started) => started.map(|_| ()),
            Err(_elapsed) => Err(PublishRefused::TimedOut(self.timeout)),
        }
    }

    /// Tries until the deadline to have an event stored. `stored` is whether earlier tries may have stored it, and
    /// afterwards whether any try may have.
    async fn store<E: Event>(
        &self,
        event: &E,
        deadline: Instant,
        stored: &mut bool,
    ) -> Result<(), PublishRefused> {
        let message = Message::of(event)
            .map_err(|error| PublishRefused::Refused { code: None, detail: error.to_string() })?;
        let mut refused = PublishRefused::TimedOut(self.timeout);
        loop {
            // The same id every time, so a try whose acknowledgement was lost is not stored twice.
            let before = mem::replace(stored, true);
            let error = match timeout_at(deadline, self.try_once(message.clone())).await {
                Err(_elapsed) => return Err(refused),
                Ok(Ok(duplicate)) if duplicate && !before => {
                    return Err(PublishRefused::Duplicate);
                }
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => error,
            };
            *stored = before || may_be_stored(&error);
            if error.kind() == PublishErrorKind::TimedOut {
                continue;
            }
            refused = PublishRefused::from_error(&error);
            // An outage that outlasted one event's time is none that passes by: then senders are told at once.
            if !is_passing(&error) || self.health.refusal().is_some() {
                return Err(refused);
            }
            let again = Instant::now() + RETRY_PAUSE;
            if again >= deadline {
                return Err(refused);
            }
            sleep_until(again).await;
        }
    }

    async fn try_once(&self, message: Message) -> Result<bool, PublishError> {
        let tried_at = Instant::now();
        let duplicate = message.store(&self.jetstream).await?.duplicate;
        self.acknowledged_after.observe(tried_at.elapsed().as_secs_f64());
        Ok(duplicate)
    }
}
