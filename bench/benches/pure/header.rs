//! The header of a data set, from fragments as long as PDUs.

use collimator::synthetic::SyntheticStudy;
use criterion::{Criterion, Throughput};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::{
    EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use ingest::internals::header::{Encoding, Header, HeaderReader, Limits};
use ingest::internals::{WANTED, decode};
use std::hint::black_box;

const LIMITS: Limits = Limits { header: 16 << 20, inflated: 1 << 30 };

/// As long as what our receiver asks for.
const FRAGMENT: usize = 128 * 1024;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header");
    for (name, encoding, private) in [
        ("explicit, 0.5 MB", Encoding::Explicit, 0),
        ("explicit, 0.5 MB with 64 KiB private", Encoding::Explicit, 64 * 1024),
        ("implicit, 0.5 MB with 64 KiB private", Encoding::Implicit, 64 * 1024),
    ] {
        let data_set = data_set(encoding, private);
        group.throughput(Throughput::Bytes(data_set.len() as u64));
        group.bench_function(name, |b| b.iter(|| read(encoding, black_box(&data_set))));
    }
    group.throughput(Throughput::Elements(1));
    let header = read(Encoding::Explicit, &data_set(Encoding::Explicit, 0));
    group.bench_function("attributes decoded", |b| b.iter(|| decode(black_box(&header))));
    group.finish();
}

fn read(encoding: Encoding, data_set: &[u8]) -> Header {
    let mut reader = HeaderReader::new(encoding, WANTED, LIMITS);
    for fragment in data_set.chunks(FRAGMENT) {
        reader.push(fragment).unwrap();
    }
    reader.finish().unwrap()
}

fn data_set(encoding: Encoding, private: usize) -> Vec<u8> {
    let study = SyntheticStudy::new().series("MR", 1).size(480, 480);
    let study = study.extra(move |data_set: &mut InMemDicomObject| {
        if private > 0 {
            let value = PrimitiveValue::from(vec![7_u8; private]);
            data_set.put(DataElement::new(Tag(0x0029, 0x1010), VR::OB, value));
        }
    });
    let instance = study.instances().unwrap().remove(0);
    let mut bytes = Vec::new();
    let syntax = match encoding {
        Encoding::Implicit => IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        _ => EXPLICIT_VR_LITTLE_ENDIAN.erased(),
    };
    instance.write_dataset_with_ts(&mut bytes, &syntax).unwrap();
    bytes
}
