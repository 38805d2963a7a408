//! How long series stay in the catalogue after they were last complete: `CATALOG_RETENTION`, by the
//! broker's clock. They go as if an operator had deleted them, with a trace and an announcement.

use async_nats::Client;
use catalog::CatalogWriter;
use jiff::{SignedDuration, Timestamp};
use shared::stream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Longest pause between two looks at what has expired, and shortest. Between them it is a hundredth
/// of the retention: nobody counts a month in minutes.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_millis(100));

/// Pause between two batches, in which the indexer writes what came in.
const BETWEEN: Duration = Duration::from_millis(50);

/// Deletes what has expired until told to stop.
pub async fn run(
    catalog: CatalogWriter,
    nats: Client,
    retention: SignedDuration,
    outbox_filled: Arc<Notify>,
    stop: CancellationToken,
) {
    let pause = (retention.unsigned_abs() / 100).clamp(LOOK_EVERY.1, LOOK_EVERY.0);
    while !stop.is_cancelled() {
        let look = async {
            if let Err(error) = expire(&catalog, &nats, retention, &outbox_filled).await {
                tracing::warn!("expired series are not deleted yet: {error:#}");
            }
            tokio::time::sleep(pause).await;
        };
        tokio::select! {
            () = look => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn expire(
    catalog: &CatalogWriter,
    nats: &Client,
    retention: SignedDuration,
    outbox_filled: &Notify,
) -> anyhow::Result<()> {
    let now = stream::position(nats).await?.now;
    let before = now.checked_sub(retention).unwrap_or(Timestamp::MIN);
    loop {
        let deleted = catalog.expire(before, now).await?;
        if deleted.is_empty() {
            return Ok(());
        }
        outbox_filled.notify_one();
        let instances: u64 = deleted.iter().map(|event| event.instances_count).sum();
        tracing::info!(series = deleted.len(), instances, "expired series deleted");
        tokio::time::sleep(BETWEEN).await;
    }
}
