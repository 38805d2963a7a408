//! The PDUs of an association that is open, and the messages that they carry.

use crate::data_sets::written;
use crate::{Reader, command_sets, pieces};
use dimse::framer::{Frame, Framer};
use dimse::p_data::Kind;
use ingest::internals::header::Encoding;

pub(crate) const READER: Reader = Reader { name: "pdus", seeds, check };

const MAX_PDU: u32 = 4096;

fn check(input: &[u8]) {
    assert_eq!(framed(&pieces(input, 0)), framed(&pieces(input, 1)), "in other pieces");
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

/// A command set in two fragments, a data set in three, and a release; and one that is aborted.
fn seeds() -> Vec<Vec<u8>> {
    let mut released = Vec::new();
    let (command, data_set) = (command_sets::store(), written(Encoding::Explicit));
    let (begin, end) = command.split_at(40);
    released.extend(pdu(0b01, begin));
    released.extend(pdu(0b11, end));
    released.extend(pdu(0b00, &data_set[..100]));
    released.extend(pdu(0b00, &data_set[100..500]));
    released.extend(pdu(0b10, &data_set[500..]));
    released.extend([5, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    let mut aborted = pdu(0b11, &command);
    aborted.extend([7, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    assert_eq!(framed(&[&released]).len(), 3);
    assert_eq!(framed(&[&aborted]).len(), 2);
    vec![released, aborted]
}

/// A P-DATA-TF PDU of one value (PS3.8 section 9.3.5).
fn pdu(control: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![4, 0];
    bytes.extend_from_slice(&(data.len() as u32 + 6).to_be_bytes());
    bytes.extend_from_slice(&(data.len() as u32 + 2).to_be_bytes());
    bytes.extend_from_slice(&[1, control]);
    bytes.extend_from_slice(data);
    bytes
}
