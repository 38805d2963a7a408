//! A catalogue in a file that is made beside its place and renamed: all of it is in the file by then, or it is not
//! renamed.

use crate::feed::bookmark;
use catalog::{
    Batch, CatalogReader, CatalogSettings, CatalogWriter, Inspected, NewCatalog, inspect,
};
use completion::Consequences;
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where a catalogue is to be.
struct Target {
    folder: TempDir,
    settings: CatalogSettings,
}

impl Target {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { settings: CatalogSettings::at(&folder.path().join("catalog.db")), folder }
    }

    fn file(&self, end: &str) -> PathBuf {
        self.folder.path().join(format!("catalog.db{end}"))
    }

    /// Begins the catalogue, which has read INSTANCES up to `sequence`.
    async fn begin(&self, sequence: u64) -> NewCatalog {
        let new = NewCatalog::begin(&self.settings).await.unwrap();
        reads_up_to(&new.writer, sequence).await;
        new
    }

    /// How far the catalogue has read INSTANCES, as an indexer finds it.
    async fn last_sequence(&self) -> u64 {
        let reader = CatalogReader::open(&self.settings).unwrap();
        reader.check().await.unwrap();
        let last = reader.bookmark().await.unwrap().unwrap().last_sequence;
        reader.close().await;
        last
    }
}

async fn reads_up_to(writer: &CatalogWriter, sequence: u64) {
    let batch = Batch::new(bookmark(sequence));
    writer.record(&batch, |_| Consequences::default()).await.unwrap();
}

/// Somebody else who has a file open.
async fn another(path: &Path) -> SqliteConnection {
    let mut another = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    another.execute("select * from bookmark").await.unwrap();
    another
}

#[tokio::test]
async fn all_of_it_is_put_in_place_though_somebody_else_has_it_open() {
    let target = Target::new();
    let new = target.begin(7).await;
    let another = another(&target.file(".part")).await;
    new.put_in_place().await.unwrap();
    assert_eq!(target.last_sequence().await, 7);
    for end in [".part", ".part-wal", ".part-shm"] {
        assert!(!target.file(end).exists(), "{end}");
    }
    another.close().await.unwrap();
    assert_eq!(target.last_sequence().await, 7);
}

#[tokio::test]
async fn it_is_not_put_in_place_while_somebody_else_keeps_its_end_in_the_log() {
    let target = Target::new();
    let new = target.begin(7).await;
    let mut another = another(&target.file(".part")).await;
    another.execute("begin; select * from bookmark").await.unwrap();
    reads_up_to(&new.writer, 8).await;
    let refused = new.put_in_place().await.unwrap_err().to_string();
    assert!(refused.contains("catalog.db.part is in use"), "{refused}");
    assert_eq!(inspect(&target.settings).await.unwrap(), Inspected::Absent);
    another.close().await.unwrap();
    target.begin(9).await.put_in_place().await.unwrap();
    assert_eq!(target.last_sequence().await, 9);
}

#[tokio::test]
async fn a_log_that_a_removed_catalogue_has_left_is_not_taken_for_its_own() {
    let target = Target::new();
    let removed = CatalogWriter::own(&target.settings).await.unwrap();
    reads_up_to(&removed, 7).await;
    let left = std::fs::read(target.file("-wal")).unwrap();
    assert!(!left.is_empty());
    removed.close().await;
    std::fs::remove_file(target.file("")).unwrap();
    std::fs::write(target.file("-wal"), left).unwrap();
    target.begin(9).await.put_in_place().await.unwrap();
    assert_eq!(target.last_sequence().await, 9);
}

#[tokio::test]
async fn of_two_that_make_one_the_second_is_refused_before_and_after_it_is_there() {
    let target = Target::new();
    let first = target.begin(7).await;
    let second = || async { NewCatalog::begin(&target.settings).await.unwrap_err().to_string() };
    let refused = second().await;
    assert!(refused.contains("is about to be made by somebody else"), "{refused}");
    first.put_in_place().await.unwrap();
    let refused = second().await;
    assert!(refused.contains("exists; name a file that does not"), "{refused}");
    assert_eq!(target.last_sequence().await, 7);
}

#[tokio::test]
async fn a_file_that_somebody_put_there_meanwhile_stays() {
    let target = Target::new();
    let new = target.begin(7).await;
    std::fs::write(target.file(""), "another").unwrap();
    let refused = new.put_in_place().await.unwrap_err().to_string();
    assert!(refused.contains("exists"), "{refused}");
    assert_eq!(std::fs::read(target.file("")).unwrap(), b"another");
}
