//! Who waits for whom at the connections of a process that reads.

use super::*;
use crate::uid::StudyInstanceUid;
use futures_util::FutureExt as _;
use tempfile::TempDir;

/// A catalogue of a process that reads, and where its file is.
async fn reader() -> (Catalog, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    let settings = CatalogSettings { database_url: format!("sqlite://{}", path.display()) };
    Catalog::own(&settings).await.unwrap().close().await;
    (Catalog::open(&settings).unwrap(), folder)
}

fn stored() -> StoredSeries {
    StoredSeries {
        series: SeriesInstanceUid::parse("2.25.5").unwrap(),
        study: StudyInstanceUid::parse("2.25.6").unwrap(),
        patient_id: "7".into(),
        patient_name: "Roe^Jane".into(),
        instances_count: 12,
        at: Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn readers_can_not_hold_up_what_is_stored() {
    let (catalog, _folder) = reader().await;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(catalog.pool.acquire().await.unwrap());
    }
    assert_eq!(catalog.store(&stored()).await.unwrap(), StoreOutcome::Stored);
}

#[tokio::test]
async fn long_reads_leave_connections_to_what_is_looked_up() {
    let (catalog, _folder) = reader().await;
    catalog.store(&stored()).await.unwrap();
    let mut reading = Vec::new();
    for _ in 0..LONG_READS {
        let turn = catalog.long_read().await.unwrap();
        reading.push((turn, catalog.pool.acquire().await.unwrap()));
    }
    let all = SeriesSearch { whole: true, ..SeriesSearch::default() };
    let mut another = Box::pin(catalog.series(&all, None, 10));
    assert!(another.as_mut().now_or_never().is_none(), "it did not wait for its turn");
    assert!(catalog.state_of(&stored().series).await.unwrap().is_some());
    let page = SeriesSearch::default();
    assert_eq!(catalog.series(&page, None, 10).await.unwrap().records.len(), 1);
    reading.pop();
    assert_eq!(another.await.unwrap().records.len(), 1);
}
