//! What the broker delivers, decoded, and its acknowledgement.

use super::order::{Arrival, Order};
use crate::reading::{Reading, read};
use anyhow::{Context as _, bail};
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::Message;
use catalog::EventMark;
use jiff::Timestamp;

/// Why it begins again where a sequence has another event than before.
const OTHER_STREAM: &str = "INSTANCES has lost its end";

/// One event of the stream.
#[derive(Debug)]
pub struct Delivery {
    /// Its sequence in INSTANCES.
    pub sequence: u64,
    /// What tells it from another event of that sequence.
    pub mark: EventMark,
    /// How many events are gone from the stream right before it.
    pub gone: u64,
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

impl Deliveries {
    /// Whether nothing came.
    #[must_use]
    pub fn are_empty(&self) -> bool {
        self.latest.is_none()
    }

    /// Takes what the broker delivers, as far as it is new.
    ///
    /// # Errors
    /// When it is no delivery, or others before it are missing.
    pub fn take(&mut self, message: Message, order: &mut Order) -> anyhow::Result<()> {
        let info = message.info().map_err(|error| anyhow::anyhow!("a delivery: {error}"))?;
        let sequence = info.stream_sequence;
        let at = Timestamp::from_nanosecond(info.published.unix_timestamp_nanos())
            .context("the time of a delivery")?;
        match order.place(sequence, info.consumer_sequence, at) {
            Arrival::Next { gone } => {
                let id = message.headers.as_ref().and_then(|headers| headers.get(NATS_MESSAGE_ID));
                let message_id = id.map(ToString::to_string).unwrap_or_default();
                let mark = EventMark { at, message_id };
                let reading = read(&message.subject, &message.payload);
                let dead = matches!(reading, Reading::Dead { .. }).then(|| message.clone());
                self.bytes += message.payload.len();
                self.new.push(Delivery { sequence, mark, gone, reading, dead });
            }
            Arrival::Again => {}
            Arrival::Other => bail!("{OTHER_STREAM}: {sequence} is another event than before"),
            Arrival::Early { missing } => bail!("{missing} events are missing before {sequence}"),
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
