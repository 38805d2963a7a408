//! Metrics that are polled: how far the stream is ahead of the catalogue, the number of dead letters, the free space of
//! the disk.

use crate::metrics::IndexerMetrics;
use anyhow::Context as _;
use async_nats::{Client, jetstream};
use shared::stream::{self, DEAD};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// How often. Prometheus asks every 15 seconds, if it isn't told otherwise.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks until told to stop.
pub async fn run(
    nats: Client,
    catalogue: PathBuf,
    metrics: IndexerMetrics,
    stop: CancellationToken,
) {
    let folder = catalogue.parent().unwrap_or(Path::new(".")).to_owned();
    // One after the other each: a broker or a disk that does not answer is asked once.
    let broker = every(async || look_at_broker(&nats, &metrics).await);
    let disk = every(async || look_at_disk(&folder, &metrics).await);
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
    metrics.looked(&stream::position(nats).await?);
    let dead = jetstream::new(nats.clone()).get_stream(DEAD).await.context("DEAD")?;
    metrics.dead_letters.set(dead.cached_info().state.messages as i64);
    Ok(())
}

async fn look_at_disk(folder: &Path, metrics: &IndexerMetrics) -> anyhow::Result<()> {
    let folder = folder.to_owned();
    let disk = spawn_blocking(move || rustix::fs::statvfs(folder)).await?.context("the disk")?;
    metrics.disk_free.set(disk.f_bavail.saturating_mul(disk.f_frsize) as i64);
    metrics.disk_size.set(disk.f_blocks.saturating_mul(disk.f_frsize) as i64);
    Ok(())
}
