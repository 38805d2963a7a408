//! The durable consumer on INSTANCES: what has been read, in the order of the stream and without
//! a gap. The next batch is read and decoded while one is committed.

mod account;
mod deliveries;
mod exchange;
mod order;
mod requests;

pub use deliveries::{Deliveries, Delivery};
pub use order::{Arrival, Order};

use account::End;
use anyhow::{Context as _, anyhow};
use async_nats::jetstream;
use async_nats::jetstream::consumer::{
    self, AckPolicy, DeliverPolicy, IntoConsumerConfig as _, PullConsumer, SequenceInfo, pull,
};
use async_nats::jetstream::context::{ConsumerInfoError, ConsumerInfoErrorKind};
use async_nats::jetstream::stream::Stream;
use catalog::Bookmark;
use requests::Requests;
use shared::durable;
use shared::election::outlast;
use shared::stream::{INSTANCES, Position};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// Name of the consumer.
pub const NAME: &str = "indexer";

/// Events in one batch at most, which is one transaction. A backlog fills them, and each costs a sync
/// of the disk and a row of each series that it touches; larger ones gain little and take memory.
pub const BATCH: usize = 2000;

/// Events that may wait for their acknowledgement: one batch that is committed, one that is read, and
/// those whose acknowledgement is under way.
const MAX_ACK_PENDING: usize = 8 * BATCH;

/// From one look at the stream to the next while few events come. Each event costs the broker and us
/// several times less in a batch than one by one, and each commit a sync of the disk to which
/// nats-server syncs the next instances.
const PAUSE: Duration = Duration::from_millis(50);

/// Reads INSTANCES from where the catalogue ends.
pub struct Consumer {
    batches: mpsc::Receiver<anyhow::Result<Deliveries>>,
    hurry: Arc<Notify>,
    _reader: AbortOnDropHandle<()>,
}

/// Where to go on reading: after the sequence given, which is 0 for the beginning.
///
/// The catalogue's bookmark decides, not the consumer's own position: a restored catalogue lies
/// behind the acknowledgements, and a consumer knows nothing of what its dead client committed.
/// A bookmark in another stream, or beyond the end of this one, says nothing; reading an event
/// twice is harmless, missing one is not.
#[must_use]
pub fn resume_after(bookmark: Option<&Bookmark>, position: &Position) -> u64 {
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
    let asked = || async { stream.consumer_info(NAME).await.context("the consumer") };
    let consumer = outlast(&jetstream.client(), asked).await?;
    Ok(consumer.num_pending == 0 && consumer.num_ack_pending == 0)
}

impl Consumer {
    /// Has the consumer deliver what comes after `last`: goes on with the one that is there if that is where it
    /// stands, else makes it anew, so that nothing waits for the acknowledgement of a client that is gone. An event
    /// that isn't acknowledged within `ack_wait` is delivered again: a commit takes milliseconds, and one that takes
    /// longer than this is delivered twice and counted once.
    ///
    /// # Errors
    /// When the broker can't.
    pub async fn start(
        jetstream: &jetstream::Context,
        last: u64,
        ack_wait: Duration,
    ) -> anyhow::Result<Self> {
        let config = pull::Config {
            durable_name: Some(NAME.to_owned()),
            description: Some("writes the catalogue".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: last + 1 },
            // What is committed is so up to a sequence, and so it is acknowledged.
            ack_policy: AckPolicy::All,
            ack_wait,
            // One that reaches a limit would vanish from the backlog without a word.
            max_deliver: -1,
            max_ack_pending: MAX_ACK_PENDING as i64,
            ..pull::Config::default()
        };
        let made = || async {
            let stream = jetstream.get_stream(INSTANCES).await.context("INSTANCES")?;
            match kept(&stream).await? {
                Some(kept) if stands_after(last, &config, &kept) => return Ok(kept),
                Some(_) => {
                    stream.delete_consumer(NAME).await.context("the old consumer")?;
                }
                None => {}
            }
            durable::create(&stream, config.clone()).await.context("the consumer")
        };
        let consumer = outlast(&jetstream.client(), made).await?;
        let delivered = consumer.cached_info().delivered.consumer_sequence;
        tracing::debug!(last, delivered, "reading INSTANCES");
        let requests = Requests::start(jetstream, consumer).await.context("reading INSTANCES")?;
        let (sender, batches) = mpsc::channel(1);
        let hurry = Arc::new(Notify::new());
        let reader =
            read_ahead(requests, Order::after(last, delivered), Arc::clone(&hurry), sender);
        let _reader = AbortOnDropHandle::new(tokio::spawn(reader));
        Ok(Self { batches, hurry, _reader })
    }

