//! The header reader on data sets that dicom-object writes, and on ones that nobody should.

use super::*;
use dicom_core::value::{DataSetSequence, Value};
use dicom_core::{DataElement, Length, PrimitiveValue, VR, dicom_value};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::{
    EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use proptest::prelude::*;
use std::io::Write;

const NAME: Tag = 0x0010_0010;
const ROWS: Tag = 0x0028_0010;
const REQUEST: Tag = 0x0040_0275;
const REQUEST_ID: Tag = 0x0040_1001;
const WANTED: Wanted =
    Wanted { tags: &[NAME, ROWS, REQUEST], sequences: &[(REQUEST, &[REQUEST_ID])] };
const LIMIT: u64 = 1024 * 1024;

/// With a limit on the header alone.
fn limits(header: u64) -> Limits {
    Limits { header, inflated: u64::MAX }
}

fn split(tag: Tag) -> dicom_core::Tag {
    dicom_core::Tag((tag >> 16) as u16, tag as u16)
}

fn text(tag: Tag, vr: VR, value: &str) -> DataElement<InMemDicomObject> {
    DataElement::new(split(tag), vr, PrimitiveValue::from(value))
}

fn sequence(
    tag: Tag,
    length: Length,
    items: Vec<InMemDicomObject>,
) -> DataElement<InMemDicomObject> {
    DataElement::new(split(tag), VR::SQ, Value::Sequence(DataSetSequence::new(items, length)))
}

/// Everything that makes a header hard to read, then 600 bytes of pixel data.
fn hard() -> InMemDicomObject {
    let request = |id| InMemDicomObject::from_element_iter([text(REQUEST_ID, VR::SH, id)]);
    let icon = InMemDicomObject::from_element_iter([
        text(NAME, VR::PN, "Not^Mine"),
        DataElement::new(split(ROWS), VR::US, dicom_value!(U16, [1])),
        DataElement::new(split(0x7fe0_0010), VR::OB, dicom_value!(U8, [1, 2, 3, 4])),
    ]);
    let nested = InMemDicomObject::from_element_iter([sequence(
        0x0008_1140,
        Length::UNDEFINED,
        vec![icon.clone(), InMemDicomObject::new_empty(), icon.clone()],
    )]);
    InMemDicomObject::from_element_iter([
        sequence(0x0008_1111, Length::UNDEFINED, vec![nested, icon]),
        text(NAME, VR::PN, "Roe^Jane"),
        text(0x0010_4000, VR::LT, ""),
        DataElement::new(split(ROWS), VR::US, dicom_value!(U16, [320])),
        text(0x0029_0010, VR::LO, "SIEMENS CSA HEADER"),
        DataElement::new(split(0x0029_1010), VR::OB, PrimitiveValue::from(vec![7_u8; 65_536])),
        sequence(REQUEST, Length::UNDEFINED, vec![request("RP1"), request("RP22")]),
        DataElement::new(split(0x7fe0_0010), VR::OW, PrimitiveValue::U16(vec![9; 300].into())),
    ])
}

fn written(object: &InMemDicomObject, encoding: Encoding) -> Vec<u8> {
    let syntax = match encoding {
        Encoding::Implicit => IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        Encoding::Explicit | Encoding::Deflated => EXPLICIT_VR_LITTLE_ENDIAN.erased(),
        Encoding::ExplicitBigEndian => EXPLICIT_VR_BIG_ENDIAN.erased(),
    };
    let mut bytes = Vec::new();
    object.write_dataset_with_ts(&mut bytes, &syntax).unwrap();
    if encoding == Encoding::Deflated {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Default::default());
        encoder.write_all(&bytes).unwrap();
        bytes = encoder.finish().unwrap();
    }
    bytes
}

fn read(bytes: &[u8], encoding: Encoding, step: usize) -> Result<Header, HeaderError> {
    read_within(LIMIT, bytes, encoding, step)
}

fn read_within(
    limit: u64,
    bytes: &[u8],
    encoding: Encoding,
    step: usize,
) -> Result<Header, HeaderError> {
    let mut reader = HeaderReader::new(encoding, WANTED, limits(limit));
    for piece in bytes.chunks(step) {
        reader.push(piece)?;
    }
    reader.finish()
}

fn kept(header: &Header, tag: Tag) -> &[u8] {
    header.values.get(&tag).map_or(b"", Vec::as_slice)
}

