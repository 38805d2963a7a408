//! The walk over data sets of every form, and over what is none.

use super::json::Metadata;
use super::pixel_data::{BulkData, Extent, PixelData, bulk_data};
use super::walk::{Event, Walk};
use super::{Source, Unreadable};
use fastrand::Rng;
use serde_json::{Value, json};
use store::{Object, Objects};
use tempfile::TempDir;

const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// Length of the File Meta Information that these files have.
const HEAD: usize = 144;

/// A file with this data set, in a store of its own.
async fn file(data_set: &[u8]) -> (TempDir, Object) {
    let folder = tempfile::tempdir().unwrap();
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM\x02\x00\x00\x00UL\x04\x00\x00\x00\x00\x00");
    assert_eq!(file.len(), HEAD);
    file.extend_from_slice(data_set);
    std::fs::write(folder.path().join("a.dcm"), &file).unwrap();
    let objects = Objects::in_folder(folder.path());
    let object = objects.object("a.dcm", file.len() as u64).await.unwrap();
    (folder, object)
}

/// Its metadata, in pieces of any length.
fn metadata(object: &Object, syntax: &str) -> Result<Value, Unreadable> {
    let mut metadata = Metadata::new(Source::open(object, syntax)?, "/b".to_owned());
    let (mut all, mut piece) = (Vec::new(), Vec::new());
    loop {
        let has_more = metadata.write(&mut piece, 10)?;
        all.append(&mut piece);
        if !has_more {
            return Ok(serde_json::from_slice(&all).unwrap());
        }
    }
}

async fn metadata_of(data_set: &[u8], syntax: &str) -> Result<Value, Unreadable> {
    let (_folder, object) = file(data_set).await;
    metadata(&object, syntax)
}

/// An element in explicit VR little endian.
fn element(group: u16, number: u16, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = [group.to_le_bytes(), number.to_le_bytes()].concat();
    bytes.extend_from_slice(vr.as_bytes());
    match vr {
        "OB" | "OW" | "SQ" | "UN" | "UT" => {
            bytes.extend_from_slice(&[0, 0]);
            bytes.extend_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
        }
        _ => bytes.extend_from_slice(&u16::try_from(value.len()).unwrap().to_le_bytes()),
    }
    [&bytes, value].concat()
}

fn with_length(tag: [u8; 4], length: u32, value: &[u8]) -> Vec<u8> {
    [&tag[..], &length.to_le_bytes(), value].concat()
}

const ITEM: [u8; 4] = [0xfe, 0xff, 0, 0xe0];
const ITEM_END: [u8; 8] = [0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0];
const SEQUENCE_END: [u8; 8] = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];

fn item(value: &[u8]) -> Vec<u8> {
    with_length(ITEM, u32::try_from(value.len()).unwrap(), value)
}

/// A sequence whose length is not said.
fn endless(group: u16, number: u16, vr: &str, items: &[u8]) -> Vec<u8> {
    let mut bytes = element(group, number, vr, &[]);
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&[0xff; 4]);
    [&bytes, items, &SEQUENCE_END].concat()
}

/// One of each kind of element, and encapsulated pixel data of three fragments.
fn all_kinds() -> Vec<u8> {
    let inner = element(0x0008, 0x1150, "UI", b"1.2\0");
    let open_item = [&with_length(ITEM, u32::MAX, &inner)[..], &ITEM_END].concat();
    let implicit = with_length([0x08, 0, 0x50, 0x11], 4, b"1.3\0");
    [
        element(0x0008, 0x0000, "UL", &[1, 0, 0, 0]),
        element(0x0008, 0x0005, "CS", b"ISO_IR 100"),
        endless(0x0008, 0x1115, "SQ", &[item(&inner), open_item].concat()),
        element(0x0008, 0x1140, "SQ", &[]),
        element(0x0009, 0x1001, "UN", &[7; 2000]),
        endless(0x0009, 0x1002, "UN", &item(&implicit)),
        element(0x0010, 0x0010, "PN", b"M\xfcller^J "),
        element(0x0028, 0x0008, "IS", b"2 "),
        element(0x0028, 0x0010, "US", &[2, 0]),
        element(0x0028, 0x0103, "US", &[1, 0]),
        endless(
            0x7fe0,
            0x0010,
            "OB",
            &[item(&[0, 0, 0, 0, 20, 0, 0, 0]), item(&[1; 4]), item(&[2; 0]), item(&[3; 6])]
                .concat(),
        ),
        element(0xfffc, 0xfffc, "OB", &[0, 0]),
    ]
    .concat()
}

#[tokio::test]
async fn metadata_has_every_element_and_the_places_of_long_ones() {
    let said = metadata_of(&all_kinds(), EXPLICIT).await.unwrap();
    let expected = json!({
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00081115": {"vr": "SQ", "Value": [
            {"00081150": {"vr": "UI", "Value": ["1.2"]}},
            {"00081150": {"vr": "UI", "Value": ["1.2"]}},
        ]},
        "00081140": {"vr": "SQ"},
        "00091001": {"vr": "UN", "BulkDataURI": "/b/00091001"},
        "00091002": {"vr": "SQ", "Value": [{"00081150": {"vr": "UI", "Value": ["1.3"]}}]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^J"}]},
        "00280008": {"vr": "IS", "Value": [2]},
        "00280010": {"vr": "US", "Value": [2]},
        "00280103": {"vr": "US", "Value": [1]},
        "7FE00010": {"vr": "OB", "BulkDataURI": "/b/7FE00010"},
        "FFFCFFFC": {"vr": "OB", "InlineBinary": "AAA="},
    });
    assert_eq!(said, expected);
}

