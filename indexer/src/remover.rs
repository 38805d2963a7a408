//! The remover: takes out of the instance store what the catalogue names no more. It works a list off that was written with
//! the reason for each entry, so a kill loses nothing, and what was removed before a kill is found gone.
//!
//! An entry is removed once all events were read that were there when it was listed, all was announced that waited
//! then, and a while has passed: whoever has read where a file is can still open it.

use async_nats::Client;
use catalog::{CatalogWriter, ListedUpTo, ToRemove};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use shared::metrics::Metrics;
use shared::stream::{self, Position};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use store::{Removal, Removed, StoreRemover, StoreSettings};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How often the list is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Entries that are removed before the list is brought up to date: what a kill has removed again.
const AT_ONCE: u32 = 250;

/// Failures of one round that are logged one by one.
const LOGGED: usize = 5;

/// What is removed from where. Clones share it.
#[derive(Debug, Clone)]
pub struct Removing {
    store: StoreRemover,
    /// How long an entry stays at least.
    grace: Duration,
    waiting: Gauge,
    removed: Counter,
    removed_bytes: Counter,
    failures: Counter,
}

impl Removing {
    /// From the store that the settings name; `None` where they name none.
    ///
    /// # Errors
    /// When a setting of the store is missing or wrong.
    pub fn of(
        store: &StoreSettings,
        grace: Duration,
        metrics: &Metrics,
    ) -> anyhow::Result<Option<Self>> {
        let Some(store) = StoreRemover::of(store)? else { return Ok(None) };
        let waiting = metrics.gauge(
            "store_objects_to_remove",
            "Files and folders of the instance store that nothing names any more and that wait to be removed",
        );
        let removed = metrics.counter(
            "store_objects_removed",
            "Files and folders that were removed from the instance store",
        );
        let removed_bytes = metrics.counter(
            "store_bytes_removed",
            "Length of the files that were removed from the instance store",
        );
        let failures = metrics.counter(
            "store_remove_failures",
            "Tries to remove something from the instance store that failed and are repeated",
        );
        Ok(Some(Self { store, grace, waiting, removed, removed_bytes, failures }))
    }

    /// Another indexer does it: what waits is shown there.
    pub fn stands_by(&self) {
        self.waiting.set(0);
    }
}

/// What it works with.
#[derive(Debug)]
pub struct Remover {
    /// What is removed from where.
    pub removing: Removing,
    /// The catalogue, which has the list.
    pub catalog: CatalogWriter,
    /// The broker.
    pub nats: Client,
}

/// A moment, and what has to be so before what was listed by then is removed.
#[derive(Debug)]
struct Mark {
    at: Instant,
    listed: ListedUpTo,
    position: Position,
}

/// What came of some entries.
#[derive(Debug, Default)]
struct Done {
    /// Those that are gone, or stay for good.
    ids: Vec<i64>,
    removed: u64,
    bytes: u64,
    failures: BTreeMap<String, io::Error>,
}

impl Remover {
    /// Works the list off until told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        let mut mark = None;
        let rounds = async {
            loop {
                if let Err(error) = self.round(&mut mark, &stop).await {
                    mark = None;
                    self.removing.failures.inc();
                    tracing::warn!("nothing is removed from the instance store yet: {error:#}");
                }
                sleep(LOOK_EVERY).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    /// One look at the list.
    async fn round(&self, mark: &mut Option<Mark>, stop: &CancellationToken) -> anyhow::Result<()> {
        self.removing.waiting.set(self.catalog.count_to_remove().await?);
        match mark.take() {
            None => {
                if let Some(listed) = self.catalog.listed_to_remove().await? {
                    // After the list: what led up to it was in the stream by then.
                    let position = stream::position(&self.nats).await?;
                    *mark = Some(Mark { at: Instant::now(), listed, position });
                }
            }
            Some(set) if self.is_passed(&set).await? => self.remove_all(set.listed, stop).await?,
            Some(set) => *mark = Some(set),
        }
        Ok(())
    }

    /// Whether what was listed by then may be removed.
    async fn is_passed(&self, mark: &Mark) -> anyhow::Result<bool> {
        if mark.at.elapsed() < self.removing.grace {
            return Ok(false);
        }
        // One that is read later may name what is listed: a stream that was put back from a copy is read again.
        let bookmark = self.catalog.bookmark().await?;
        let has_read = bookmark.is_some_and(|bookmark| {
            bookmark.stream_created == mark.position.created
                && bookmark.last_sequence >= mark.position.last
        });
        self.catalog.check_begun()?;
        Ok(has_read && self.catalog.has_announced(mark.listed).await?)
    }

    /// Removes all that was listed by then, but for what a revision needs that is to be kept. What can't be removed stays
    /// on the list, and holds up nothing.
    async fn remove_all(&self, listed: ListedUpTo, stop: &CancellationToken) -> anyhow::Result<()> {
        let (mut after, mut failed, mut removed) = (0, 0, 0);
        while !stop.is_cancelled() {
            let entries = self.catalog.to_remove(after, listed, AT_ONCE).await?;
            let Some(last) = entries.last() else { break };
            after = last.id;
            let done = remove(&self.removing.store, entries).await?;
            self.catalog.removed(&done.ids).await?;
            self.removing.removed.inc_by(done.removed);
            self.removing.removed_bytes.inc_by(done.bytes);
            self.removing.failures.inc_by(done.failures.len() as u64);
            removed += done.removed;
            for (place, error) in done.failures {
                if failed < LOGGED {
                    tracing::warn!(place, "can't be removed from the instance store yet: {error}");
                }
                failed += 1;
            }
        }
        if removed > 0 || failed > 0 {
            tracing::info!(removed, failed, "removed from the instance store");
        }
        Ok(())
    }
}

/// Removes entries, but for what a revision needs that is to be kept.
async fn remove(store: &StoreRemover, entries: Vec<ToRemove>) -> io::Result<Done> {
    let mut done = Done::default();
    let (named, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(|it| it.is_named);
    done.ids.extend(named.iter().map(|entry| entry.id));
    let removals = entries.iter().map(|entry| {
        let ToRemove { place, is_folder, successor, .. } = entry.clone();
        Removal { place, is_folder, successor }
    });
    let removed = store.remove(removals.collect()).await?;
    for (entry, removed) in entries.into_iter().zip(removed) {
        match removed {
            Ok(removed) => {
                done.ids.push(entry.id);
                if removed == Removed::Gone {
                    done.removed += 1;
                    done.bytes += entry.bytes;
                }
            }
            Err(error) => drop(done.failures.insert(entry.place, error)),
        }
    }
    Ok(done)
}