const ENCODINGS: [Encoding; 4] =
    [Encoding::Implicit, Encoding::Explicit, Encoding::ExplicitBigEndian, Encoding::Deflated];

#[test]
fn the_header_is_the_same_in_every_encoding_and_in_any_pieces() {
    for encoding in ENCODINGS {
        let bytes = written(&hard(), encoding);
        for step in [1, 2, 3, 7, 64, 1000, bytes.len()] {
            let header = read(&bytes, encoding, step).unwrap();
            assert_eq!(kept(&header, NAME), b"Roe^Jane", "{encoding:?} {step}");
            let rows = match header.big_endian {
                true => 320_u16.to_be_bytes(),
                false => 320_u16.to_le_bytes(),
            };
            assert_eq!(kept(&header, ROWS), rows);
            let ids: Vec<_> =
                header.items[&REQUEST].iter().map(|item| item[&REQUEST_ID].as_slice()).collect();
            assert_eq!(ids, [b"RP1 ".as_slice(), b"RP22"]);
        }
    }
}

#[test]
fn a_deflated_data_set_is_whole_however_little_of_it_comes_last() {
    for length in [16 * 1024, 20_000, 64 * 1024, 1024 * 1024] {
        let zeros = PrimitiveValue::from(vec![0_u8; length]);
        let document = DataElement::new(split(0x0042_0011), VR::OB, zeros);
        let data_set = InMemDicomObject::from_element_iter([document]);
        let bytes = written(&data_set, Encoding::Deflated);
        for pieces in [bytes.len(), 1] {
            let mut reader = HeaderReader::new(Encoding::Deflated, WANTED, limits(u64::MAX));
            bytes.chunks(pieces).try_for_each(|piece| reader.push(piece)).unwrap();
            assert!(reader.finish().is_ok(), "{length} zeros in pieces of {pieces}");
        }
    }
}

#[test]
fn a_data_set_that_inflates_without_end_is_refused() {
    // An encapsulated document of zeros, which counts as no part of the header.
    let document = DataElement::new(
        split(0x0042_0011),
        VR::OB,
        PrimitiveValue::from(vec![0_u8; 16 * 1024 * 1024]),
    );
    let bytes = written(&InMemDicomObject::from_element_iter([document]), Encoding::Deflated);
    assert!(bytes.len() < 20_000, "a bomb");
    let read = |inflated| {
        let limits = Limits { header: LIMIT, inflated };
        let mut reader = HeaderReader::new(Encoding::Deflated, WANTED, limits);
        bytes.chunks(1000).try_for_each(|piece| reader.push(piece))
    };
    assert_eq!(read(4 * 1024 * 1024), Err(HeaderError::Inflates(4 * 1024 * 1024)));
    assert_eq!(read(32 * 1024 * 1024), Ok(()));
}

#[test]
fn a_value_can_be_asked_for_early_and_never_by_halves() {
    for encoding in ENCODINGS {
        let bytes = written(&hard(), encoding);
        let mut reader = HeaderReader::new(encoding, WANTED, limits(LIMIT));
        let mut since = None;
        for (at, byte) in bytes.iter().enumerate() {
            reader.push(&[*byte]).unwrap();
            match reader.value_so_far(NAME) {
                Some(name) => {
                    assert_eq!(name, b"Roe^Jane");
                    since.get_or_insert(at);
                }
                None => assert_eq!(since, None, "what was known is known for good"),
            }
        }
        assert!(since.is_some_and(|at| at < bytes.len() / 2), "{encoding:?}: {since:?}");
    }
}

#[test]
fn sequences_of_defined_length_are_read_as_well() {
    let item = [&[0x40, 0, 0x01, 0x10, b'S', b'H', 2, 0], b"R1".as_slice()].concat();
    let items = [&[0xfe, 0xff, 0, 0xe0, 10, 0, 0, 0], item.as_slice()].concat().repeat(2);
    let bytes = [
        &[0x40, 0, 0x75, 0x02, b'S', b'Q', 0, 0, items.len() as u8, 0, 0, 0],
        items.as_slice(),
        // What comes after the sequence is the data set's again.
        &[0x54, 0, 0x81, 0, b'U', b'S', 2, 0, 5, 0],
    ]
    .concat();
    let header = read(&bytes, Encoding::Explicit, 5).unwrap();
    assert_eq!(header.items[&REQUEST].len(), 2);
    assert_eq!(header.items[&REQUEST][1][&REQUEST_ID], b"R1");
}

