//! The broker's time where INSTANCES has replicas. A server that was cut off from its peers still answers
//! `STREAM.INFO` as the leader, while the others store more, so its answer can't be the watermark. Instead the indexer
//! publishes an event, `dicom.clock`. It is stored only where most servers agree, and the time at which it was stored
//! counts once the event is read back.

use anyhow::Context as _;
use async_nats::jetstream::Context;
use catalog::EventMark;
use completion::clock::Answer;
use contract::event::ClockTicked;
use jiff::Timestamp;
use shared::acknowledgements::is_passing;
use shared::election::outlast;
use shared::message::Message;
use shared::settings::host_name;
use std::time::Duration;
use tokio::time::timeout;

/// How long the broker may take to store a tick. An election lasts longer; the next tick is stored after it.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The ticks of one session.
#[derive(Debug, Default)]
pub struct Ticks {
    /// The latest that was published: its id, and when, by our monotonic clock.
    pending: Option<(String, Duration)>,
    /// It was read: its sequence, and when the broker stored it.
    read: Option<(u64, Timestamp)>,
}

impl Ticks {
    /// Whether a tick is published and not read yet.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Publishes the next tick at `now` by our monotonic clock. Gives its sequence, or `None` if the broker can't store
    /// it just now. A tick that is not read yet is forgotten.
    ///
    /// # Errors
    /// When the broker refuses it for good.
    pub async fn publish(
        &mut self,
        jetstream: &Context,
        now: Duration,
    ) -> anyhow::Result<Option<u64>> {
        let tick = tick();
        self.pending = Some((tick.tick_id.clone(), now));
        let stored = timeout(STORE_TIMEOUT, Message::of(&tick)?.store(jetstream)).await;
        match stored {
            Ok(Ok(stored)) => Ok(Some(stored.sequence)),
            Ok(Err(error)) if !is_passing(&error) => Err(error).context("asking for the time"),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

    /// An event was read.
    pub fn read(&mut self, sequence: u64, mark: &EventMark) {
        if self.pending.as_ref().is_some_and(|(id, _)| *id == mark.message_id) {
            self.read = Some((sequence, mark.at));
        }
    }

    /// The time of the tick that was read, with its sequence, once what was read with it is committed at `now`.
    pub fn answer(&mut self, now: Duration) -> Option<(u64, Answer)> {
        let (sequence, at) = self.read.take()?;
        let (_, asked) = self.pending.take()?;
        Some((sequence, Answer { now: at, asked, answered: now }))
    }
}

/// Stores a tick, which proves that the servers that we reach have a leader with a majority behind it; waits for
/// the end of an election. Gives its sequence.
///
/// # Errors
/// When it is not stored.
pub async fn confirm_leader(jetstream: &Context) -> anyhow::Result<u64> {
    const NO_LEADER: &str = "INSTANCES has no leader";
    let tick = Message::of(&tick())?;
    outlast(&jetstream.client(), || async {
        let stored = timeout(STORE_TIMEOUT, tick.clone().store(jetstream)).await;
        Ok(stored.context(NO_LEADER)?.context(NO_LEADER)?.sequence)
    })
    .await
}

fn tick() -> ClockTicked {
    ClockTicked {
        node_name: host_name(),
        tick_id: uuid::Uuid::new_v4().to_string(),
        asked_at: Timestamp::now(),
    }
}
