//! A hundred thousand inputs that nobody should send, over everything that reads what a peer sends.
//! None makes it panic, hang or keep more than its limits, and in whatever pieces it comes, it is read
//! the same.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "a test is nobody's library")]

mod mutate;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::{
    EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use fastrand::Rng;
use ingest::attributes::{WANTED, decode};
use ingest::dimse::read_request;
use ingest::framer::{Frame, Framer, Kind};
use ingest::header::{Encoding, Header, HeaderError, HeaderReader, Limits, MAX_VALUE_LENGTH};
use mutate::mutate;
use std::io::Write as _;

/// Inputs for each of the six readers.
const INPUTS: u64 = 17_000;

const HEADER: u64 = 64 * 1024;
const INFLATED: u64 = 1024 * 1024;
const MAX_PDU: u32 = 4096;

/// Splits bytes into random pieces.
fn pieces<'a>(mut bytes: &'a [u8], rng: &mut Rng) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(rng.usize(1..=bytes.len().min(300)));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// Runs a check on as many inputs; says which one failed.
fn run(check: impl Fn(&mut Rng)) {
    for seed in 0..INPUTS {
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            check(&mut Rng::with_seed(seed));
        }));
        if let Err(panic) = checked {
            eprintln!("the input of seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn data_set() -> InMemDicomObject {
    let text = |tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    InMemDicomObject::from_element_iter([
        text(Tag(0x0008, 0x0005), VR::CS, "\\ISO 2022 IR 87"),
        text(Tag(0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.4"),
        text(Tag(0x0008, 0x0018), VR::UI, "2.25.3"),
        text(Tag(0x0008, 0x0060), VR::CS, "MR"),
        text(Tag(0x0010, 0x0010), VR::PN, "Yamada^Tarou=\u{1b}$B;3ED\u{1b}(B^\u{1b}$BB@O:\u{1b}(B"),
        text(Tag(0x0020, 0x000d), VR::UI, "2.25.1"),
        text(Tag(0x0020, 0x000e), VR::UI, "2.25.2"),
        DataElement::new(Tag(0x0028, 0x0010), VR::US, dicom_value!(U16, [320])),
        DataElement::new(Tag(0x0029, 0x1010), VR::OB, PrimitiveValue::from(vec![7_u8; 700])),
        DataElement::new(Tag(0x7fe0, 0x0010), VR::OW, PrimitiveValue::U16(vec![9; 300].into())),
    ])
}

fn written(encoding: Encoding) -> Vec<u8> {
    let syntax = match encoding {
        Encoding::Implicit => IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        Encoding::Explicit | Encoding::Deflated => EXPLICIT_VR_LITTLE_ENDIAN.erased(),
        Encoding::ExplicitBigEndian => EXPLICIT_VR_BIG_ENDIAN.erased(),
    };
    let mut bytes = Vec::new();
    data_set().write_dataset_with_ts(&mut bytes, &syntax).unwrap();
    if encoding == Encoding::Deflated {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Default::default());
        encoder.write_all(&bytes).unwrap();
        bytes = encoder.finish().unwrap();
    }
    bytes
}

fn read(pieces: &[&[u8]], encoding: Encoding) -> Result<Header, HeaderError> {
    let limits = Limits { header: HEADER, inflated: INFLATED };
    let mut reader = HeaderReader::new(encoding, WANTED, limits);
    for piece in pieces {
        reader.push(piece)?;
    }
    reader.finish()
}

fn headers(encoding: Encoding) {
    let whole = written(encoding);
    assert!(read(&[&whole], encoding).is_ok());
    run(|rng| {
        let bytes = mutate(&whole, rng);
        let header = read(&pieces(&bytes, rng), encoding);
        assert_eq!(header, read(&pieces(&bytes, rng), encoding), "in other pieces");
        let Ok(header) = header else { return };
        assert!(header.values.values().all(|value| value.len() <= MAX_VALUE_LENGTH));
        // Whatever the bytes are, they become text.
        let attributes = serde_json::to_string(&decode(&header)).unwrap();
        assert!(attributes.len() < 1024 * 1024, "an event of {} bytes", attributes.len());
    });
}

#[test]
fn data_sets_in_implicit_vr() {
    headers(Encoding::Implicit);
}

#[test]
fn data_sets_in_explicit_vr() {
    headers(Encoding::Explicit);
}

#[test]
fn data_sets_in_big_endian() {
    headers(Encoding::ExplicitBigEndian);
}

#[test]
fn deflated_data_sets() {
    headers(Encoding::Deflated);
}

/// The command set of a C-STORE.
fn command() -> Vec<u8> {
    let us =
        |element, value: u16| DataElement::new(Tag(0, element), VR::US, dicom_value!(U16, [value]));
    let ui = |element, value: &str| {
        DataElement::new(Tag(0, element), VR::UI, PrimitiveValue::from(value))
    };
    let mut bytes = Vec::new();
    InMemDicomObject::command_from_element_iter([
        ui(0x0002, "1.2.840.10008.5.1.4.1.1.4"),
        us(0x0100, 0x0001),
        us(0x0110, 7),
        us(0x0700, 0),
        us(0x0800, 0),
        ui(0x1000, "2.25.3"),
    ])
    .write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
    .unwrap();
    bytes
}

#[test]
fn command_sets() {
    let whole = command();
    assert!(read_request(&whole).is_ok());
    run(|rng| {
        let _ = read_request(&mutate(&whole, rng));
    });
}

/// A few PDUs: a command set in two fragments, a data set in three, a release.
fn pdus() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut value = |control: u8, data: &[u8]| {
        bytes.extend_from_slice(&[4, 0]);
        bytes.extend_from_slice(&(data.len() as u32 + 6).to_be_bytes());
        bytes.extend_from_slice(&(data.len() as u32 + 2).to_be_bytes());
        bytes.extend_from_slice(&[1, control]);
        bytes.extend_from_slice(data);
    };
    let (command, data_set) = (command(), written(Encoding::Explicit));
    let (begin, end) = command.split_at(40);
    value(0b01, begin);
    value(0b11, end);
    value(0b00, &data_set[..100]);
    value(0b00, &data_set[100..500]);
    value(0b10, &data_set[500..]);
    bytes.extend_from_slice(&[5, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    bytes
}

/// What came of a message, whatever pieces it came in.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Set { context_id: u8, kind: Kind, bytes: Vec<u8>, whole: bool },
    Ended(String),
}

/// What a framer makes of pieces.
fn framed(pieces: &[&[u8]]) -> Vec<Seen> {
    let mut framer = Framer::new(MAX_PDU);
    let (mut unread, mut seen) = (Vec::new(), Vec::new());
    for piece in pieces {
        unread.extend_from_slice(piece);
        loop {
            let (taken, frame) = match framer.next(&unread) {
                Ok(next) => next,
                Err(error) => {
                    seen.push(Seen::Ended(error.to_string()));
                    return seen;
                }
            };
            let piece: Vec<u8> = unread.drain(..taken).collect();
            match frame {
                None => break,
                Some(Frame::Fragment { context_id, kind, last, bytes }) => {
                    add(&mut seen, context_id, kind, &piece[bytes], last);
                }
                Some(end) => {
                    seen.push(Seen::Ended(format!("{end:?}")));
                    return seen;
                }
            }
        }
        // What is left can only be the start of a header.
        assert!(unread.len() < 12, "{} bytes are kept", unread.len());
    }
    seen
}

fn add(seen: &mut Vec<Seen>, of_context: u8, of_kind: Kind, piece: &[u8], last: bool) {
    match seen.last_mut() {
        Some(Seen::Set { context_id, kind, bytes, whole: whole @ false })
            if (*context_id, *kind) == (of_context, of_kind) =>
        {
            bytes.extend_from_slice(piece);
            *whole = last;
        }
        _ => {
            let (context_id, kind, bytes) = (of_context, of_kind, piece.to_vec());
            seen.push(Seen::Set { context_id, kind, bytes, whole: last });
        }
    }
}

#[test]
fn pdus_of_an_association() {
    let whole = pdus();
    assert_eq!(framed(&[&whole]).len(), 3);
    run(|rng| {
        let bytes = mutate(&whole, rng);
        assert_eq!(framed(&pieces(&bytes, rng)), framed(&pieces(&bytes, rng)), "in other pieces");
    });
}
