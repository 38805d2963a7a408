//! How long processed events stay in the INSTANCES stream. The broker never drops one by itself,
//! so what is done with is dropped here, and only that: history must not block receiving.

use crate::consumer::NAME;
use anyhow::Context as _;
use async_nats::jetstream::stream::Stream;
use async_nats::{Client, jetstream};
use jiff::Timestamp;
use shared::stream::{self, INSTANCES, Position};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the stream is looked at. At 5,000 events a second, five megabytes come in that time.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Above this share of its size limit the stream keeps less than the whole history.
const FULL: f64 = 0.8;
/// And is brought down to this share.
const ROOMY: f64 = 0.7;

/// Trims INSTANCES until told to stop.
pub async fn run(
    nats: Client,
    jetstream: jetstream::Context,
    history: Duration,
    stop: CancellationToken,
) {
    let trimming = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(error) = trim(&nats, &jetstream, history).await {
                tracing::warn!("INSTANCES could not be trimmed: {error:#}");
            }
        }
    };
    stop.run_until_cancelled(trimming).await;
}

async fn trim(
    nats: &Client,
    jetstream: &jetstream::Context,
    history: Duration,
) -> anyhow::Result<()> {
    let position = stream::position(nats).await?;
    let stream = jetstream.get_stream(INSTANCES).await?;
    let acknowledged = stream.consumer_info(NAME).await?.ack_floor.stream_sequence;
    let cutoff = position.now.checked_sub(history).unwrap_or(Timestamp::MIN);
    let by_age = first_since(&stream, position.first, acknowledged, cutoff).await?;
    let max_bytes = stream.cached_info().config.max_bytes;
    let keep_from = by_age.max(first_that_fits(&position, max_bytes)).min(acknowledged + 1);
    if keep_from > position.first {
        let purged = stream.purge().sequence(keep_from).await.context("purging")?.purged;
        tracing::info!(purged, keep_from, "INSTANCES trimmed");
    }
    Ok(())
}

/// The first sequence of `first..=last` whose event was stored at `cutoff` or later, or the one
/// after `last`. Times ascend in a stream, so a binary search finds it in a few questions.
async fn first_since(
    stream: &Stream,
    first: u64,
    last: u64,
    cutoff: Timestamp,
) -> anyhow::Result<u64> {
    let event_from = async |sequence| {
        let event = stream.direct_get_next_for_subject("dicom.>", Some(sequence)).await;
        let event = event.with_context(|| format!("the event at {sequence}"))?;
        let at = Timestamp::from_nanosecond(event.time.unix_timestamp_nanos())?;
        anyhow::Ok((event.sequence, at))
    };
    // The usual case, that all is young, takes one question.
    if first > last || event_from(first).await?.1 >= cutoff {
        return Ok(first);
    }
    let (mut low, mut high) = (first + 1, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match event_from(middle).await? {
            // It may come after `middle`, where events in between are gone.
            (sequence, at) if at < cutoff => low = sequence + 1,
            _ => high = middle,
        }
    }
    Ok(low.min(last + 1))
}

/// The first sequence to keep so that the stream has room again; its first if it has.
fn first_that_fits(position: &Position, max_bytes: i64) -> u64 {
    let (bytes, limit) = (position.bytes as f64, max_bytes as f64);
    if max_bytes <= 0 || bytes <= limit * FULL {
        return position.first;
    }
    let events = position.last.saturating_sub(position.first) + 1;
    let too_many = events as f64 * (bytes - limit * ROOMY) / bytes;
    position.first + too_many.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(first: u64, last: u64, bytes: u64) -> Position {
        let at = Timestamp::UNIX_EPOCH;
        Position { created: at, first, last, bytes, replicas: 1, now: at }
    }

    #[test]
    fn a_roomy_stream_keeps_its_history() {
        assert_eq!(first_that_fits(&position(11, 110, 800), 1000), 11);
        assert_eq!(first_that_fits(&position(11, 110, 800), -1), 11, "no limit");
        assert_eq!(first_that_fits(&position(1, 0, 0), 1000), 1, "empty");
    }

    #[test]
    fn a_full_stream_keeps_what_leaves_room() {
        // 100 events of 9 bytes; 700 bytes are 77 of them.
        assert_eq!(first_that_fits(&position(11, 110, 900), 1000), 34);
        assert_eq!(first_that_fits(&position(11, 110, 1000), 1000), 41);
    }
}
