//! The durable consumer on INSTANCES: what has been read, in the order of the stream and without
//! a gap. The next batch is read and decoded while one is committed.

use crate::reading::{Reading, read};
use anyhow::{Context as _, bail};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{self, Message};
use futures_util::StreamExt;
use jiff::Timestamp;
use shared::catalog::Bookmark;
use shared::stream::{INSTANCES, Position};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Name of the consumer.
pub const NAME: &str = "indexer";

/// Events in one batch at most, which is one transaction. A backlog fills them, and each costs a sync
/// of the disk and a row of each series that it touches; larger ones gain little and take memory.
pub const BATCH: usize = 2000;

/// Bytes of events in one batch at most, but for one event. Ordinary events have 1 or 2 KiB.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Events that the broker is asked for at a time: as many may wait undecoded.
const PULL: usize = 1000;

/// The same in bytes, if a message may not be longer. The broker cuts the connection of a client that
/// has 64 MiB before it, so however large events are, no more than twice this is under way.
const PULL_BYTES: usize = 4 * 1024 * 1024;

/// Events that may wait for their acknowledgement: one batch that is committed, one that is read, and
/// what the broker was asked for besides.
const MAX_ACK_PENDING: i64 = 4 * BATCH as i64;

/// How long one request for events stands, and how often the broker says that it still does.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);

/// One event of the stream.
#[derive(Debug)]
pub struct Delivery {
    /// Its sequence in INSTANCES.
    pub sequence: u64,
    /// When the broker stored it.
    pub at: Timestamp,
    /// What it is.
    pub reading: Reading,
    /// The event as it came, if it can't be read.
    pub dead: Option<Message>,
}

/// What one look at the stream brought.
#[derive(Debug, Default)]
pub struct Deliveries {
    /// Events to commit, in the order of the stream and without a gap. None where all that came were
    /// committed before and only need their acknowledgement.
    pub new: Vec<Delivery>,
    /// The latest of them in the stream: its acknowledgement is that of all before it.
    latest: Option<(u64, Message)>,
    /// The payloads of the new ones, together.
    pub bytes: usize,
}

/// Keeps the order of the stream: each event once and none left out, whatever is delivered.
#[derive(Debug, Clone)]
pub struct Order {
    /// Sequence of the last event that was handed out.
    last: u64,
    /// How many deliveries the consumer had made by the one that came last. It numbers them from 1 on,
    /// those that never arrive too.
    deliveries: u64,
}

/// What a delivery is in the order of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The next event, after this many that are no longer in the stream.
    Next {
        /// How many are gone.
        gone: u64,
    },
    /// It was handed out before.
    Again,
    /// This many were left out before it. They were delivered to a connection that broke, and will
    /// come again, later; to keep the order, everything is read again from there.
    Early {
        /// How many are missing.
        missing: u64,
    },
}

impl Order {
    /// Goes on after sequence `last`, which is 0 for the beginning, with a consumer that has delivered
    /// nothing yet.
    #[must_use]
    pub fn after(last: u64) -> Self {
        Self { last, deliveries: 0 }
    }

    /// Where an event stands that is delivered, as the consumer's delivery of that number.
    pub fn place(&mut self, sequence: u64, delivery: u64) -> Place {
        // No other delivery was lost before this one, so what the stream has not is gone from it.
        let follows = delivery == self.deliveries + 1;
        self.deliveries = delivery;
        if sequence <= self.last {
            return Place::Again;
        }
        let missing = sequence - self.last - 1;
        if missing > 0 && !follows {
            return Place::Early { missing };
        }
        let gone = if self.last > 0 { missing } else { 0 };
        self.last = sequence;
        Place::Next { gone }
    }
}

/// Reads INSTANCES from where the catalogue ends.
pub struct Consumer {
    batches: mpsc::Receiver<anyhow::Result<Deliveries>>,
    wants: mpsc::Sender<()>,
    /// A batch was asked for and has not come.
    wanted: bool,
    _reader: AbortOnDropHandle<()>,
}

