//! Odd data sets that DCMTK's `dcmdump` reads without an error: the header reader finds the same identity.

use crate::harness::tools::have;
use ingest::internals::WANTED;
use ingest::internals::header::{Encoding, HeaderReader, Limits, Tag};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use std::collections::BTreeMap;
use std::process::Command;

/// What identifies an instance: the UIDs of class, instance, study and series, Modality, PatientName, PatientID.
const IDENTITY: [Tag; 7] =
    [0x0008_0016, 0x0008_0018, 0x0008_0060, 0x0010_0010, 0x0010_0020, 0x0020_000d, 0x0020_000e];

const LIMITS: Limits = Limits { header: 1024 * 1024, inflated: 1024 * 1024 };

/// Whether elements have VRs.
type IsExplicit = bool;

fn start(tag: Tag) -> Vec<u8> {
    [((tag >> 16) as u16).to_le_bytes(), (tag as u16).to_le_bytes()].concat()
}

fn element(explicit: IsExplicit, tag: Tag, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let long = [b"SQ", b"OB", b"UN", b"ZY"].contains(&vr);
    let length = (value.len() as u32).to_le_bytes();
    let head = match (explicit, long) {
        (false, _) => length.to_vec(),
        (true, true) => [&vr[..], &[0, 0], &length].concat(),
        (true, false) => [&vr[..], &length[..2]].concat(),
    };
    [start(tag), head, value.to_vec()].concat()
}

/// An odd element and its tag, by which it is placed among the others. `vr` is what this writer puts in place of a VR that it does not know.
fn odd(explicit: IsExplicit, vr: &'static [u8; 2]) -> impl Strategy<Value = (Tag, Vec<u8>)> {
    const VALUES: [&[u8]; 5] = [b"", b"AB", b"ABCD", b"ODD", b"0123456789"];
    let value = select(&VALUES[..]);
    let private = value
        .clone()
        .prop_map(move |value| (0x0009_1010, element(explicit, 0x0009_1010, vr, value)));
    let other_writing = value
        .clone()
        .prop_map(move |value| (0x0009_1010, element(!explicit, 0x0009_1010, b"LO", value)));
    let again = (0..IDENTITY.len(), value.clone()).prop_map(move |(at, value)| {
        let tag = IDENTITY[at];
        (tag, element(explicit, tag, vr_of(tag), value))
    });
    let text =
        value.prop_map(move |value| (0x0008_1140, element(explicit, 0x0008_1140, b"LO", value)));
    let nested = (any::<bool>(), any::<bool>()).prop_map(move |(sized, item_sized)| {
        let inside = element(explicit, 0x0010_0020, b"LO", b"OTHER ");
        let item_length = if item_sized { inside.len() as u32 } else { u32::MAX };
        let end: &[u8] = if item_sized { b"" } else { &[0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0] };
        let item = [&start(0xfffe_e000)[..], &item_length.to_le_bytes(), &inside, end].concat();
        let length = if sized { item.len() as u32 } else { u32::MAX };
        let end: &[u8] = if sized { b"" } else { &[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0] };
        let vr: &[u8] = if explicit { b"SQ\0\0" } else { b"" };
        let head = [&start(0x0008_1140)[..], vr, &length.to_le_bytes()].concat();
        (0x0008_1140, [&head[..], &item, end].concat())
    });
    prop_oneof![private, other_writing, again, text, nested]
}

fn vr_of(tag: Tag) -> &'static [u8; 2] {
    match tag {
        0x0008_0060 => b"CS",
        0x0010_0010 => b"PN",
        0x0010_0020 => b"LO",
        _ => b"UI",
    }
}

fn data_set() -> impl Strategy<Value = (IsExplicit, Vec<u8>)> {
    const VRS: [&[u8; 2]; 8] = [b"??", b"--", b"lo", b"ZY", b"LO", b"UN", b"OB", b"\0\0"];
    (any::<bool>(), select(&VRS[..])).prop_flat_map(|(explicit, vr)| {
        let odd = prop::collection::vec((odd(explicit, vr), any::<bool>()), 0..4);
        let zeros = prop_oneof![3 => Just(0_usize), 1 => 1..20_usize];
        (odd, zeros).prop_map(move |(odd, zeros)| {
            let values: [&[u8]; 7] =
                [b"1.2.3\0", b"1.2.4\0", b"MR", b"Roe^Jane", b"OWN ", b"2.25.1", b"2.25.2"];
            let mut elements: Vec<_> = IDENTITY
                .iter()
                .zip(values)
                .map(|(tag, value)| (*tag, element(explicit, *tag, vr_of(*tag), value)))
                .collect();
            for ((tag, bytes), before) in odd {
                let place = elements.partition_point(|(other, _)| match before {
                    true => *other < tag,
                    false => *other <= tag,
                });
                elements.insert(place, (tag, bytes));
            }
            let elements: Vec<u8> = elements.into_iter().flat_map(|(_, bytes)| bytes).collect();
            (explicit, [elements, vec![0; zeros]].concat())
        })
    })
}

fn trimmed(value: &str) -> String {
    value.trim_matches(['\0', ' ']).to_owned()
}

/// What `dcmdump` prints of the identity, if it finds no error.
fn dumped(explicit: IsExplicit, data_set: &[u8]) -> Option<BTreeMap<Tag, String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data_set");
    std::fs::write(&file, data_set).unwrap();
    let syntax = if explicit { "-te" } else { "-ti" };
    let dump = Command::new("dcmdump").args(["-f", syntax, "+L"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&dump.stderr);
    if !dump.status.success() || said.lines().any(|line| line.starts_with("E:")) {
        return None;
    }
    let mut read = BTreeMap::new();
    for line in String::from_utf8_lossy(&dump.stdout).lines() {
        let Some(tag) = line.strip_prefix('(').and_then(|line| line.get(..9)) else { continue };
        let Ok(tag) = Tag::from_str_radix(&tag.replace(',', ""), 16) else { continue };
        if IDENTITY.contains(&tag) {
            let value = line.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
            let value = trimmed(value.map_or("", |(value, _)| value));
            assert!(read.insert(tag, value).is_none(), "{tag:08x} twice");
        }
    }
    Some(read)
}

#[test]
fn what_dcmdump_reads_without_an_error_has_the_same_identity_here() {
    if have("dcmdump") {
        reads_as_dcmdump_does();
    }
}

/// The same data sets in each run.
fn always_the_same() -> ProptestConfig {
    let cases = ProptestConfig::with_cases(400);
    ProptestConfig { rng_seed: RngSeed::Fixed(27), failure_persistence: None, ..cases }
}

proptest! {
    #![proptest_config(always_the_same())]

    fn reads_as_dcmdump_does((explicit, data_set) in data_set()) {
        let Some(expected) = dumped(explicit, &data_set) else { return Ok(()) };
        let encoding = if explicit { Encoding::Explicit } else { Encoding::Implicit };
        let mut reader = HeaderReader::new(encoding, WANTED, LIMITS);
        let header = reader.push(&data_set).and_then(|()| reader.finish());
        let header = header.map_err(|error| TestCaseError::fail(error.to_string()))?;
        for (tag, expected) in expected {
            let value = header.values.get(&tag).map(|raw| trimmed(&String::from_utf8_lossy(raw)));
            prop_assert_eq!(value.unwrap_or_default(), expected, "{:08x}", tag);
        }
    }
}
