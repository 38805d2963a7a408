//! Whether INSTANCES still is the stream that the catalogue was made of, and where they part if it is not.
//!
//! A nats-server that loses the end of a stream, with a damaged file or since somebody put an older copy of
//! its store back, gives the sequences of what it lost to the events that come next. So a sequence alone
//! says nothing: an event is known by when the broker stored it and by its `Nats-Msg-Id`.

use crate::reading::{Reading, read};
use anyhow::Context as _;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use catalog::{Bookmark, CatalogWriter, EventMark, Loss, LossCause, Witness};
use jiff::Timestamp;
use shared::stream::{INSTANCES, Position};

/// Where the stream and the catalogue part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parting {
    /// The last sequence that has the same event in both; 0 where there is none.
    pub common: u64,
    /// What the catalogue has read after it, and the stream does not have.
    pub loss: Loss,
}

/// Compares the catalogue's bookmark in this stream with what the stream has there. `None` as long as they
/// agree, or nothing speaks against it.
///
/// # Errors
/// When the broker does not answer, or the catalogue can't be read.
pub async fn parting(
    jetstream: &jetstream::Context,
    catalog: &CatalogWriter,
    bookmark: &Bookmark,
    position: &Position,
) -> anyhow::Result<Option<Parting>> {
    let stream = jetstream.get_stream_no_info(INSTANCES).await.context("INSTANCES")?;
    let last = bookmark.last_sequence;
    if last == 0 || (last <= position.last && is_same(&stream, catalog, bookmark, position).await?)
    {
        return Ok(None);
    }
    let common = last_common(&stream, catalog, last, position).await?;
    let (cause, noticed_at) = (LossCause::Replaced, position.now);
    let loss = Loss { first: common + 1, last, cause, noticed_at };
    Ok(Some(Parting { common, loss }))
}

/// Whether the stream has the bookmark's event. What was trimmed or deleted since speaks for nothing.
async fn is_same(
    stream: &Stream<()>,
    catalog: &CatalogWriter,
    bookmark: &Bookmark,
    position: &Position,
) -> anyhow::Result<bool> {
    let last = bookmark.last_sequence;
    if last < position.first {
        return Ok(true);
    }
    let Some(event) = event(stream, last).await? else { return Ok(true) };
    if let Some(mark) = &bookmark.event {
        return Ok(mark_of(&event)? == *mark);
    }
    // A catalogue of before: the event may be that of an instance.
    let witness = catalog.witness(last - 1, last, true).await?;
    Ok(witness.is_none_or(|witness| bears_out(&witness, &event)))
}

/// The last sequence at which an instance of the catalogue is the event of the stream. What both have comes
/// before what they have not, so a search by halves finds it.
async fn last_common(
    stream: &Stream<()>,
    catalog: &CatalogWriter,
    last: u64,
    position: &Position,
) -> anyhow::Result<u64> {
    let (mut same, mut other) = (0, last.min(position.last) + 1);
    loop {
        let middle = same + (other - same) / 2;
        let below = catalog.witness(same, middle, true).await?;
        let witness = match below {
            Some(witness) => Some(witness),
            None => catalog.witness(middle, other - 1, false).await?,
        };
        let Some(witness) = witness else { return Ok(same) };
        let is_same = witness.sequence < position.first
            || event(stream, witness.sequence)
                .await?
                .is_some_and(|event| bears_out(&witness, &event));
        if is_same {
            same = witness.sequence;
        } else {
            other = witness.sequence;
        }
    }
}

async fn event(stream: &Stream<()>, sequence: u64) -> anyhow::Result<Option<StreamMessage>> {
    match stream.get_raw_message(sequence).await {
        Ok(event) => Ok(Some(event)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("the event at {sequence}")),
    }
}

fn mark_of(event: &StreamMessage) -> anyhow::Result<EventMark> {
    let at = Timestamp::from_nanosecond(event.time.unix_timestamp_nanos())?;
    let message_id = event.headers.get(NATS_MESSAGE_ID).map(ToString::to_string);
    Ok(EventMark { at, message_id: message_id.unwrap_or_default() })
}

/// Whether the event is that of the instance.
fn bears_out(witness: &Witness, event: &StreamMessage) -> bool {
    let Reading::Stored(stored) = read(&event.subject, &event.payload) else { return false };
    stored.sop_instance_uid == witness.sop_instance_uid
        && stored.association_id == witness.association_id
        && stored.received_at == witness.received_at
}
