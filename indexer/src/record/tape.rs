//! One stream from a sequence to where it ends at the moment.

use crate::decision::Decision;
use crate::reading::{Reading, read};
use anyhow::Context as _;
use async_nats::Client;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use catalog::EventMark;
use futures_util::StreamExt;
use jiff::Timestamp;
use shared::election::{self, outlast};
use shared::ephemeral;
use shared::stream::{INSTANCES, SERIES};
use std::time::Duration;
use tokio::time::timeout;

/// How long the broker may take for the next message of a stream that has one.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

struct Tape {
    messages: pull::Ordered,
    left: u64,
}

/// What the broker says of a message.
#[derive(Debug, Clone, Copy)]
struct Delivered {
    sequence: u64,
    at: Timestamp,
}

impl Tape {
    async fn after(nats: &Client, name: &str, last: u64) -> anyhow::Result<Self> {
        let jetstream = election::jetstream(nats.clone());
        let consumer = outlast(nats, || async {
            let stream = jetstream.get_stream(name).await;
            let stream = stream.with_context(|| format!("stream {name}"))?;
            let config = pull::OrderedConfig {
                name: Some(ephemeral::name("replay")),
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: last + 1 },
                ..pull::OrderedConfig::default()
            };
            stream.create_consumer(config).await.context("reading the record")
        });
        let consumer = consumer.await?;
        let left = consumer.cached_info().num_pending;
        Ok(Self { messages: consumer.messages().await?, left })
    }

    async fn next(&mut self) -> anyhow::Result<Option<(Message, Delivered)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let message =
            timeout(MESSAGE_TIMEOUT, self.messages.next()).await.context("NATS is silent")?;
        let message = message.context("the record broke off")?.context("reading the record")?;
        let info = message.info().map_err(|error| anyhow::anyhow!("a message: {error}"))?;
        let at = Timestamp::from_nanosecond(info.published.unix_timestamp_nanos())?;
        let delivered = Delivered { sequence: info.stream_sequence, at };
        self.left = info.pending;
        Ok(Some((message, delivered)))
    }
}

/// An event of INSTANCES.
pub(super) struct Event {
    pub(super) sequence: u64,
    pub(super) mark: EventMark,
    pub(super) reading: Reading,
}

/// The events of INSTANCES, one after the other.
pub(super) struct Events {
    tape: Tape,
    next: Option<Event>,
}

impl Events {
    pub(super) async fn after(nats: &Client, last: u64) -> anyhow::Result<Self> {
        Ok(Self { tape: Tape::after(nats, INSTANCES, last).await?, next: None })
    }

    /// The next event, if its sequence is this at most.
    pub(super) async fn next_up_to(&mut self, sequence: u64) -> anyhow::Result<Option<Event>> {
        if self.next.is_none()
            && let Some((message, Delivered { sequence, at })) = self.tape.next().await?
        {
            let reading = read(&message.subject, &message.payload);
            let id = message.headers.as_ref().and_then(|headers| headers.get(NATS_MESSAGE_ID));
            let message_id = id.map(ToString::to_string).unwrap_or_default();
            let mark = EventMark { at, message_id };
            self.next = Some(Event { sequence, mark, reading });
        }
        Ok(self.next.take_if(|event| event.sequence <= sequence))
    }
}

/// What SERIES says, one after the other.
pub struct Decisions {
    tape: Tape,
}

/// A message of SERIES.
#[derive(Debug)]
pub struct Found {
    /// Its sequence in SERIES.
    pub sequence: u64,
    /// When the broker stored it.
    pub at: Timestamp,
    /// What was decided; `None` where it can't be read.
    pub decision: Option<Decision>,
}

impl Decisions {
    /// What comes after sequence `last` of SERIES.
    ///
    /// # Errors
    /// When the broker does not give it.
    pub async fn after(nats: &Client, last: u64) -> anyhow::Result<Self> {
        Ok(Self { tape: Tape::after(nats, SERIES, last).await? })
    }

    /// The next of them; messages that decide nothing are passed over.
    ///
    /// # Errors
    /// When the broker does not give it.
    pub async fn next(&mut self) -> anyhow::Result<Option<Found>> {
        while let Some((message, Delivered { sequence, at })) = self.tape.next().await? {
            match Decision::read(&message.subject, &message.payload) {
                Ok(None) => {}
                Ok(decision) => return Ok(Some(Found { sequence, at, decision })),
                Err(error) => {
                    // Its text may repeat a value, and that a patient's name.
                    let (line, column) = (error.line(), error.column());
                    tracing::warn!(
                        "SERIES has something at {sequence} that is not what its subject says: line \
                         {line} column {column}; passed over"
                    );
                    return Ok(Some(Found { sequence, at, decision: None }));
                }
            }
        }
        Ok(None)
    }
}