/// Where to go on reading: after the sequence given, which is 0 for the beginning.
///
/// The catalogue's bookmark decides, not the consumer's own position: a restored catalogue lies
/// behind the acknowledgements, and a consumer knows nothing of what its dead client committed.
/// A bookmark in another stream, or beyond the end of this one, says nothing; reading an event
/// twice is harmless, missing one is not.
#[must_use]
pub fn resume_after(bookmark: Option<Bookmark>, position: &Position) -> u64 {
    match bookmark {
        Some(bookmark)
            if bookmark.stream_created == position.created
                && bookmark.last_sequence <= position.last =>
        {
            bookmark.last_sequence
        }
        _ => 0,
    }
}

/// Whether everything in the stream was delivered and acknowledged, which is only done with what is
/// committed.
///
/// # Errors
/// When the broker does not answer, or has no such consumer.
pub async fn has_read_all(jetstream: &jetstream::Context) -> anyhow::Result<bool> {
    let stream = jetstream.get_stream_no_info(INSTANCES).await.context("INSTANCES")?;
    let consumer = stream.consumer_info(NAME).await.context("the consumer")?;
    Ok(consumer.num_pending == 0 && consumer.num_ack_pending == 0)
}

impl Consumer {
    /// Makes the consumer anew, so that it delivers what comes after `last` and nothing waits for
    /// the acknowledgement of a client that is gone. An event that isn't acknowledged within
    /// `ack_wait` is delivered again: a commit takes milliseconds, and one that takes longer than
    /// this is delivered twice and counted once.
    ///
    /// # Errors
    /// When the broker can't.
    pub async fn start(
        jetstream: &jetstream::Context,
        last: u64,
        ack_wait: Duration,
    ) -> anyhow::Result<Self> {
        let stream = jetstream.get_stream(INSTANCES).await.context("INSTANCES")?;
        if stream.consumer_info(NAME).await.is_ok() {
            stream.delete_consumer(NAME).await.context("the old consumer")?;
        }
        let consumer = stream
            .create_consumer(pull::Config {
                durable_name: Some(NAME.to_owned()),
                description: Some("writes the catalogue".to_owned()),
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: last + 1 },
                // What is committed is so up to a sequence, and so it is acknowledged.
                ack_policy: AckPolicy::All,
                ack_wait,
                // One that reaches a limit would vanish from the backlog without a word.
                max_deliver: -1,
                max_ack_pending: MAX_ACK_PENDING,
                ..pull::Config::default()
            })
            .await
            .context("the consumer")?;
        let max_payload = jetstream.client().server_info().max_payload;
        let messages = consumer
            .stream()
            .max_messages_per_batch(PULL)
            .max_bytes_per_batch(PULL_BYTES.max(2 * max_payload))
            .expires(PULL_EXPIRES)
            .heartbeat(PULL_HEARTBEAT)
            .messages()
            .await
            .context("reading INSTANCES")?;
        // One of either at most is under way.
        let ((wants, wanted), (sender, batches)) = (mpsc::channel(1), mpsc::channel(1));
        let reader = tokio::spawn(read_ahead(messages, Order::after(last), wanted, sender));
        let _reader = AbortOnDropHandle::new(reader);
        Ok(Self { batches, wants, wanted: false, _reader })
    }

    /// The next events, as many as are there. Can be cancelled without loss.
    ///
    /// # Errors
    /// When the broker is gone, or events came out of order: start again from the catalogue.
    pub async fn next(&mut self) -> anyhow::Result<Deliveries> {
        // Where the reader has ended, what it ended of is still to be received.
        self.wanted = self.wanted || self.wants.try_send(()).is_ok();
        let batch = self.batches.recv().await.context("reading INSTANCES ended")?;
        self.wanted = false;
        batch
    }
}

