//! A C-STORE-RQ's command set read, and its C-STORE-RSP written.

use criterion::Criterion;
use dimse::Status;
use dimse::command::{read_request, write_response};
use std::hint::black_box;

pub(crate) fn bench(criterion: &mut Criterion) {
    let command = command();
    let request = read_request(&command).unwrap();
    let mut group = criterion.benchmark_group("dimse");
    group.bench_function("C-STORE-RQ read", |b| b.iter(|| read_request(black_box(&command))));
    group.bench_function("C-STORE-RSP written", |b| {
        b.iter(|| write_response(black_box(&request), Status::Success, ""));
    });
    group.finish();
}

/// As dcmtk writes it (PS3.7 9.3.1.1).
fn command() -> Vec<u8> {
    let mut command = Vec::new();
    let mut put = |element: u16, value: &[u8]| {
        command.extend_from_slice(&[0, 0]);
        command.extend_from_slice(&element.to_le_bytes());
        command.extend_from_slice(&(value.len() as u32).to_le_bytes());
        command.extend_from_slice(value);
    };
    put(0x0002, b"1.2.840.10008.5.1.4.1.1.4\0");
    put(0x0100, &[1, 0]);
    put(0x0110, &[7, 0]);
    put(0x0700, &[0, 0]);
    put(0x0800, &[1, 0]);
    put(0x1000, b"1.2.840.113619.2.408.14196467.4.11400714819323.1\0\0");
    command
}