#[test]
fn every_prefix_is_told_from_the_whole() {
    for encoding in ENCODINGS {
        let bytes = written(&hard(), encoding);
        assert!(read(&bytes, encoding, bytes.len()).is_ok());
        let mut boundaries = 0;
        for length in 0..bytes.len() {
            match read(&bytes[..length], encoding, 4096) {
                // Without pixel data a data set may end after any of its elements.
                Ok(_) => boundaries += 1,
                Err(error) => assert_eq!(error, HeaderError::Truncated, "{encoding:?} {length}"),
            }
        }
        // Of a deflated one all may be there before the last byte is, which only ends the stream.
        let elements = if encoding == Encoding::Deflated { 1 } else { 8 };
        assert!(boundaries <= elements, "{encoding:?}: {boundaries} prefixes passed for whole");
    }
}

#[test]
fn a_data_set_without_pixel_data_is_whole_at_its_end() {
    let report = InMemDicomObject::from_element_iter([text(NAME, VR::PN, "Roe^Jane")]);
    for encoding in ENCODINGS {
        let mut bytes = written(&report, encoding);
        assert_eq!(kept(&read(&bytes, encoding, 3).unwrap(), NAME), b"Roe^Jane");
        if encoding == Encoding::Deflated {
            // Padding after the deflated stream (PS3.5 section A.5).
            bytes.push(0);
            assert!(read(&bytes, encoding, 3).is_ok());
        }
    }
    assert_eq!(read(&[], Encoding::Explicit, 1), Ok(Header::default()));
}

#[test]
fn what_is_kept_before_the_pixel_data_is_limited_and_what_is_read_past_is_not() {
    // What is read past costs nothing, however much it is and whosever.
    let private = written(&hard(), Encoding::Explicit);
    assert!(read_within(1000, &private, Encoding::Explicit, 4096).is_ok());
    let deflated = written(&hard(), Encoding::Deflated);
    assert!(read_within(1000, &deflated, Encoding::Deflated, 4096).is_ok());
    // Elements without end are another matter, and so is what is kept.
    let endless = [0x09, 0, 0x01, 0x10, b'L', b'O', 0, 0].repeat(1000);
    let error = read_within(1000, &endless, Encoding::Explicit, 4096).unwrap_err();
    assert_eq!(error, HeaderError::TooLong(1000));
    let name = InMemDicomObject::from_element_iter([text(NAME, VR::PN, &"x".repeat(2000))]);
    assert!(read_within(1000, &written(&name, Encoding::Explicit), Encoding::Explicit, 9).is_err());

    let document = InMemDicomObject::from_element_iter([
        text(NAME, VR::PN, "Roe^Jane"),
        DataElement::new(split(0x0042_0011), VR::OB, PrimitiveValue::from(vec![1_u8; 100_000])),
        DataElement::new(split(0x3006_0050), VR::OB, PrimitiveValue::from(vec![1_u8; 100_000])),
    ]);
    let bytes = written(&document, Encoding::Explicit);
    assert!(read_within(65_536, &bytes, Encoding::Explicit, 4096).is_ok());
}

#[test]
fn a_long_value_is_cut_off_and_loses_nothing_else() {
    let long = InMemDicomObject::from_element_iter([
        text(NAME, VR::PN, &"x".repeat(MAX_VALUE_LENGTH + 10)),
        DataElement::new(split(ROWS), VR::US, dicom_value!(U16, [320])),
    ]);
    let header = read(&written(&long, Encoding::Explicit), Encoding::Explicit, 100).unwrap();
    assert_eq!(kept(&header, NAME).len(), MAX_VALUE_LENGTH);
    let whole = blake3::hash("x".repeat(MAX_VALUE_LENGTH + 10).as_bytes());
    assert_eq!(header.overlong.hash((None, NAME)), Some(whole));
    assert_eq!(header.overlong.hash((None, ROWS)), None);
    assert_eq!(kept(&header, ROWS), 320_u16.to_le_bytes());
}