/// Reads batches, each as large as it gets until it is wanted or full, until something fails.
async fn read_ahead(
    mut messages: pull::Stream,
    mut order: Order,
    mut wanted: mpsc::Receiver<()>,
    batches: mpsc::Sender<anyhow::Result<Deliveries>>,
) {
    let mut deliveries = Deliveries::default();
    loop {
        tokio::select! {
            biased;
            message = messages.next(), if !deliveries.are_full() => {
                let Err(error) = deliveries.take(message, &mut order) else { continue };
                // What came before it is good, and need not be read again. Nobody hears it where the
                // driver has begun again.
                if deliveries.are_empty() || batches.send(Ok(deliveries)).await.is_ok() {
                    let _ = batches.send(Err(error)).await;
                }
                return;
            }
            wanted = wanted.recv(), if !deliveries.are_empty() => {
                let batch = Ok(std::mem::take(&mut deliveries));
                if wanted.is_none() || batches.send(batch).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Deliveries {
    fn are_full(&self) -> bool {
        self.new.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    fn are_empty(&self) -> bool {
        self.latest.is_none()
    }

    fn take<E>(
        &mut self,
        message: Option<Result<Message, E>>,
        order: &mut Order,
    ) -> anyhow::Result<()>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let Some(message) = message else { bail!("the broker ended it") };
        let message = message.context("reading INSTANCES")?;
        let info = message.info().map_err(|error| anyhow::anyhow!("a delivery: {error}"))?;
        let sequence = info.stream_sequence;
        let at = Timestamp::from_nanosecond(info.published.unix_timestamp_nanos())
            .context("the time of a delivery")?;
        match order.place(sequence, info.consumer_sequence) {
            Place::Next { gone } => {
                if gone > 0 {
                    tracing::warn!(gone, before = sequence, "events are gone");
                }
                let reading = read(&message.subject, &message.payload);
                let dead = matches!(reading, Reading::Dead { .. }).then(|| message.clone());
                self.bytes += message.payload.len();
                self.new.push(Delivery { sequence, at, reading, dead });
            }
            Place::Again => {}
            Place::Early { missing } => bail!("{missing} events are missing before {sequence}"),
        }
        if self.latest.as_ref().is_none_or(|(latest, _)| *latest <= sequence) {
            self.latest = Some((sequence, message));
        }
        Ok(())
    }

    /// Tells the broker that the events are committed, and so are all before them.
    ///
    /// # Errors
    /// When the connection is gone for good.
    pub async fn acknowledge(&self) -> anyhow::Result<()> {
        let Some((_, message)) = &self.latest else { return Ok(()) };
        message.ack().await.map_err(|error| anyhow::anyhow!("acknowledging: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn position(created: i64, last: u64) -> Position {
        Position { created: at(created), first: 1, last, bytes: 0, now: at(100) }
    }

    fn bookmark(created: i64, last_sequence: u64) -> Option<Bookmark> {
        Some(Bookmark { stream_created: at(created), last_sequence })
    }

    #[test]
    fn reading_goes_on_after_the_bookmark() {
        assert_eq!(resume_after(bookmark(1, 7), &position(1, 9)), 7);
        assert_eq!(resume_after(bookmark(1, 9), &position(1, 9)), 9);
    }

    #[test]
    fn what_is_gone_from_the_stream_is_told_from_what_was_lost_on_the_way() {
        let mut order = Order::after(7);
        assert_eq!(order.place(8, 1), Place::Next { gone: 0 });
        assert_eq!(order.place(8, 2), Place::Again);
        assert_eq!(order.place(11, 3), Place::Next { gone: 2 });
        // Deliveries 4 and 5 never arrived.
        assert_eq!(order.place(14, 6), Place::Early { missing: 2 });
    }

    #[test]
    fn nothing_is_left_out_at_the_beginning_either() {
        assert_eq!(Order::after(0).place(3, 1), Place::Next { gone: 0 }, "trimmed long ago");
        assert_eq!(Order::after(7).place(10, 1), Place::Next { gone: 2 }, "trimmed meanwhile");
        for last in [0, 7] {
            let first = Order::after(last).place(last + 3, 3);
            assert_eq!(first, Place::Early { missing: 2 }, "the first two were lost");
        }
    }

    #[test]
    fn a_bookmark_that_is_not_of_this_stream_is_not_believed() {
        assert_eq!(resume_after(None, &position(1, 9)), 0);
        assert_eq!(resume_after(bookmark(1, 7), &position(2, 9)), 0, "made again");
        assert_eq!(resume_after(bookmark(1, 12), &position(1, 9)), 0, "restored from a backup");
    }
}
