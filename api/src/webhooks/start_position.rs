//! Where a webhook begins to read SERIES when the broker has no consumer of it: a new one with what comes
//! from now on, one whose consumer was lost where its last delivery was, which the catalogue keeps.

use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{Consumer, DeliverPolicy, pull};
use catalog::{CatalogReader, Delivered};
use jiff::Timestamp;
use shared::stream::SERIES;
use std::time::Duration;
use tokio::time::sleep;

/// How often it is looked how far a webhook is, and kept if that is news.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// SERIES as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SeriesState {
    /// When it was made.
    created: Timestamp,
    /// Its latest sequence.
    last: u64,
}

/// How SERIES stands.
///
/// # Errors
/// When the broker does not answer, or has no such stream.
async fn series(jetstream: &Context) -> anyhow::Result<SeriesState> {
    let stream = jetstream.get_stream(SERIES).await?;
    let info = stream.cached_info();
    let created = Timestamp::from_nanosecond(info.created.unix_timestamp_nanos())?;
    Ok(SeriesState { created, last: info.state.last_sequence })
}

/// Where the deliveries of a webhook begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartPosition {
    /// With all there is: the stream is as new as the webhook, or another one than it was delivered from.
    All,
    /// After what was delivered, or after what there was before a new webhook. Not "with what is new" as the
    /// broker has it, which it looks up again when it has lost what the consumer had got to.
    After(u64),
}

impl StartPosition {
    /// Of a webhook that was so far, in a stream that is as it stands.
    fn of(known: Option<Delivered>, series: SeriesState) -> Self {
        match known {
            None => Self::After(series.last),
            Some(known) if known.series_created != series.created => Self::All,
            // An older copy of the stream was put back: its sequences will be given out again.
            Some(known) if known.up_to > series.last => Self::All,
            Some(known) => Self::After(known.up_to),
        }
    }

    /// As the broker is told.
    pub(super) fn policy(self) -> DeliverPolicy {
        match self {
            Self::All => DeliverPolicy::All,
            Self::After(sequence) => {
                DeliverPolicy::ByStartSequence { start_sequence: sequence + 1 }
            }
        }
    }
}

/// Where a webhook without a consumer begins, by what the catalogue knows of it. One that is new begins with
/// all that is in a stream that is made at this start.
///
/// # Errors
/// When the catalogue or the broker does not answer.
pub(super) async fn start_position(
    jetstream: &Context,
    catalog: &CatalogReader,
    hook: &str,
    is_first_start: bool,
) -> anyhow::Result<StartPosition> {
    let series = series(jetstream).await?;
    // Before the indexer has made the catalogue, nobody can tell a new webhook from an old one.
    catalog.check().await.context("whether its consumer was lost is not known")?;
    let known = catalog.delivered(hook).await.context("how far it was is not known")?;
    let start_position = StartPosition::of(known, series);
    match (start_position, known) {
        (_, None) if is_first_start => return Ok(StartPosition::All),
        (_, None) => {}
        (StartPosition::After(sequence), _) => {
            tracing::warn!(hook, sequence, "its consumer was lost; it goes on after this sequence");
        }
        (StartPosition::All, _) => {
            tracing::warn!(
                hook,
                "its consumer was lost, and SERIES is not the stream that it was; all that is in it is \
                 delivered, some of it again"
            );
        }
    }
    Ok(start_position)
}

/// Keeps how far a webhook is, for as long as this is awaited.
pub(super) async fn keep(
    jetstream: &Context,
    catalog: &CatalogReader,
    hook: &str,
    consumer: &Consumer<pull::Config>,
) {
    let mut kept = None;
    loop {
        match is_at(jetstream, consumer).await {
            Ok(now) if kept != Some(now) => match catalog.keep_delivered(hook, now).await {
                Ok(()) => kept = Some(now),
                Err(error) => tracing::debug!(hook, %error, "the webhook's position was not saved"),
            },
            Ok(_) => {}
            Err(error) => tracing::debug!(hook, "the webhook's position is unknown: {error:#}"),
        }
        sleep(KEEP_EVERY).await;
    }
}

async fn is_at(
    jetstream: &Context,
    consumer: &Consumer<pull::Config>,
) -> anyhow::Result<Delivered> {
    let series_created = series(jetstream).await?.created;
    let up_to = consumer.get_info().await?.ack_floor.stream_sequence;
    Ok(Delivered { series_created, up_to })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn known(created: i64, up_to: u64) -> Option<Delivered> {
        Some(Delivered { series_created: at(created), up_to })
    }

    #[test]
    fn a_webhook_goes_on_where_it_was_in_the_stream_that_it_was_in() {
        let series = SeriesState { created: at(1), last: 9 };
        assert_eq!(StartPosition::of(None, series), StartPosition::After(9), "a new one");
        assert_eq!(StartPosition::of(known(1, 5), series), StartPosition::After(5));
        assert_eq!(StartPosition::of(known(1, 9), series), StartPosition::After(9));
        assert_eq!(StartPosition::of(known(1, 10), series), StartPosition::All, "an older copy");
        assert_eq!(StartPosition::of(known(2, 5), series), StartPosition::All, "made anew");
        let policy = StartPosition::After(5).policy();
        assert_eq!(policy, DeliverPolicy::ByStartSequence { start_sequence: 6 });
    }
}
