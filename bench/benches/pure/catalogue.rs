//! A batch of the indexer in the catalogue: rows, bookmark and what follows from them in one
//! transaction of a real file, synced as always.

use crate::events::Backlog;
use catalog::{Batch, Bookmark, CatalogSettings, CatalogWriter, Received};
use completion::{Consequences, OpenSeries};
use criterion::{BatchSize, Criterion, Throughput};
use jiff::Timestamp;
use std::collections::HashMap;
use std::path::Path;

/// Instances in a batch.
const BATCH: usize = 1000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Where the build is, since temporary files are in memory on some machines.
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let path = folder.path().join("catalog.db");
    let settings = CatalogSettings::at(&path);
    let catalog = runtime.block_on(CatalogWriter::own(&settings)).unwrap();
    let backlog = Backlog { instances: 100_000_000, series: 1_000_000, interleaved: 8 };
    let mut events = backlog.events().unwrap();
    let mut sequence = 0;
    let mut group = criterion.benchmark_group("catalogue");
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(20);
    group.bench_function("a batch of 1,000 new instances", |b| {
        let next = || {
            let instances: Vec<_> = events
                .by_ref()
                .take(BATCH)
                .map(|event| {
                    sequence += 1;
                    let event = event.unwrap();
                    Received { sequence, at: event.received_at, event: Box::new(event) }
                })
                .collect();
            let bookmark = Bookmark::new(Timestamp::UNIX_EPOCH, sequence);
            Batch { instances, ..Batch::new(bookmark) }
        };
        let record = |batch: Batch| runtime.block_on(catalog.record(&batch, |_| opened(&batch)));
        b.iter_batched(next, |batch| record(batch).unwrap(), BatchSize::PerIteration);
    });
    group.finish();
}

/// The series of the batch are open.
fn opened(batch: &Batch) -> Consequences {
    let open: HashMap<_, _> = batch
        .instances
        .iter()
        .map(|instance| {
            let event = &instance.event;
            let open = OpenSeries::new(instance.at, &event.calling_ae_title);
            (event.series_instance_uid.clone(), open)
        })
        .collect();
    Consequences { open: open.into_iter().collect(), ..Consequences::default() }
}
