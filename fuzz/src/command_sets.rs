//! Command sets of DIMSE messages.

use crate::Reader;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use dimse::Status;
use dimse::command::{read_request, read_response, write_response};

pub(crate) const READER: Reader = Reader { name: "command_sets", seeds, check };

/// The longest value of a command element in an answer: a comment of 64 characters (VR LO), and UIDs
/// of as many.
const LONGEST_ANSWER: usize = 512;

fn check(input: &[u8]) {
    if let Ok(request) = read_request(input) {
        let answer = write_response(&request, Status::OutOfResources, "INSTANCES is full");
        assert!(answer.len() < LONGEST_ANSWER + input.len(), "{} bytes", answer.len());
        let read = read_response(&answer).map(|response| (response.message_id, response.status));
        assert_eq!(read, Ok((request.message_id, Status::OutOfResources)));
    }
    let _ = read_response(input);
}

fn seeds() -> Vec<Vec<u8>> {
    let seeds = vec![store(), echo()];
    assert!(seeds.iter().all(|seed| read_request(seed).is_ok()));
    seeds
}

/// The command set of a C-STORE.
pub(crate) fn store() -> Vec<u8> {
    written([
        ui(0x0002, "1.2.840.10008.5.1.4.1.1.4"),
        us(0x0100, 0x0001),
        us(0x0110, 7),
        us(0x0700, 0),
        us(0x0800, 0),
        ui(0x1000, "2.25.3"),
    ])
}

fn echo() -> Vec<u8> {
    written([
        ui(0x0002, "1.2.840.10008.1.1"),
        us(0x0100, 0x0030),
        us(0x0110, 8),
        us(0x0800, 0x0101),
    ])
}

type Element = DataElement<InMemDicomObject>;

fn us(element: u16, value: u16) -> Element {
    DataElement::new(Tag(0, element), VR::US, dicom_value!(U16, [value]))
}

fn ui(element: u16, value: &str) -> Element {
    DataElement::new(Tag(0, element), VR::UI, PrimitiveValue::from(value))
}

fn written<const N: usize>(elements: [Element; N]) -> Vec<u8> {
    let mut bytes = Vec::new();
    InMemDicomObject::command_from_element_iter(elements)
        .write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
        .unwrap();
    bytes
}
