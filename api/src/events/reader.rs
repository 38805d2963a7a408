//! Reading a stream of the broker in order, from a place on, without a durable consumer: whoever
//! reads knows how far it came, and begins again there when anything breaks.

use anyhow::{Context as _, bail};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{Context, Message};
use futures_util::StreamExt;
use shared::stream::{INSTANCES, SERIES};
use std::time::Duration;
use tokio::time::timeout;

/// How long one request for events stands, and how often the broker says that it still does. After
/// two beats without a word the reading has failed.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const PULL_HEARTBEAT: Duration = Duration::from_secs(2);

/// Events that are under way at one time.
const BATCH: usize = 200;

/// How long the broker may take to begin.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long the broker keeps a reader that is gone.
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
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Instances => "dicom.association.>",
            Self::Series => "dicom.series.completed.>",
        }
    }
}

/// Sequence of the latest event of a stream.
///
/// # Errors
/// When the broker does not say.
pub(super) async fn last_sequence(jetstream: &Context, stream: Stream) -> anyhow::Result<u64> {
    let asked = timeout(PATIENCE, jetstream.get_stream(stream.name())).await;
    let stream = asked.context("NATS does not answer")?.context(stream.name())?;
    Ok(stream.cached_info().state.last_sequence)
}

/// One event of a stream.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) sequence: u64,
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
}

impl Reader {
    /// Begins to read what is on `subjects`.
    ///
    /// # Errors
    /// When the broker can't, or does not answer.
    pub(super) async fn open(
        jetstream: &Context,
        stream: Stream,
        subjects: &[&str],
        from: DeliverPolicy,
    ) -> anyhow::Result<Self> {
        let config = pull::Config {
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
            let messages = consumer.stream().max_messages_per_batch(BATCH);
            let messages = messages.expires(PULL_EXPIRES).heartbeat(PULL_HEARTBEAT);
            anyhow::Ok(Self { stream, messages: messages.messages().await?, delivered: 0, pending })
        };
        let opened = timeout(PATIENCE, open).await.context("NATS does not answer")?;
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
        let (sequence, pending) = (info.stream_sequence, info.pending);
        self.delivered += 1;
        if info.consumer_sequence != self.delivered {
            bail!("{name}: events were lost before {sequence}");
        }
        Ok(Delivery { sequence, pending, message })
    }
}
