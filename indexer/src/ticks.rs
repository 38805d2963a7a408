//! What time it is, where INSTANCES has replicas. A server that was cut off from the others still answers that it leads
//! the stream, and when, while the others store more: what it says is the time of nothing. So the question is an event
//! of the stream itself. It is stored only where most servers agree, and its time counts once it is read.

use anyhow::{Context as _, ensure};
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishError;
use catalog::EventMark;
use completion::clock::Answer;
use contract::event::{ClockTicked, Event as _, INDEXER};
use jiff::Timestamp;
use shared::acknowledgements::is_passing;
use shared::settings::host_name;
use shared::stream::headers;
use std::time::Duration;
use tokio::time::timeout;

/// How long the broker may take to store one. An election lasts longer: then the next one asks.
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
    /// Whether one is published and not read yet.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Publishes the next one at `now` by our monotonic clock; gives its sequence, or `None` where there is nobody to
    /// store it just now. One that is not read yet is forgotten.
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
        let stored = match timeout(STORE_TIMEOUT, store(jetstream, &tick)).await {
            Ok(stored) => stored?,
            Err(_elapsed) => return Ok(None),
        };
        match stored {
            Ok(sequence) => Ok(Some(sequence)),
            Err(error) if is_passing(&error) => {
                tracing::debug!(%error, "a tick was not stored; the next one will be");
                Ok(None)
            }
            Err(error) => Err(error).context("asking INSTANCES for the time"),
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

/// Has one stored: so the servers that we reach have a leader that the others follow. Gives its sequence.
///
/// # Errors
/// When it is not stored.
pub async fn confirm_leader(jetstream: &Context) -> anyhow::Result<u64> {
    let stored = timeout(STORE_TIMEOUT, store(jetstream, &tick())).await;
    let sequence =
        stored.context("INSTANCES has no leader")??.context("INSTANCES has no leader")?;
    ensure!(sequence > 0, "INSTANCES stored nothing");
    Ok(sequence)
}

fn tick() -> ClockTicked {
    ClockTicked {
        node_name: host_name(),
        tick_id: uuid::Uuid::new_v4().to_string(),
        asked_at: Timestamp::now(),
    }
}

async fn store(
    jetstream: &Context,
    tick: &ClockTicked,
) -> anyhow::Result<Result<u64, PublishError>> {
    let subject = tick.subject();
    let headers = headers(&subject, INDEXER, &tick.id(), tick.asked_at);
    let payload = serde_json::to_vec(tick)?;
    let stored = jetstream.publish_with_headers(subject.to_string(), headers, payload.into());
    Ok(async { Ok(stored.await?.await?.sequence) }.await)
}
