//! Data sets, in each way that their elements are written: the first byte of an input chooses it.

use crate::{Reader, pieces};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::{
    EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use ingest::internals::header::{
    Encoding, Header, HeaderError, HeaderReader, Limits, MAX_VALUE_LENGTH,
};
use ingest::internals::{WANTED, decode};
use std::io::Write as _;

pub(crate) const READER: Reader = Reader { name: "data_sets", seeds, check };

const ENCODINGS: [Encoding; 4] =
    [Encoding::Implicit, Encoding::Explicit, Encoding::ExplicitBigEndian, Encoding::Deflated];

/// Small, so that inputs get there.
const LIMITS: Limits = Limits { header: 64 * 1024, inflated: 1024 * 1024 };

/// The longest event that the attributes of a data set may make; NATS takes 1 MiB.
const LONGEST_EVENT: usize = 512 * 1024;

fn check(input: &[u8]) {
    let Some((first, data_set)) = input.split_first() else { return };
    let encoding = ENCODINGS[usize::from(*first) % ENCODINGS.len()];
    let header = read(&pieces(data_set, 0), encoding);
    assert_eq!(header, read(&pieces(data_set, 1), encoding), "in other pieces");
    let Ok(header) = header else { return };
    assert!(header.values.values().all(|value| value.len() <= MAX_VALUE_LENGTH));
    // Whatever the bytes are, they become text.
    let attributes = serde_json::to_string(&decode(&header)).unwrap();
    assert!(attributes.len() < LONGEST_EVENT, "an event of {} bytes", attributes.len());
}

fn read(pieces: &[&[u8]], encoding: Encoding) -> Result<Header, HeaderError> {
    let mut reader = HeaderReader::new(encoding, WANTED, LIMITS);
    for piece in pieces {
        reader.push(piece)?;
    }
    reader.finish()
}

fn seeds() -> Vec<Vec<u8>> {
    let seed = |(number, encoding): (usize, &Encoding)| {
        let data_set = written(*encoding);
        assert!(read(&[&data_set], *encoding).is_ok(), "{encoding:?}");
        [&[number as u8], data_set.as_slice()].concat()
    };
    ENCODINGS.iter().enumerate().map(seed).collect()
}

pub(crate) fn written(encoding: Encoding) -> Vec<u8> {
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
