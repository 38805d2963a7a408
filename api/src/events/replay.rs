//! Replays to a listener what it missed since the event that it names, out of the streams.

use super::reader::{BROKER_TIMEOUT, Delivery, ListenerPermit, Reader, Stream, look};
use super::sse_frame::{EventPosition, SseFrame};
use anyhow::Context as _;
use async_nats::datetime::DateTime;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use std::time::Duration;
use tokio::time::timeout;

/// Events of one stream that are told again at most. Who missed more asks for the series instead.
const MOST: u64 = 10_000;

/// The streams are read side by side, so an event of one may be told this much later than a younger
/// one of the other: that far back the other stream is told again. A reader that hears nothing from
/// the broker for half as long has failed, and both begin again.
const OVERLAP: Duration = Duration::from_secs(10);

/// Reads what was missed, in the order in which the broker stored it. So whoever breaks off can name
/// the last event that it was told: what is older was told too, of the other stream as well. What is
/// told again of the time before has no id, or a connection that breaks would go back.
pub(super) struct Replay {
    missed: Vec<ReplayedStream>,
    /// When the event was stored that it begins after.
    after: DateTime,
}

/// What is left of one stream.
struct ReplayedStream {
    reader: Reader,
    /// Its oldest event that was not told yet.
    next: Option<Delivery>,
    /// How many more there are.
    pending: u64,
}

/// What there is for a listener that names an event.
pub(super) enum Missed {
    /// All that came since.
    Kept(Replay),
    /// Nobody can tell, for this reason.
    Unknown(&'static str),
}

impl Replay {
    /// Begins after an event: with all that follows it in its own stream, and all of the other
    /// stream since about then. `permit` is held until the broker has removed the consumers.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub(super) async fn after(
        jetstream: &Context,
        last: EventPosition,
        permit: &ListenerPermit,
    ) -> anyhow::Result<Missed> {
        let stream = look(jetstream, last.stream).await?;
        if last.sequence > stream.cached_info().state.last_sequence {
            return Ok(Missed::Unknown("the stream was made anew since then"));
        }
        // The event itself tells when it was; without it nobody knows what else is gone.
        let asked = timeout(BROKER_TIMEOUT, stream.get_raw_message(last.sequence)).await;
        let event = match asked.context("NATS does not answer")? {
            Ok(event) => event,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Ok(Missed::Unknown("the event of that id is no longer kept"));
            }
            Err(error) => return Err(error).context("the event of that id"),
        };
        let since = event.time - OVERLAP;
        let mut missed = Vec::new();
        for stream in Stream::BOTH {
            let state = look(jetstream, stream).await?.cached_info().state.clone();
            // Who has seen the end needs no consumer, of which the broker has a limited number.
            let (from, is_there_more) = match stream == last.stream {
                true => {
                    let start_sequence = last.sequence + 1;
                    let from = DeliverPolicy::ByStartSequence { start_sequence };
                    (from, state.last_sequence > last.sequence)
                }
                false => {
                    let from = DeliverPolicy::ByStartTime { start_time: since };
                    (from, state.messages > 0 && state.last_timestamp >= since)
                }
            };
            if !is_there_more {
                continue;
            }
            let (subjects, permit) = (stream.subjects(), Some(permit.clone()));
            let reader = Reader::open(jetstream, stream, subjects, from, permit).await?;
            if reader.pending > MOST {
                return Ok(Missed::Unknown("too many events came since then"));
            }
            let pending = reader.pending;
            missed.push(ReplayedStream { reader, next: None, pending });
        }
        Ok(Missed::Kept(Self { missed, after: event.time }))
    }

    /// The next event that was missed; `None` once it has caught up. Can be cancelled without loss.
    ///
    /// # Errors
    /// When the broker breaks off.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<SseFrame>> {
        loop {
            for stream in &mut self.missed {
                stream.read_on().await?;
            }
            self.missed.retain(|stream| stream.next.is_some());
            let at = |stream: &&mut ReplayedStream| stream.next.as_ref().map(|next| next.at);
            let Some(oldest) = self.missed.iter_mut().min_by_key(at) else { return Ok(None) };
            let Some(Delivery { sequence, at, message, .. }) = oldest.next.take() else { continue };
            let position = EventPosition { stream: oldest.reader.stream(), sequence };
            let frame = match at <= self.after {
                true => SseFrame::published_before(position, &message.subject, &message.payload),
                false => SseFrame::published(position, &message.subject, &message.payload),
            };
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }
}

impl ReplayedStream {
    /// Waits for its next event, if there is one and it has not come.
    async fn read_on(&mut self) -> anyhow::Result<()> {
        if self.next.is_none() && self.pending > 0 {
            let next = timeout(BROKER_TIMEOUT, self.reader.next()).await;
            let next = next.context("NATS does not answer")??;
            self.pending = next.pending;
            self.next = Some(next);
        }
        Ok(())
    }
}
