//! What the pure parts cost, one by one: `cargo bench -p bench`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark, which fails by panicking")]

#[path = "../../src/events.rs"]
#[allow(dead_code, unused_imports, reason = "of the program that it is shared with, and its tests")]
mod events;

mod catalogue;
mod command;
mod debounce;
mod event;
mod header;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    pure,
    header::bench,
    command::bench,
    event::bench,
    debounce::bench,
    catalogue::bench
);
criterion_main!(pure);