#[test]
fn a_sequence_of_unknown_vr_is_implicit_inside() {
    let bytes = [
        // (0009,1001) UN of undefined length; in it an item with (0009,1002), implicit VR.
        &[0x09, 0, 0x01, 0x10, b'U', b'N', 0, 0, 0xff, 0xff, 0xff, 0xff][..],
        &[0xfe, 0xff, 0, 0xe0, 0xff, 0xff, 0xff, 0xff],
        &[0x09, 0, 0x02, 0x10, 4, 0, 0, 0, b'a', b'b', b'c', b'd'],
        &[0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0],
        &[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0],
        &[0x28, 0, 0x10, 0, b'U', b'S', 2, 0, 0x40, 1],
    ]
    .concat();
    let header = read(&bytes, Encoding::Explicit, 1).unwrap();
    assert_eq!(kept(&header, ROWS), 320_u16.to_le_bytes());
}

#[test]
fn an_element_that_slipped_into_implicit_vr_is_read_as_such() {
    let bytes = [
        &[0x09, 0, 0x01, 0x10, 2, 0, 0, 0, b'a', b'b'][..],
        &[0x28, 0, 0x10, 0, b'U', b'S', 2, 0, 0x40, 1],
    ]
    .concat();
    assert_eq!(kept(&read(&bytes, Encoding::Explicit, 1).unwrap(), ROWS), 320_u16.to_le_bytes());
}

#[test]
fn encapsulated_fragments_inside_a_sequence_are_passed_over() {
    let bytes = [
        // Icon Image Sequence with encapsulated pixel data, whose fragment looks like an element.
        &[0x88, 0, 0, 0x02, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff][..],
        &[0xfe, 0xff, 0, 0xe0, 0xff, 0xff, 0xff, 0xff],
        &[0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0, 0xff, 0xff, 0xff, 0xff],
        &[0xfe, 0xff, 0, 0xe0, 0, 0, 0, 0],
        &[0xfe, 0xff, 0, 0xe0, 8, 0, 0, 0, 0x28, 0, 0x10, 0, b'U', b'S', 0xff, 0xff],
        &[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0],
        &[0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0],
        &[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0],
    ]
    .concat();
    assert!(read(&bytes, Encoding::Explicit, 3).unwrap().values.is_empty());
    assert!(read(&bytes[..bytes.len() - 1], Encoding::Explicit, 3).is_err());
}

#[test]
fn nesting_without_end_is_refused() {
    let level = [
        &[0x09, 0, 0x01, 0x10, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff][..],
        &[0xfe, 0xff, 0, 0xe0, 0xff, 0xff, 0xff, 0xff],
    ]
    .concat();
    let bytes = level.repeat(100);
    assert_eq!(read(&bytes, Encoding::Explicit, 64), Err(HeaderError::TooDeep));
}

#[test]
fn a_refused_data_set_still_says_what_it_had_said() {
    let bytes = [
        &[0x10, 0, 0x10, 0, b'P', b'N', 8, 0][..],
        b"Roe^Jane",
        // An item in no sequence.
        &[0xfe, 0xff, 0, 0xe0, 0, 0, 0, 0],
    ]
    .concat();
    let mut reader = HeaderReader::new(Encoding::Explicit, WANTED, limits(LIMIT));
    assert_eq!(reader.push(&bytes), Err(HeaderError::Nesting));
    assert_eq!(reader.value_so_far(NAME), Some(b"Roe^Jane".as_slice()));
    assert_eq!(reader.value_so_far(REQUEST), None);
}

#[test]
fn broken_deflate_is_told() {
    assert_eq!(read(&[0xff; 64], Encoding::Deflated, 64), Err(HeaderError::Inflate));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic_or_keep_more_than_its_limits(
        bytes in prop::collection::vec(any::<u8>(), 0..500),
        which in 0..ENCODINGS.len(),
        step in 1_usize..100,
        at in 0_usize..70_000,
    ) {
        let encoding = ENCODINGS[which];
        let _ = read(&bytes, encoding, step);
        // And a real data set with garbage in the middle.
        let mut damaged = written(&hard(), encoding);
        let at = at % damaged.len();
        let end = (at + bytes.len()).min(damaged.len());
        damaged[at..end].copy_from_slice(&bytes[..end - at]);
        if let Ok(header) = read(&damaged, encoding, 4096) {
            prop_assert!(header.values.values().all(|value| value.len() <= MAX_VALUE_LENGTH));
        }
    }
}
