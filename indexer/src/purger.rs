//! How long series stay in the instance store, and how much all of them may take: `STORE_RETENTION` and
//! `STORE_MAX_BYTES`. The oldest go first; they stay in the catalogue.

use async_nats::Client;
use bytesize::ByteSize;
use catalog::{CatalogWriter, ToPurge};
use contract::event::{PurgeReason, SeriesPurged};
use jiff::{SignedDuration, Timestamp};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use shared::metrics::Metrics;
use shared::stream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Shortest pause between two looks at how much there is. It is at least a hundred times as long as the look takes,
/// since the indexer waits meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Pause between two transactions, in which the indexer writes what came in.
const BETWEEN: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

/// What may stay, and what is told of it. Clones share it.
#[derive(Debug, Clone)]
pub struct Purging {
    retention: Option<SignedDuration>,
    max_bytes: Option<ByteSize>,
    bytes: Gauge,
    purged: Family<ByReason, Counter>,
}

impl Purging {
    /// With these limits; `None` is none.
    #[must_use]
    pub fn new(
        retention: Option<SignedDuration>,
        max_bytes: Option<ByteSize>,
        metrics: &Metrics,
    ) -> Self {
        let bytes = metrics.gauge(
            "store_bytes",
            "Length of the files of complete series in the instance store, without earlier revisions",
        );
        let limit = metrics.gauge(
            "store_max_bytes",
            "How much that may be before the oldest series are purged; 0 is without end",
        );
        limit.set(max_bytes.map_or(0, |bytes| i64::try_from(bytes.0).unwrap_or(i64::MAX)));
        let purged = metrics.counters(
            "series_purged",
            "Series whose files were purged from the instance store, by why they were",
        );
        for reason in PurgeReason::ALL {
            purged.get_or_create(&ByReason { reason: reason.as_str() }).inc_by(0);
        }
        Self { retention, max_bytes, bytes, purged }
    }

    /// Another indexer does it.
    pub fn stands_by(&self) {
        self.bytes.set(0);
    }
}

/// What it works with.
#[derive(Debug)]
pub struct Purger {
    /// What may stay.
    pub purging: Purging,
    /// The catalogue, which knows what there is.
    pub catalog: CatalogWriter,
    /// The broker, which says what time it is.
    pub nats: Client,
    /// To be told that there is something in the outbox.
    pub outbox_filled: Arc<Notify>,
}

impl Purger {
    /// Purges what is too old or too much until told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        let looks = async {
            loop {
                let began = Instant::now();
                if let Err(error) = self.look().await {
                    tracing::warn!("nothing is purged from the instance store yet: {error:#}");
                }
                sleep(LOOK_EVERY.max(began.elapsed() * 100)).await;
            }
        };
        stop.run_until_cancelled(looks).await;
    }

    async fn look(&self) -> anyhow::Result<()> {
        let Purging { retention, max_bytes, bytes, .. } = &self.purging;
        if let Some(retention) = retention {
            let now = stream::position(&self.nats).await?.now;
            let before = now.checked_sub(*retention).unwrap_or(Timestamp::MIN);
            while self.purge(ToPurge::CompletedBefore(before), now).await? {}
        }
        loop {
            let there = self.catalog.store_bytes().await?;
            bytes.set(i64::try_from(there).unwrap_or(i64::MAX));
            let excess = max_bytes.map_or(0, |max| there.saturating_sub(max.0));
            if excess == 0 {
                return Ok(());
            }
            let now = stream::position(&self.nats).await?.now;
            if !self.purge(ToPurge::Bytes(excess), now).await? {
                // What is left is open or not kept yet.
                return Ok(());
            }
        }
    }

    /// One transaction; `false` if there is nothing more to purge.
    async fn purge(&self, which: ToPurge, now: Timestamp) -> anyhow::Result<bool> {
        let purged = self.catalog.purge(which, now).await?;
        for SeriesPurged { series_instance_uid, revision, reason, bytes, .. } in &purged {
            let (series, reason) = (series_instance_uid, reason.as_str());
            tracing::info!(%series, revision, bytes, reason, "series purged from the instance store");
            self.purging.purged.get_or_create(&ByReason { reason }).inc();
        }
        if purged.is_empty() {
            return Ok(false);
        }
        self.outbox_filled.notify_one();
        sleep(BETWEEN).await;
        Ok(true)
    }
}
