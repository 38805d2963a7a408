//! Whether the broker takes what is received: while it does not, this receiver is not ready, so that
//! whoever watches or balances it knows before its senders complain.

use anyhow::{Context as _, ensure};
use async_nats::jetstream::Context;
use shared::health::Part;
use shared::stream::INSTANCES;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How often the broker is asked, while it takes nothing, whether it would again.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What has to be free in the stream for it to be ready.
const ROOM: u64 = 64 * 1024;

/// What is known of the broker from what became of the latest events.
#[derive(Debug)]
pub struct Broker {
    health: Part,
    refuses: AtomicBool,
    refused: Notify,
}

impl Broker {
    /// Taken to be well until it refuses something.
    #[must_use]
    pub fn new(health: Part) -> Self {
        health.ready();
        Self { health, refuses: AtomicBool::new(false), refused: Notify::new() }
    }

    /// It has stored an event.
    pub fn stored(&self) {
        if self.refuses.load(Ordering::Relaxed) && self.refuses.swap(false, Ordering::Relaxed) {
            self.health.ready();
        }
    }

    /// It has not, for this reason.
    pub fn refused(&self, reason: String) {
        self.health.not_ready(reason);
        self.refuses.store(true, Ordering::Relaxed);
        self.refused.notify_one();
    }

    /// Finds out when the broker is well again, though no sender tries, until told to stop.
    pub async fn watch(&self, jetstream: &Context, stop: &CancellationToken) {
        let watching = async {
            loop {
                self.refused.notified().await;
                while self.refuses.load(Ordering::Relaxed) {
                    tokio::time::sleep(ASK_EVERY).await;
                    match has_room(jetstream).await {
                        Ok(()) => self.stored(),
                        Err(error) => self.health.not_ready(format!("{error:#}")),
                    }
                }
            }
        };
        stop.run_until_cancelled(watching).await;
    }
}

async fn has_room(jetstream: &Context) -> anyhow::Result<()> {
    let stream = jetstream.get_stream(INSTANCES).await.context("NATS does not answer")?;
    let info = stream.cached_info();
    let limit = u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX);
    ensure!(info.state.bytes.saturating_add(ROOM) <= limit, "the stream {INSTANCES} is full");
    Ok(())
}
