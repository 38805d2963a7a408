//! PDUs of an open association, framed from whatever bytes have arrived (PS3.8 section 9.3): the
//! fragments of P-DATA as they come, without waiting for the whole PDU, and the rest by name.

use crate::p_data::{COMMAND_BIT, Kind, LAST_BIT, PDV_COUNTED_HEADER_LENGTH, PDV_HEADER_LENGTH};
use crate::pdu::{A_ABORT, A_RELEASE_RQ, HEADER_LENGTH, P_DATA_TF};
use std::ops::Range;

/// What stands next in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A piece of a message: as much of a presentation data value as has arrived.
    Fragment {
        /// The presentation context it came through.
        context_id: u8,
        /// What it is part of.
        kind: Kind,
        /// Whether the command set or data set ends with it.
        last: bool,
        /// Where its bytes are in the input. May be empty.
        bytes: Range<usize>,
    },
    /// A-RELEASE-RQ.
    Release,
    /// A-ABORT.
    Abort,
}

/// The peer does not keep to the protocol; the association can't go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A PDU that has no place in an open association.
    #[error("unexpected PDU of type {0:#04x}")]
    UnexpectedPdu(u8),
    /// A PDU longer than we take.
    #[error("a PDU of {length} bytes is longer than {limit}")]
    PduTooLong {
        /// What the PDU claims.
        length: u32,
        /// What we said that we take.
        limit: u32,
    },
    /// Lengths that contradict each other.
    #[error("a presentation data value does not fit its PDU")]
    MalformedPdv,
}

/// Frames the bytes of one association. Holds no bytes: its size is constant.
#[derive(Debug)]
pub struct Framer {
    max_pdu_length: u32,
    /// PDUs that have begun so far.
    pdus: u64,
    /// Bytes left of the P-DATA-TF PDU that is being read.
    pdu_left: u32,
    /// The presentation data value that is being read, and how much of it is left.
    pdv: Option<(Pdv, u32)>,
    /// The length of the latest one.
    value_length: u32,
}

#[derive(Debug, Clone, Copy)]
struct Pdv {
    context_id: u8,
    control: u8,
}

impl Framer {
    /// For PDUs of up to `max_pdu_length` bytes, counted without the PDU's own header as in the
    /// negotiation (PS3.8 annex D.1).
    #[must_use]
    pub fn new(max_pdu_length: u32) -> Self {
        Self { max_pdu_length, pdus: 0, pdu_left: 0, pdv: None, value_length: 0 }
    }

    /// How many PDUs have begun so far.
    #[must_use]
    pub fn pdus(&self) -> u64 {
        self.pdus
    }

    /// Whether a PDU has begun that has not ended.
    #[must_use]
    pub fn is_inside_pdu(&self) -> bool {
        self.pdu_left > 0 || self.pdv.is_some()
    }

    /// How many bytes are to come of the presentation data value that is being read.
    #[must_use]
    pub fn value_left(&self) -> usize {
        self.pdv.map_or(0, |(_, left)| left as usize)
    }

    /// The length of the latest presentation data value that has begun.
    #[must_use]
    pub fn value_length(&self) -> usize {
        self.value_length as usize
    }

    /// Records that the socket discarded `length` bytes of the current PDV. Returns the frame that they are, or
    /// `None` outside a PDV.
    pub fn skip(&mut self, length: usize) -> Option<Frame> {
        let (pdv, left) = self.pdv?;
        self.fragment(pdv, left, length).map(|(_, frame)| frame)
    }

