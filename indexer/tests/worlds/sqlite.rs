//! The real catalogue, for worlds that take their time.

use super::indexer::{Announced, Store};
use indexer::batch::Batch;
use indexer::debounce::Debouncer;
use shared::catalog::{Bookmark, Catalog, CatalogSettings, Completion, OpenSeries};
use shared::event::Reason;
use shared::uid::SeriesInstanceUid;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub struct Sqlite {
    runtime: Runtime,
    catalog: Catalog,
    _folder: TempDir,
}

impl Sqlite {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let settings = CatalogSettings { database_url: format!("sqlite://{}", path.display()) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let catalog = runtime.block_on(Catalog::own(&settings)).unwrap();
        Self { runtime, catalog, _folder: folder }
    }
}

impl Store for Sqlite {
    fn bookmark(&self) -> Option<Bookmark> {
        self.runtime.block_on(self.catalog.bookmark()).unwrap()
    }

    fn open_series(&self) -> Vec<(SeriesInstanceUid, OpenSeries)> {
        self.runtime.block_on(self.catalog.open_series()).unwrap()
    }

    fn disproved(&self) -> Vec<(String, Reason)> {
        self.runtime.block_on(self.catalog.disproved()).unwrap()
    }

    fn record(&mut self, batch: &Batch, debouncer: &mut Debouncer) {
        let conclude = |recorded: &_| batch.conclude(debouncer, recorded);
        self.runtime.block_on(self.catalog.record(&batch.rows, conclude)).unwrap();
    }

    fn complete(&mut self, completions: &[Completion]) -> Vec<Announced> {
        let events = self.runtime.block_on(self.catalog.complete(completions)).unwrap();
        let announced = events.into_iter().map(|event| Announced {
            series: event.series_instance_uid,
            revision: event.revision,
            reason: event.reason,
            count: event.instances_count,
            added: event.instances_added,
            corrected: event.instances_corrected,
            expected: event.expected_count,
            decided_at: event.completed_at,
            sequence: event.instances_sequence.unwrap(),
        });
        announced.collect()
    }
}
