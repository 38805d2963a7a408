//! An instance's event as JSON: written by the receiver, read by the indexer.

use crate::events::{event, template};
use contract::event::InstanceStored;
use criterion::{Criterion, Throughput};
use std::hint::black_box;

pub(crate) fn bench(criterion: &mut Criterion) {
    let template = template().unwrap();
    let event = event(&template, 3, 5, template.received_at).unwrap();
    let json = serde_json::to_vec(&event).unwrap();
    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("written", |b| b.iter(|| serde_json::to_vec(black_box(&event))));
    group.bench_function("read", |b| {
        b.iter(|| serde_json::from_slice::<InstanceStored>(black_box(&json)));
    });
    group.finish();
}
