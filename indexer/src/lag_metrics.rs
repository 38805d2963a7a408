//! Metrics that are polled: how far the stream is ahead of the catalogue, the number of dead letters, the free space of
//! the disk.

use crate::metrics::IndexerMetrics;
use anyhow::Context as _;
use async_nats::{Client, jetstream};
use catalog::CatalogWriter;
use shared::stream::{self, DEAD};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often. Prometheus asks every 15 seconds, if it isn't told otherwise.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks until told to stop.
pub async fn run(
    nats: Client,
    catalog: CatalogWriter,
    metrics: IndexerMetrics,
    stop: CancellationToken,
) {
    // One after the other each: a broker or a disk that does not answer is asked once.
    let broker = every(async || look_at_broker(&nats, &metrics).await);
    let disk = every(async || look_at_disk(&catalog, &metrics).await);
    stop.run_until_cancelled(async { tokio::join!(broker, disk) }).await;
}

async fn every(mut look: impl AsyncFnMut() -> anyhow::Result<()>) {
    loop {
        if let Err(error) = look().await {
            tracing::debug!("broker or disk check failed: {error:#}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn look_at_broker(nats: &Client, metrics: &IndexerMetrics) -> anyhow::Result<()> {
    metrics.observed_stream(&stream::position(nats).await?);
    let dead = jetstream::new(nats.clone()).get_stream(DEAD).await.context("DEAD")?;
    metrics.dead_letters.set(dead.cached_info().state.messages as i64);
    Ok(())
}

async fn look_at_disk(catalog: &CatalogWriter, metrics: &IndexerMetrics) -> anyhow::Result<()> {
    let Some(disk) = catalog.disk().await.context("the disk")? else { return Ok(()) };
    metrics.disk_free.set(disk.free as i64);
    metrics.disk_size.set(disk.size as i64);
    Ok(())
}
