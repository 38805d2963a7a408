//! Reading a stream of the broker in order, from a place on, without a durable consumer: whoever
//! reads knows how far it came, and begins again there when anything breaks.

use anyhow::{Context as _, bail};
use async_nats::datetime::DateTime;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{Context, Message, stream};
use futures_util::StreamExt;
use shared::ephemeral;
use shared::stream::{INSTANCES, SERIES};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// How long one request for events stands, and how often the broker says that it still does. After
/// two beats without a word the reading has failed.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const PULL_HEARTBEAT: Duration = Duration::from_secs(2);

/// Events that are under way at one time.
const BATCH: usize = 200;

/// How long the broker may take to begin.
pub(super) const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the broker keeps the consumer of a reader that could not take leave. One whose listener
/// stalls may ask for nothing as long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// A stream that is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// What was received.
    Instances,
    /// What was decided.
    Series,
}

impl Stream {
    pub(super) const BOTH: [Self; 2] = [Self::Instances, Self::Series];

    /// Its name on the broker.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Instances => INSTANCES,
            Self::Series => SERIES,
        }
    }

    /// The subjects whose events are told as they are.
    pub(super) fn subjects(self) -> &'static [&'static str] {
        match self {
            Self::Instances => &["dicom.association.>"],
            Self::Series => &["dicom.series.>", "dicom.study.>"],
        }
    }
}

/// A stream as the broker has it now.
///
/// # Errors
/// When the broker does not say.
pub(super) async fn look(jetstream: &Context, stream: Stream) -> anyhow::Result<stream::Stream> {
    let asked = timeout(BROKER_TIMEOUT, jetstream.get_stream(stream.name())).await;
    asked.context("NATS does not answer")?.context(stream.name())
}

/// One event of a stream.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) sequence: u64,
    /// When the broker stored it.
    pub(super) at: DateTime,
    /// How many more there were when the broker sent it.
    pub(super) pending: u64,
    pub(super) message: Message,
}

/// Reads a stream in order.
pub(super) struct Reader {
    stream: Stream,
    messages: pull::Stream,
    /// How many the broker has sent: a gap means that some were lost on the way.
    delivered: u64,
    /// How many there were to be read when it began.
    pub(super) pending: u64,
    _consumer: Borrowed,
}

/// A consumer on the broker, which keeps a limited number of them: given back when its reader goes.
struct Borrowed {
    jetstream: Context,
    stream: Stream,
    name: String,
    /// A listener that reads for itself keeps its permit until the broker has removed the consumer.
    permit: Option<ListenerPermit>,
}

/// Permission to listen: there are `MAX_EVENT_SUBSCRIBERS`.
pub(super) type ListenerPermit = Arc<OwnedSemaphorePermit>;

impl Drop for Borrowed {
    fn drop(&mut self) {
        // Without a runtime the process is about to end, and the broker forgets by itself.
        let Ok(runtime) = Handle::try_current() else { return };
        let (jetstream, stream) = (self.jetstream.clone(), self.stream.name());
        let (name, permit) = (std::mem::take(&mut self.name), self.permit.take());
        runtime.spawn(async move {
            // It may be gone already, and the broker with it.
            let gone = jetstream.delete_consumer_from_stream(name, stream);
            let _ = timeout(BROKER_TIMEOUT, gone).await;
            drop(permit);
        });
    }
}

impl Reader {
    /// Begins to read what is on `subjects`; `permit` is held until the broker has removed the consumer.
    ///
    /// # Errors
    /// When the broker can't, or does not answer.
    pub(super) async fn open(
        jetstream: &Context,
        stream: Stream,
        subjects: &[&str],
        from: DeliverPolicy,
        permit: Option<ListenerPermit>,
    ) -> anyhow::Result<Self> {
        let config = pull::Config {
            name: Some(ephemeral::name("events")),
            description: Some("tells of events by HTTP".to_owned()),
            deliver_policy: from,
            ack_policy: AckPolicy::None,
            filter_subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
            inactive_threshold: FORGOTTEN_AFTER,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let open = async {
            let consumer = jetstream.create_consumer_on_stream(config, stream.name()).await?;
            let pending = consumer.cached_info().num_pending;
            let name = consumer.cached_info().name.clone();
            let _consumer = Borrowed { jetstream: jetstream.clone(), stream, name, permit };
            let messages = consumer.stream().max_messages_per_batch(BATCH);
            let messages = messages.expires(PULL_EXPIRES).heartbeat(PULL_HEARTBEAT);
            let messages = messages.messages().await?;
            anyhow::Ok(Self { stream, messages, delivered: 0, pending, _consumer })
        };
        let opened = timeout(BROKER_TIMEOUT, open).await.context("NATS does not answer")?;
        opened.with_context(|| format!("reading {}", stream.name()))
    }

    /// What it reads.
    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    /// The next event. Can be cancelled without loss.
    ///
    /// # Errors
    /// When the broker is silent or has lost something on the way: begin again.
    pub(super) async fn next(&mut self) -> anyhow::Result<Delivery> {
        let name = self.stream.name();
        let Some(message) = self.messages.next().await else {
            bail!("{name}: the broker ended it")
        };
        let message = message.with_context(|| format!("reading {name}"))?;
        let info = message.info().map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        let (sequence, at, pending) = (info.stream_sequence, info.published, info.pending);
        self.delivered += 1;
        if info.consumer_sequence != self.delivered {
            bail!("{name}: events were lost before {sequence}");
        }
        Ok(Delivery { sequence, at, pending, message })
    }
}
