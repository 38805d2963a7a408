//! P-DATA-TF PDUs and their presentation data values, PDVs (PS3.8 section 9.3.5 and annex E).

use crate::pdu::{HEADER_LENGTH, P_DATA_TF};

/// Bytes of a PDV's header: length, presentation context id and message control header (PS3.8 section 9.3.5.1).
pub(crate) const PDV_HEADER_LENGTH: usize = 6;
/// The part of a PDV's header that its length field counts.
pub(crate) const PDV_COUNTED_HEADER_LENGTH: u32 = 2;

/// Message control header (PS3.8 annex E.2): the fragment is of a command set.
pub(crate) const COMMAND_BIT: u8 = 0x01;
/// Message control header (PS3.8 annex E.2): the fragment is the last of its set.
pub(crate) const LAST_BIT: u8 = 0x02;

/// What a fragment is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A command set.
    Command,
    /// A data set.
    DataSet,
}

/// Appends a command set or data set to `pdus`, in as many P-DATA-TF PDUs of one PDV each as it takes. Each has
/// at most `max_pdu_length` bytes after the PDU's header, as in the negotiation (PS3.8 annex D.1).
pub fn put_set(pdus: &mut Vec<u8>, context_id: u8, kind: Kind, set: &[u8], max_pdu_length: u32) {
    let mut fragments = set.chunks(fragment_length(max_pdu_length).max(1)).peekable();
    while let Some(fragment) = fragments.next() {
        put_fragment(pdus, context_id, kind, fragments.peek().is_none(), fragment);
    }
}

/// Appends a P-DATA-TF PDU whose one PDV is this fragment.
pub fn put_fragment(pdus: &mut Vec<u8>, context_id: u8, kind: Kind, last: bool, fragment: &[u8]) {
    pdus.extend_from_slice(&header(context_id, kind, last, fragment.len()));
    pdus.extend_from_slice(fragment);
}

/// Makes `buffer` a P-DATA-TF PDU with one PDV, and returns the room in it for a fragment of `length` bytes. An odd
/// end is padded with a zero byte: a deflated data set may have one (PS3.5 section A.5).
#[cfg(any(feature = "net", test))]
pub(crate) fn frame(
    buffer: &mut Vec<u8>,
    context_id: u8,
    kind: Kind,
    last: bool,
    length: usize,
) -> &mut [u8] {
    const HEADERS_LENGTH: usize = HEADER_LENGTH + PDV_HEADER_LENGTH;
    let padded = length + length % 2;
    buffer.truncate(HEADERS_LENGTH + length);
    buffer.resize(HEADERS_LENGTH + padded, 0);
    buffer[..HEADERS_LENGTH].copy_from_slice(&header(context_id, kind, last, padded));
    &mut buffer[HEADERS_LENGTH..][..length]
}

/// The longest fragment that fits a PDU of `max_pdu_length` bytes: even, as every fragment has to be (PS3.8
/// annex E.1). 0 where there is room for none.
#[must_use]
pub fn fragment_length(max_pdu_length: u32) -> usize {
    (max_pdu_length as usize).saturating_sub(PDV_HEADER_LENGTH) & !1
}

/// Headers of a P-DATA-TF PDU and of its one PDV with a fragment of `length` bytes.
fn header(
    context_id: u8,
    kind: Kind,
    last: bool,
    length: usize,
) -> [u8; HEADER_LENGTH + PDV_HEADER_LENGTH] {
    let pdv_length = length as u32 + PDV_COUNTED_HEADER_LENGTH;
    let [l0, l1, l2, l3] = (pdv_length + size_of::<u32>() as u32).to_be_bytes();
    let [v0, v1, v2, v3] = pdv_length.to_be_bytes();
    let command = match kind {
        Kind::Command => COMMAND_BIT,
        Kind::DataSet => 0,
    };
    let control = if last { command | LAST_BIT } else { command };
    [P_DATA_TF, 0, l0, l1, l2, l3, v0, v1, v2, v3, context_id, control]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_goes_out_in_even_fragments_that_fit_the_pdu_of_the_peer() {
        for max_pdu_length in [8, 129, 4096] {
            let (set, mut pdus) = (vec![7; 1000], Vec::new());
            put_set(&mut pdus, 5, Kind::Command, &set, max_pdu_length);
            let mut rest = pdus.as_slice();
            let mut sent = Vec::new();
            while let Some((header, body)) = rest.split_first_chunk::<12>() {
                let length = u32::from_be_bytes([header[2], header[3], header[4], header[5]]);
                assert_eq!(header[6..10], (length - 4).to_be_bytes());
                assert!(length <= max_pdu_length && length % 2 == 0, "{length}");
                let (fragment, after) = body.split_at(length as usize - 6);
                sent.extend_from_slice(fragment);
                assert_eq!(header[10..], [5, if after.is_empty() { 3 } else { 1 }]);
                rest = after;
            }
            assert_eq!(sent, set, "in PDUs of {max_pdu_length}");
        }
    }

    #[test]
    fn an_odd_end_is_padded_with_zero() {
        let mut buffer = Vec::new();
        frame(&mut buffer, 1, Kind::DataSet, false, 8).fill(0xFF);
        frame(&mut buffer, 1, Kind::DataSet, true, 3).fill(0xFF);
        assert_eq!(buffer[2..6], 10_u32.to_be_bytes());
        assert_eq!(buffer[6..10], 6_u32.to_be_bytes());
        assert_eq!(buffer[10..], [1, 2, 0xFF, 0xFF, 0xFF, 0]);
    }

    #[test]
    fn there_is_no_fragment_for_a_pdu_without_room() {
        assert_eq!([6, 7, 8, 9].map(fragment_length), [0, 0, 2, 2]);
    }
}
