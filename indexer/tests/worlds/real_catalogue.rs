//! The real catalogue, for worlds that take their time.

use super::indexer::{Announced, Store};
use super::stream::{Stream, time};
use catalog::{Bookmark, CatalogReader, CatalogSettings, CatalogWriter};
use completion::Senders;
use completion::debounce::Debouncer;
use completion::{AskedSource, Completion, Consequences, List, OpenSeries, Pauses, Question};
use contract::event::Reason;
use contract::uid::SeriesInstanceUid;
use indexer::batch::Batch;
use indexer::decision::Decision;
use indexer::record::{Rebuilding, Report};
use test_database::TestDatabase;
use tokio::runtime::Runtime;

/// A catalogue on the database that `TEST_DATABASE` names.
pub struct RealCatalogue {
    runtime: Runtime,
    catalog: CatalogWriter,
    /// What was announced: the SERIES stream of the world.
    decisions: Vec<Decision>,
    database: TestDatabase,
}

impl RealCatalogue {
    pub fn new() -> Self {
        let database = TestDatabase::new();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let catalog = runtime.block_on(catalog(&database));
        Self { runtime, catalog, decisions: Vec::new(), database }
    }

    /// All that the catalogue says.
    pub fn rows(&self) -> Vec<String> {
        self.runtime.block_on(rows(&self.database))
    }

    /// The same catalogue made again from the record, of which the events before sequence `from` are
    /// gone: what it says, and what of it is partial.
    pub fn replayed(&self, stream: &Stream, senders: &Senders, from: u64) -> (Vec<String>, Report) {
        self.runtime.block_on(async {
            let database = TestDatabase::new();
            let rebuilt = catalog(&database).await;
            let mut replay = Rebuilding::new(rebuilt, senders.clone(), time(0));
            let mut decisions = self.decisions.iter().peekable();
            let last = stream.events.len() as u64;
            for sequence in from..=last {
                let decided = |decision: &&Decision| decision.sequence() < Some(sequence);
                while let Some(decision) = decisions.next_if(decided) {
                    replay.decision(decision).await.unwrap();
                }
                let entry = stream.get(sequence);
                replay.event(sequence, stream.mark(sequence), entry.reading.clone()).await.unwrap();
            }
            for decision in decisions {
                replay.decision(decision).await.unwrap();
            }
            let report = replay.finish(last).await.unwrap();
            (rows(&database).await, report)
        })
    }
}

async fn catalog(database: &TestDatabase) -> CatalogWriter {
    CatalogWriter::own(&settings(database)).await.unwrap()
}

async fn rows(database: &TestDatabase) -> Vec<String> {
    CatalogReader::open(&settings(database)).unwrap().rows().await.unwrap()
}

fn settings(database: &TestDatabase) -> CatalogSettings {
    CatalogSettings { database_url: database.url().to_owned() }
}

impl Store for RealCatalogue {
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
        let committed = self.runtime.block_on(self.catalog.record(&batch.rows, conclude)).unwrap();
        self.decisions.extend(committed.deleted.into_iter().map(Decision::Deleted));
        let registered = committed.registered.into_iter();
        self.decisions.extend(registered.map(|event| Decision::Completed(Box::new(event))));
    }

    fn asked_sources(&self) -> Vec<(String, AskedSource)> {
        self.runtime.block_on(self.catalog.asked_sources()).unwrap()
    }

    fn pauses(&self) -> Vec<(String, Pauses)> {
        self.runtime.block_on(self.catalog.pauses()).unwrap()
    }

    fn lists(&self) -> Vec<List> {
        self.runtime.block_on(self.catalog.lists()).unwrap()
    }

    fn decide(
        &mut self,
        completions: &[Completion],
        questions: &[Question],
        kept: &Consequences,
    ) -> Vec<Announced> {
        let decided = self.catalog.decide(completions, questions, kept);
        let events = self.runtime.block_on(decided).unwrap();
        self.decisions
            .extend(events.iter().cloned().map(|event| Decision::Completed(Box::new(event))));
        let announced = events.into_iter().map(|event| Announced {
            series: event.series_instance_uid,
            revision: event.revision,
            reason: event.reason,
            count: event.instances_count,
            added: event.instances_added,
            corrected: event.instances_corrected,
            expected: event.expected_count,
            missing: event.missing_instances,
            fetched: event.fetched,
            decided_at: event.completed_at,
            sequence: event.instances_sequence.unwrap(),
        });
        announced.collect()
    }
}