#[tokio::test]
async fn the_same_is_read_in_every_encoding_also_in_another_one_than_was_said() {
    let implicit = [
        with_length([0x08, 0, 0x60, 0], 2, b"MR"),
        with_length([0x28, 0, 0x03, 0x01], 2, &[1, 0]),
        with_length([0x28, 0, 0x06, 0x01], 2, &[0xff, 0xff]),
    ]
    .concat();
    let big_endian = [
        &[0, 8, 0, 0x60, b'C', b'S', 0, 2, b'M', b'R'][..],
        &[0, 0x28, 1, 3, b'U', b'S', 0, 2, 0, 1],
        &[0, 0x28, 1, 6, b'S', b'S', 0, 2, 0xff, 0xff],
    ]
    .concat();
    let explicit = [
        element(0x0008, 0x0060, "CS", b"MR"),
        element(0x0028, 0x0103, "US", &[1, 0]),
        element(0x0028, 0x0106, "SS", &[0xff, 0xff]),
    ]
    .concat();
    let mut deflated =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut deflated, &explicit).unwrap();
    let deflated = deflated.finish().unwrap();
    let expected = json!({
        "00080060": {"vr": "CS", "Value": ["MR"]},
        "00280103": {"vr": "US", "Value": [1]},
        "00280106": {"vr": "SS", "Value": [-1]},
    });
    for (data_set, syntax) in [
        (&implicit, IMPLICIT),
        (&implicit, EXPLICIT),
        (&explicit, EXPLICIT),
        (&explicit, IMPLICIT),
        (&explicit, "1.2.840.10008.1.2.4.50"),
        (&big_endian, BIG_ENDIAN),
        (&deflated, DEFLATED),
    ] {
        assert_eq!(metadata_of(data_set, syntax).await.unwrap(), expected, "{syntax}");
    }
}

#[tokio::test]
async fn frames_and_bulk_data_are_where_the_walk_finds_them() {
    let data_set = all_kinds();
    let (_folder, object) = file(&data_set).await;
    let source = || Source::open(&object, EXPLICIT).unwrap();
    let bytes = |extent: &Extent| -> Vec<u8> {
        let of = |range: &std::ops::Range<u64>| {
            data_set[range.start as usize - HEAD..range.end as usize - HEAD].to_vec()
        };
        extent.ranges.iter().flat_map(of).collect()
    };
    let pixels = PixelData::find(source()).unwrap().unwrap();
    assert_eq!((pixels.frames(), pixels.fragments()), (2, Some(3)));
    assert_eq!(bytes(&pixels.frame(1).unwrap()), [1; 4]);
    assert_eq!(bytes(&pixels.frame(2).unwrap()), [3; 6]);
    assert_eq!(bulk_data(source(), "7FE00010").unwrap(), Some(BulkData::Frames));
    for (path, expected) in [
        ("00091001", Some(vec![7; 2000])),
        ("00081115/2/00081150", Some(b"1.2\0".to_vec())),
        ("00081115/3/00081150", None),
        ("00081115", None),
        ("00091003", None),
    ] {
        let found = bulk_data(source(), path).unwrap();
        let found = found.map(|found| match found {
            BulkData::Value(extent) => bytes(&extent),
            BulkData::Frames => Vec::new(),
        });
        assert_eq!(found, expected, "{path}");
    }
}

#[tokio::test]
async fn what_is_cut_off_or_damaged_is_an_error_or_read_and_always_comes_to_an_end() {
    let whole = all_kinds();
    let complete = metadata_of(&whole, EXPLICIT).await.unwrap();
    for length in 0..whole.len() {
        // Where one element ends and the next begins it looks whole: that the file is, its length shows.
        if let Ok(said) = metadata_of(&whole[..length], EXPLICIT).await {
            assert_ne!(said, complete, "{length}");
        }
    }
    let mut rng = Rng::with_seed(7);
    for _ in 0..2000 {
        let mut damaged = whole.clone();
        for _ in 0..rng.usize(1..8) {
            let at = rng.usize(..damaged.len());
            damaged[at] = if rng.bool() { 0xff } else { rng.u8(..) };
        }
        let syntax = [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED][rng.usize(..4)];
        let (_folder, object) = file(&damaged).await;
        let _ = metadata(&object, syntax);
        if let Ok(source) = Source::open(&object, syntax)
            && let Ok(Some(pixels)) = PixelData::find(source)
        {
            let _ = (pixels.frame(1), pixels.frame(2), pixels.frame(u64::MAX));
        }
        if let Ok(source) = Source::open(&object, syntax) {
            let _ = bulk_data(source, "00081115/2/00081150");
        }
    }
}

#[tokio::test]
async fn sequences_without_end_are_refused() {
    let open = [&element(0x0008, 0x1115, "SQ", &[])[..8], &[0xff; 4]].concat();
    let nested = [&open[..], &with_length(ITEM, u32::MAX, &[])].concat().repeat(1000);
    let (_folder, object) = file(&nested).await;
    let mut walk = Walk::new(Source::open(&object, EXPLICIT).unwrap());
    let error = loop {
        match walk.next() {
            Ok(Some(Event::SequenceStart(_) | Event::ItemStart)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Unreadable::TooDeep), "{error}");
}
