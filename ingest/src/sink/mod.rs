//! Where the bytes of instances go beside their events: into the instance store, where there is one. Decision 0027 has
//! the steps, decision 0035 what the store promises.

mod file_meta;
mod store_health;

use crate::announced::Announced;
use contract::event::StoredObject;
pub(crate) use file_meta::FileMeta;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use shared::health::Health;
use shared::metrics::{Metrics, Refused};
use std::sync::Arc;
use std::time::Instant;
use store::{Spool, Spooled, StoreError, StoreSettings, Writing};
use store_health::StoreHealth;
use tokio_util::sync::CancellationToken;

/// Bounds of the buckets for a sync of an instance, in seconds: from a disk with a cache that keeps its word to one
/// that is about to be given up.
const SYNC_SECONDS: [f64; 12] =
    [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Causes of a refusal that are the store's.
const CAUSES: [&str; 4] = ["store_full", "store_reserve", "store_silent", "store_failed"];

/// Where the bytes of instances go.
#[derive(Debug, Clone)]
pub(crate) enum Sink {
    /// Nowhere: the event is all that is kept of an instance.
    None,
    /// Into the spool of the instance store.
    Spool(Arc<SpoolSink>),
}

/// The spool, and what is told of it.
#[derive(Debug)]
pub(crate) struct SpoolSink {
    spool: Spool,
    health: StoreHealth,
    /// Bytes of the objects that were synced.
    bytes: Counter,
    /// How long it took from the last byte of an object until it was on disk, in seconds.
    synced_after: Histogram,
}

/// An instance can't be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    /// A file names its instance before its data set does.
    #[error("{0} is missing or longer than a UID")]
    NoUid(&'static str),
    /// The store does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sink {
    /// Opens the instance store, where there is one.
    ///
    /// # Errors
    /// When it can't be used.
    pub(crate) async fn open(
        settings: &StoreSettings,
        node_name: String,
        health: &Health,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let Some(spool) = Spool::open(settings, &node_name).await? else { return Ok(Self::None) };
        tracing::info!(store = %settings.store_url, "instances are kept");
        metrics.refusals().begin(Refused::Message, &CAUSES);
        let bytes = metrics
            .counter("store_bytes", "Bytes of instances that were synced to the instance store");
        let synced_after = metrics.histogram(
            "store_sync_duration_seconds",
            "Time from the last byte of an instance until it was on the disk of the instance store",
            SYNC_SECONDS,
        );
        let health = StoreHealth::new(spool.clone(), settings.store_reserve, health, metrics);
        Ok(Self::Spool(Arc::new(SpoolSink { spool, health, bytes, synced_after })))
    }

    /// Removes an object of which no event is stored.
    pub(crate) fn remove(&self, object: &StoredObject) {
        if let Self::Spool(sink) = self {
            sink.spool.remove(object);
        }
    }

    /// Looks after the store until told to stop.
    pub(crate) async fn watch(&self, stop: &CancellationToken) {
        if let Self::Spool(sink) = self {
            stop.run_until_cancelled(sink.health.watch()).await;
        }
    }
}

/// The bytes of an instance on their way into the store. Dropped, nothing of them stays.
#[derive(Debug)]
pub(crate) struct Object {
    writing: Writing,
    sink: Arc<SpoolSink>,
}

impl Object {
    /// Begins to keep an instance: the one with this ordinal, from 1, of an association.
    ///
    /// # Errors
    /// When it can't be kept.
    pub(crate) fn begin(
        sink: &Arc<SpoolSink>,
        announced: &Announced<'_>,
        association_id: &str,
        ordinal: u64,
    ) -> Result<Box<Self>, NotKept> {
        let meta = FileMeta {
            sop_class_uid: announced.sop_class_uid,
            sop_instance_uid: announced.sop_instance_uid,
            transfer_syntax_uid: announced.transfer_syntax_uid,
        };
        if let Some(uid) = meta.missing(announced.herald) {
            return Err(NotKept::NoUid(uid));
        }
        let writing = sink.told(sink.spool.begin(association_id, ordinal, &meta.bytes()))?;
        Ok(Box::new(Self { writing, sink: sink.clone() }))
    }

    /// Takes the next bytes of the data set.
    ///
    /// # Errors
    /// When they can't be kept.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), NotKept> {
        self.sink.told(self.writing.write(bytes).await)
    }

    /// Has all of them on disk.
    ///
    /// # Errors
    /// When that fails.
    pub(crate) async fn finish(self) -> Result<Spooled, NotKept> {
        let began = Instant::now();
        let spooled = self.sink.told(self.writing.finish().await)?;
        self.sink.synced_after.observe(began.elapsed().as_secs_f64());
        self.sink.bytes.inc_by(spooled.object().bytes);
        Ok(spooled)
    }
}

impl SpoolSink {
    /// Looks at what the store said.
    fn told<T>(&self, result: Result<T, StoreError>) -> Result<T, NotKept> {
        result.inspect_err(|error| self.health.failed(error)).map_err(NotKept::from)
    }
}