    /// Takes the next frame off `input`: how many bytes that took, and the frame, or `None` when it
    /// needs more bytes than there are. Call it again with the bytes that are left and new ones.
    ///
    /// # Errors
    /// When the peer breaks the protocol.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, Option<Frame>), FramingError> {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            if let Some((pdv, left)) = self.pdv {
                return Ok(match self.fragment(pdv, left, rest.len()) {
                    Some((length, frame)) => (at + length, Some(shifted(frame, at))),
                    None => (at, None),
                });
            }
            let parsed = match self.pdu_left {
                0 => self.begin_pdu(rest)?,
                _ => self.begin_pdv(rest)?,
            };
            match parsed {
                None => return Ok((at, None)),
                Some((length, None)) => at += length,
                Some((length, Some(frame))) => return Ok((at + length, Some(frame))),
            }
        }
    }

    /// What has arrived of the value that is being read.
    fn fragment(&mut self, pdv: Pdv, left: u32, arrived: usize) -> Option<(usize, Frame)> {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(arrived);
        if length == 0 && left > 0 {
            return None;
        }
        let left = left - length as u32;
        self.pdv = (left > 0).then_some((pdv, left));
        let kind = match pdv.control & COMMAND_BIT {
            0 => Kind::DataSet,
            _ => Kind::Command,
        };
        let last = left == 0 && pdv.control & LAST_BIT != 0;
        Some((length, Frame::Fragment { context_id: pdv.context_id, kind, last, bytes: 0..length }))
    }

    fn begin_pdu(&mut self, input: &[u8]) -> Result<Option<(usize, Option<Frame>)>, FramingError> {
        let Some((&[pdu_type, _reserved, l0, l1, l2, l3], body)) =
            input.split_first_chunk::<HEADER_LENGTH>()
        else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        self.pdus += 1;
        let frame = match pdu_type {
            P_DATA_TF if length > self.max_pdu_length => {
                return Err(FramingError::PduTooLong { length, limit: self.max_pdu_length });
            }
            P_DATA_TF => {
                self.pdu_left = length;
                return Ok(Some((HEADER_LENGTH, None)));
            }
            A_RELEASE_RQ => Frame::Release,
            A_ABORT => Frame::Abort,
            other => return Err(FramingError::UnexpectedPdu(other)),
        };
        // Both have four bytes of body (PS3.8 sections 9.3.6 and 9.3.8); nothing comes after them.
        let taken = HEADER_LENGTH + body.len().min(4);
        Ok(Some((taken, Some(frame))))
    }

    fn begin_pdv(&mut self, input: &[u8]) -> Result<Option<(usize, Option<Frame>)>, FramingError> {
        // A value's length counts its context id and control header (PS3.8 section 9.3.5.1).
        let Some(&[l0, l1, l2, l3, context_id, control]) = input.first_chunk::<PDV_HEADER_LENGTH>()
        else {
            // The PDU must have room for it, or it will never come.
            return match self.pdu_left < PDV_HEADER_LENGTH as u32 {
                true => Err(FramingError::MalformedPdv),
                false => Ok(None),
            };
        };
        let left = u32::from_be_bytes([l0, l1, l2, l3]).checked_sub(PDV_COUNTED_HEADER_LENGTH);
        let pdu_left = left
            .and_then(|left| left.checked_add(PDV_HEADER_LENGTH as u32))
            .and_then(|whole| self.pdu_left.checked_sub(whole));
        let (Some(left), Some(pdu_left)) = (left, pdu_left) else {
            return Err(FramingError::MalformedPdv);
        };
        self.pdu_left = pdu_left;
        self.pdv = Some((Pdv { context_id, control }, left));
        self.value_length = left;
        Ok(Some((PDV_HEADER_LENGTH, None)))
    }
}

