//! Reads events at once that are in the streams: the latest of associations, and the completions of a series.

use super::reader::{BROKER_TIMEOUT, Delivery, Reader, Stream};
use anyhow::Context as _;
use async_nats::datetime::DateTime;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::DeliverPolicy;
use contract::event::SeriesCompleted;
use contract::subject::UidTokens;
use contract::uid::SeriesInstanceUid;
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use tokio::time::timeout;

/// The ends and rejections of associations.
const ENDS: [&str; 3] =
    ["dicom.association.released.>", "dicom.association.aborted.>", "dicom.association.rejected.>"];

/// Events that are read at most. Where there are more, the time that is looked at is halved until there are not.
pub(crate) const MOST: u64 = 5000;

/// How often it is halved: of a day this leaves a second.
const HALVINGS: u32 = 16;

/// Hands on the ends and rejections of associations in a time before now, in the order of the stream: when the broker
/// stored each, and its payload. Returns since when these are.
///
/// # Errors
/// When the broker does not answer, or breaks off.
pub(crate) async fn read_ends(
    jetstream: &Context,
    before_now: SignedDuration,
    mut take: impl FnMut(Timestamp, &[u8]),
) -> anyhow::Result<Timestamp> {
    let now = Timestamp::now();
    let (mut since, mut reader) = begin(jetstream, now, before_now).await?;
    for halving in 1..=HALVINGS {
        if reader.pending <= MOST {
            break;
        }
        (since, reader) = begin(jetstream, now, before_now / (1 << halving)).await?;
    }
    read_pending(reader, MOST, |Delivery { at, message, .. }| {
        take(Timestamp::from_nanosecond(at.unix_timestamp_nanos())?, &message.payload);
        Ok(())
    })
    .await?;
    Ok(since)
}

/// Hands on what a reader has to come, and no more than `most` of it.
async fn read_pending(
    mut reader: Reader,
    most: u64,
    mut take: impl FnMut(Delivery) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (mut pending, mut left) = (reader.pending, most);
    while pending > 0 && left > 0 {
        let next = timeout(BROKER_TIMEOUT, reader.next()).await;
        let delivery = next.context("NATS does not answer")??;
        (pending, left) = (delivery.pending, left - 1);
        take(delivery)?;
    }
    Ok(())
}

async fn begin(
    jetstream: &Context,
    now: Timestamp,
    before: SignedDuration,
) -> anyhow::Result<(Timestamp, Reader)> {
    let since = now - before;
    let start_time = DateTime::from_unix_timestamp_nanos(since.as_nanosecond());
    let from =
        DeliverPolicy::ByStartTime { start_time: start_time.context("a time to read from")? };
    Ok((since, Reader::open(jetstream, Stream::Instances, &ENDS, from, None).await?))
}

/// Completions of one series that are read at most, of which the latest are returned.
const MOST_READ: u64 = 1000;
pub(crate) const MOST_COMPLETIONS: usize = 100;

/// The completions of a series that are still in SERIES, the oldest first.
///
/// # Errors
/// When the broker does not answer, or breaks off.
pub(crate) async fn read_completions(
    jetstream: &Context,
    series: &SeriesInstanceUid,
) -> anyhow::Result<Vec<SeriesCompleted>> {
    let subject = format!("dicom.series.completed.*.{}", UidTokens::new(series).as_str());
    let reader =
        Reader::open(jetstream, Stream::Series, &[&subject], DeliverPolicy::All, None).await?;
    let mut completions = VecDeque::new();
    read_pending(reader, MOST_READ, |Delivery { message, .. }| {
        // One of a later version with a reason of its own is left out.
        if let Ok(event) = serde_json::from_slice::<SeriesCompleted>(&message.payload)
            && event.series_instance_uid == *series
        {
            completions.push_back(event);
        }
        if completions.len() > MOST_COMPLETIONS {
            completions.pop_front();
        }
        Ok(())
    })
    .await?;
    Ok(completions.into())
}
