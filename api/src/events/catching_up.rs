//! What a listener missed since the event that it names: read again from the streams.

use super::reader::{PATIENCE, Reader, Stream};
use super::told::{Place, Told};
use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::DeliverPolicy;
use std::time::Duration;
use tokio::time::timeout;

/// Events of one stream that are told again at most. Who missed more asks for the series instead.
const MOST: u64 = 10_000;

/// The streams are read side by side, so an event of one may be told this much later than a younger
/// one of the other: that far back the other stream is told again.
const OVERLAP: Duration = Duration::from_secs(10);

/// Reads what was missed, one stream after the other.
pub(super) struct CatchingUp {
    readers: Vec<Reader>,
}

/// What there is for a listener that names an event.
pub(super) enum Missed {
    /// This.
    Told(CatchingUp),
    /// Nobody can tell, for this reason.
    Unknown(&'static str),
}

impl CatchingUp {
    /// Begins after an event: with all that follows it in its own stream, and all of the other
    /// stream since about then.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub(super) async fn after(jetstream: &Context, last: Place) -> anyhow::Result<Missed> {
        let stream = timeout(PATIENCE, jetstream.get_stream(last.stream.name())).await;
        let stream = stream.context("NATS does not answer")?.context(last.stream.name())?;
        let state = &stream.cached_info().state;
        if last.sequence > state.last_sequence {
            return Ok(Missed::Unknown("the stream was made anew since then"));
        }
        // The event itself tells when it was; without it nobody knows what else is gone.
        let asked = timeout(PATIENCE, stream.get_raw_message(last.sequence)).await;
        let Ok(event) = asked.context("NATS does not answer")? else {
            return Ok(Missed::Unknown("the event of that id is no longer kept"));
        };
        let mut readers = Vec::new();
        for stream in Stream::BOTH {
            let from = match stream == last.stream {
                true => DeliverPolicy::ByStartSequence { start_sequence: last.sequence + 1 },
                false => DeliverPolicy::ByStartTime { start_time: event.time - OVERLAP },
            };
            let reader = Reader::open(jetstream, stream, &[stream.told()], from).await?;
            if reader.pending > MOST {
                return Ok(Missed::Unknown("too many events came since then"));
            }
            if reader.pending > 0 {
                readers.push(reader);
            }
        }
        Ok(Missed::Told(Self { readers }))
    }

    /// The next event that was missed; `None` once it has caught up.
    ///
    /// # Errors
    /// When the broker breaks off.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Told>> {
        while let Some(reader) = self.readers.last_mut() {
            let next = timeout(PATIENCE, reader.next()).await;
            let delivery = next.context("NATS does not answer")??;
            let place = Place { stream: reader.stream(), sequence: delivery.sequence };
            if delivery.pending == 0 {
                self.readers.pop();
            }
            let message = &delivery.message;
            if let Some(told) = Told::published(place, &message.subject, &message.payload) {
                return Ok(Some(told));
            }
        }
        Ok(None)
    }
}