fn shifted(frame: Frame, by: usize) -> Frame {
    match frame {
        Frame::Fragment { context_id, kind, last, bytes } => {
            let bytes = bytes.start + by..bytes.end + by;
            Frame::Fragment { context_id, kind, last, bytes }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pdu(pdu_type: u8, body: &[u8]) -> Vec<u8> {
        [&[pdu_type, 0], (body.len() as u32).to_be_bytes().as_slice(), body].concat()
    }

    fn pdv(context_id: u8, control: u8, value: &[u8]) -> Vec<u8> {
        let length = (value.len() as u32 + 2).to_be_bytes();
        [length.as_slice(), &[context_id, control], value].concat()
    }

    /// Feeds `input` in pieces of `step` bytes and joins the fragments of each set again.
    fn sets(input: &[u8], step: usize) -> Result<Vec<(u8, Kind, Vec<u8>)>, FramingError> {
        let mut framer = Framer::new(1 << 17);
        let (mut sets, mut value, mut pending) = (Vec::new(), Vec::new(), Vec::new());
        for piece in input.chunks(step) {
            pending.extend_from_slice(piece);
            loop {
                let (taken, frame) = framer.next(&pending)?;
                if let Some(Frame::Fragment { context_id, kind, last, bytes }) = &frame {
                    value.extend_from_slice(&pending[bytes.clone()]);
                    if *last {
                        sets.push((*context_id, *kind, std::mem::take(&mut value)));
                    }
                }
                pending.drain(..taken);
                if frame.is_none() {
                    break;
                }
            }
        }
        Ok(sets)
    }

    #[test]
    fn the_same_sets_come_out_however_the_bytes_arrive() {
        let input = [
            pdu(P_DATA_TF, &pdv(1, COMMAND_BIT | LAST_BIT, b"command")),
            pdu(P_DATA_TF, &[pdv(1, 0, b"da"), pdv(1, 0, b""), pdv(1, 0, b"ta ")].concat()),
            pdu(P_DATA_TF, &pdv(1, LAST_BIT, b"set")),
            pdu(P_DATA_TF, &pdv(3, COMMAND_BIT, b"next")),
            pdu(P_DATA_TF, &pdv(3, COMMAND_BIT | LAST_BIT, b"")),
        ]
        .concat();
        let expected = vec![
            (1, Kind::Command, b"command".to_vec()),
            (1, Kind::DataSet, b"data set".to_vec()),
            (3, Kind::Command, b"next".to_vec()),
        ];
        for step in 1..=input.len() {
            assert_eq!(sets(&input, step).unwrap(), expected, "in pieces of {step}");
        }
    }

    #[test]
    fn a_value_that_is_skipped_ends_where_one_that_is_read_does() {
        let mut framer = Framer::new(1 << 17);
        let input = pdu(P_DATA_TF, &[pdv(1, 0, b"data "), pdv(1, LAST_BIT, b"set")].concat());
        let skipped = |length, last| {
            let bytes = 0..length;
            Some(Frame::Fragment { context_id: 1, kind: Kind::DataSet, last, bytes })
        };
        assert_eq!(framer.skip(1), None, "no value has begun");
        assert_eq!(framer.next(&input[..12]), Ok((12, None)));
        assert_eq!((framer.value_left(), framer.value_length()), (5, 5));
        assert_eq!(framer.skip(2), skipped(2, false));
        assert_eq!((framer.value_left(), framer.value_length()), (3, 5));
        assert_eq!(framer.skip(3), skipped(3, false));
        assert!(framer.is_inside_pdu());
        assert_eq!(framer.next(&input[17..23]), Ok((6, None)));
        assert_eq!(framer.skip(3), skipped(3, true));
        assert!(!framer.is_inside_pdu());
    }

    #[test]
    fn release_and_abort_are_told_by_name() {
        for (pdu_type, frame) in [(A_RELEASE_RQ, Frame::Release), (A_ABORT, Frame::Abort)] {
            let input = pdu(pdu_type, &[0; 4]);
            assert_eq!(Framer::new(4096).next(&input), Ok((10, Some(frame))));
        }
    }

    #[test]
    fn lengths_that_lie_end_the_association() {
        let next = |input: &[u8]| Framer::new(4096).next(input).unwrap_err();
        let too_long = FramingError::PduTooLong { length: 4097, limit: 4096 };
        assert_eq!(next(&[P_DATA_TF, 0, 0, 0, 0x10, 0x01]), too_long);
        assert_eq!(next(&pdu(0x02, &[])), FramingError::UnexpectedPdu(0x02));
        // A value of less than its own header, one longer than its PDU, a PDU too short for one.
        let lies = [[0, 0, 0, 1, 1, 3], [0, 0, 0, 9, 1, 3], [255, 255, 255, 255, 1, 3]];
        for lie in lies {
            assert_eq!(next(&pdu(P_DATA_TF, &lie)), FramingError::MalformedPdv, "{lie:?}");
        }
        assert_eq!(next(&pdu(P_DATA_TF, &[0, 0, 0])), FramingError::MalformedPdv);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_framer_panic_or_run_past_its_input(
            bytes in prop::collection::vec(any::<u8>(), 0..600), step in 1_usize..40,
        ) {
            let with_header = [&[P_DATA_TF, 0, 0, 0, 1, 0], bytes.as_slice()].concat();
            let _ = sets(&bytes, step);
            let _ = sets(&with_header, step);
        }
    }
}
