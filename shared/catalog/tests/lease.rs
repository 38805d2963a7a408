//! Which of several indexers writes the catalogue.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use catalog::{Batch, Bookmark, CatalogError, CatalogSettings, CatalogWriter};
use completion::Consequences;
use jiff::Timestamp;
use std::fs::File;
use std::time::SystemTime;
use tempfile::TempDir;

/// A catalogue that indexers share.
struct Shared {
    settings: CatalogSettings,
    folder: TempDir,
}

impl Shared {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { settings: CatalogSettings::at(&folder.path().join("catalog.db")), folder }
    }

    /// An indexer that wants the lease.
    async fn take(&self, holder: &str) -> Option<CatalogWriter> {
        CatalogWriter::take(&self.settings, holder).await.unwrap()
    }

    /// Sets the last renewal of the lease back, as if its holder had been stopped for long.
    fn pass_long(&self) {
        let file = File::options().write(true).open(self.folder.path().join("catalog.db.lock"));
        file.unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
}

async fn reads_up_to(writer: &CatalogWriter, sequence: u64) -> Result<(), CatalogError> {
    let batch = Batch::new(Bookmark::new(Timestamp::UNIX_EPOCH, sequence));
    writer.record(&batch, |_| Consequences::default()).await.map(|_| ())
}

async fn last_sequence(writer: &CatalogWriter) -> u64 {
    writer.bookmark().await.unwrap().map_or(0, |bookmark| bookmark.last_sequence)
}

fn is_superseded_by(result: Result<(), CatalogError>, holder: &str) -> bool {
    matches!(result, Err(CatalogError::Superseded(by)) if by == holder)
}

#[tokio::test]
async fn one_has_the_lease_until_it_gives_it_back() {
    let shared = Shared::new();
    let one = shared.take("one").await.unwrap();
    assert!(shared.take("other").await.is_none());
    one.renew().await.unwrap();
    assert!(shared.take("other").await.is_none());
    let before = one.lease();
    one.close().await;
    let other = shared.take("other").await.unwrap();
    assert_eq!(other.lease(), catalog::Lease { epoch: before.epoch + 1, locked: true, ..before });
}

#[tokio::test]
async fn the_lease_of_one_that_is_gone_is_free_at_once() {
    let shared = Shared::new();
    // Its lock goes with it, and nothing is given back.
    drop(shared.take("one").await.unwrap());
    assert!(shared.take("other").await.is_some());
}

#[tokio::test]
async fn one_that_was_stopped_for_long_and_goes_on_writes_nothing() {
    let shared = Shared::new();
    let one = shared.take("one").await.unwrap();
    reads_up_to(&one, 7).await.unwrap();
    shared.pass_long();
    let other = shared.take("other").await.unwrap();
    assert!(is_superseded_by(reads_up_to(&one, 8).await, "other"));
    assert!(is_superseded_by(one.announced(&[1]).await, "other"));
    assert!(is_superseded_by(one.renew().await, "other"));
    assert_eq!(last_sequence(&other).await, 7);
    reads_up_to(&other, 9).await.unwrap();

    // It frees its lock, by which nobody must think that the other one is gone.
    one.close().await;
    assert!(shared.take("third").await.is_none());
    other.renew().await.unwrap();
    assert!(shared.take("third").await.is_none());
    // From now on the lock is the other one's.
    drop(other);
    assert_eq!(last_sequence(&shared.take("third").await.unwrap()).await, 9);
}

#[tokio::test]
async fn of_two_that_find_the_lease_free_one_gets_it() {
    let shared = Shared::new();
    let stopped = shared.take("stopped").await.unwrap();
    for round in 0..20 {
        shared.pass_long();
        let (one, other) = tokio::join!(shared.take("one"), shared.take("other"));
        let got: Vec<_> = [one, other].into_iter().flatten().collect();
        assert!(!got.is_empty(), "round {round}");
        let mut working = 0;
        for writer in &got {
            working += u32::from(reads_up_to(writer, round).await.is_ok());
        }
        assert_eq!(working, 1, "round {round}");
    }
    assert!(reads_up_to(&stopped, 99).await.is_err());
}