    /// The next events. Can be cancelled without loss.
    ///
    /// # Errors
    /// When the broker is gone, or events came out of order: start again from the catalogue.
    pub async fn next(&mut self) -> anyhow::Result<Deliveries> {
        self.batches.recv().await.context("reading INSTANCES ended")?
    }

    /// Has what is in the stream by now read without a pause: a decision waits for it.
    pub fn hurry(&self) {
        self.hurry.notify_one();
    }
}

/// The consumer as the broker has it; `None` where there is none.
async fn kept(stream: &Stream) -> anyhow::Result<Option<PullConsumer>> {
    match stream.get_consumer(NAME).await {
        Ok(kept) => Ok(Some(kept)),
        Err(error) => match error.downcast::<ConsumerInfoError>() {
            Ok(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(None),
            Ok(error) => Err(*error).context("the old consumer"),
            Err(error) => Err(anyhow!("the old consumer: {error}")),
        },
    }
}

/// Whether a consumer that is there delivers next what comes after `last`, to us and to nobody else: all before is
/// acknowledged, nothing after is delivered, and no request of another reader stands that would be served first.
fn stands_after(last: u64, wanted: &pull::Config, kept: &PullConsumer) -> bool {
    let info = kept.cached_info();
    let config = &info.config;
    let as_wanted = consumer::Config {
        // From where it began, and what NATS fills in.
        deliver_policy: config.deliver_policy,
        name: config.name.clone(),
        max_waiting: config.max_waiting,
        num_replicas: config.num_replicas,
        metadata: config.metadata.clone(),
        ..wanted.into_consumer_config()
    };
    let is_at = |it: &SequenceInfo| it.stream_sequence == last;
    let is_idle = info.num_ack_pending == 0 && info.num_waiting == 0;
    config == &as_wanted && is_at(&info.delivered) && is_at(&info.ack_floor) && is_idle
}

/// Reads one batch while one is committed, until something fails or nobody wants them any more.
async fn read_ahead(
    mut requests: Requests,
    mut order: Order,
    hurry: Arc<Notify>,
    batches: mpsc::Sender<anyhow::Result<Deliveries>>,
) {
    while let Ok(place) = batches.reserve().await {
        let mut deliveries = Deliveries::default();
        match requests.next(&mut deliveries, &mut order).await {
            Ok(looked) => {
                place.send(Ok(deliveries));
                if looked != End::Full {
                    tokio::select! {
                        () = sleep(PAUSE) => {}
                        () = hurry.notified() => {}
                    }
                }
            }
            Err(error) if deliveries.are_empty() => return place.send(Err(error)),
            Err(error) => {
                // What came before it is good, and need not be read again.
                place.send(Ok(deliveries));
                let _ = batches.send(Err(error)).await;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn position(created: i64, last: u64) -> Position {
        Position { created: at(created), first: 1, last, bytes: 0, replicas: 1, now: at(100) }
    }

    fn bookmark(created: i64, last_sequence: u64) -> Option<Bookmark> {
        Some(Bookmark::new(at(created), last_sequence))
    }

    #[test]
    fn reading_goes_on_after_the_bookmark() {
        assert_eq!(resume_after(bookmark(1, 7).as_ref(), &position(1, 9)), 7);
        assert_eq!(resume_after(bookmark(1, 9).as_ref(), &position(1, 9)), 9);
    }

    #[test]
    fn a_bookmark_that_is_not_of_this_stream_is_not_believed() {
        assert_eq!(resume_after(None, &position(1, 9)), 0);
        assert_eq!(resume_after(bookmark(1, 7).as_ref(), &position(2, 9)), 0, "made again");
        assert_eq!(
            resume_after(bookmark(1, 12).as_ref(), &position(1, 9)),
            0,
            "restored from a backup"
        );
    }
}
