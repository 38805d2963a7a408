//! The log is written back into the file by a connection of its own, while the owner's writes the next
//! batches. The owner's would do so within a commit, and a batch would wait for ten others' pages.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, MutexGuard};

/// Instances after which it is time: some 8,000 pages of the log, of which those that many batches have
/// written are then written back once. Readers find the log no slower for it.
const INSTANCES: usize = 48_000;

/// Writes back beside the owner.
#[derive(Debug, Clone)]
pub(in crate::sqlite) struct WriteBack(Arc<State>);

#[derive(Debug)]
struct State {
    options: SqliteConnectOptions,
    /// Instances since the last time.
    instances: AtomicUsize,
    /// Locked while it is under way.
    running: Arc<Mutex<()>>,
}

impl WriteBack {
    /// Of the catalogue that these open, as long as it is there.
    pub(in crate::sqlite) fn new(options: SqliteConnectOptions) -> Self {
        let options = options.create_if_missing(false);
        let (instances, running) = (AtomicUsize::new(0), Arc::default());
        Self(Arc::new(State { options, instances, running }))
    }

    /// So many more instances are committed. Begins when it is time, and waits for nothing.
    pub(in crate::sqlite) fn committed(&self, instances: usize) {
        let state = &self.0;
        if state.instances.fetch_add(instances, Ordering::Relaxed) + instances < INSTANCES {
            return;
        }
        let Ok(running) = state.running.clone().try_lock_owned() else { return };
        state.instances.store(0, Ordering::Relaxed);
        let state = state.clone();
        tokio::spawn(async move {
            // The log only grows until the owner does it.
            if let Err(error) = state.write_back().await {
                tracing::debug!(%error, "the catalogue's log could not be written back");
            }
            drop(running);
        });
    }

    /// Waits for one that is under way. None begins before what this gives is dropped.
    pub(in crate::sqlite) async fn ended(&self) -> MutexGuard<'_, ()> {
        self.0.running.lock().await
    }
}

impl State {
    async fn write_back(&self) -> sqlx::Result<()> {
        // A connection that is kept would hold on to a file that was replaced.
        let mut connection = self.options.connect().await?;
        sqlx::query("pragma wal_checkpoint(passive)").execute(&mut connection).await?;
        connection.close().await
    }
}
