//! DIMSE command sets: read from a requestor's bytes, written for its answers (PS3.7 section 6.3.1:
//! always implicit VR little endian, so this needs nothing but the bytes).

use std::fmt;

/// Longest command set accepted, in bytes. One of C-STORE has about 200.
pub const MAX_COMMAND_LENGTH: usize = 16 * 1024;

/// Longest Error Comment (0000,0902), in characters: VR LO.
const MAX_ERROR_COMMENT: usize = 64;

const AFFECTED_SOP_CLASS_UID: u32 = 0x0000_0002;
const COMMAND_FIELD: u32 = 0x0000_0100;
const MESSAGE_ID: u32 = 0x0000_0110;
const MESSAGE_ID_RESPONDED_TO: u32 = 0x0000_0120;
const COMMAND_DATA_SET_TYPE: u32 = 0x0000_0800;
const STATUS: u32 = 0x0000_0900;
const ERROR_COMMENT: u32 = 0x0000_0902;
const AFFECTED_SOP_INSTANCE_UID: u32 = 0x0000_1000;

/// Command Data Set Type (0000,0800) of a message that has no data set (PS3.7 section 9.3).
const NO_DATA_SET: u16 = 0x0101;

/// What distinguishes the Command Field of a response from that of its request.
const RESPONSE_BIT: u16 = 0x8000;

/// What is asked for: Command Field (0000,0100), PS3.7 section E.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// C-STORE-RQ.
    Store,
    /// C-ECHO-RQ.
    Echo,
    /// C-CANCEL-RQ, which has no response.
    Cancel,
    /// Any other, by its Command Field.
    Other(u16),
}

impl Operation {
    fn of(command_field: u16) -> Self {
        match command_field {
            0x0001 => Self::Store,
            0x0030 => Self::Echo,
            0x0fff => Self::Cancel,
            other => Self::Other(other),
        }
    }

    fn command_field(self) -> u16 {
        match self {
            Self::Store => 0x0001,
            Self::Echo => 0x0030,
            Self::Cancel => 0x0fff,
            Self::Other(field) => field,
        }
    }
}

/// The outcome of an operation: Status (0000,0900), PS3.7 annex C and PS3.4 section B.2.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The instance is safe.
    Success,
    /// Refused: the service does not have the operation.
    UnrecognizedOperation,
    /// Refused: out of resources. Trying again later can help.
    OutOfResources,
    /// Data set does not match SOP class.
    DataSetDoesNotMatch,
    /// Cannot understand.
    CannotUnderstand,
}

impl Status {
    /// The value on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Success => 0x0000,
            Self::UnrecognizedOperation => 0x0211,
            Self::OutOfResources => 0xa700,
            Self::DataSetDoesNotMatch => 0xa900,
            Self::CannotUnderstand => 0xc000,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04X}", self.code())
    }
}

/// A request as its command set says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub operation: Operation,
    /// Message ID (0000,0110): the response has to repeat it. 0 of a C-CANCEL-RQ, which has none and no response
    /// (PS3.7 section 9.3.2.3).
    pub message_id: u16,
    /// Affected SOP Class UID (0000,0002), without padding; empty when absent.
    pub sop_class_uid: String,
    /// Affected SOP Instance UID (0000,1000), without padding; empty when absent.
    pub sop_instance_uid: String,
    /// Whether a data set follows.
    pub has_data_set: bool,
}

/// The bytes are no command set that can be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// They end in the middle of an element.
    #[error("the command set ends in the middle of an element")]
    Truncated,
    /// An element that every request has is missing or has the wrong length.
    #[error("the command set has no {0}")]
    Missing(&'static str),
}

/// Reads the command set of a request.
///
/// # Errors
/// When it can't be told what is asked for, or to what Message ID an answer would belong.
pub fn read_request(bytes: &[u8]) -> Result<Request, CommandError> {
    let (mut command_field, mut message_id, mut data_set_type) = (None, None, None);
    let (mut sop_class_uid, mut sop_instance_uid) = (String::new(), String::new());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (tag, value, after) = split_element(rest).ok_or(CommandError::Truncated)?;
        match tag {
            COMMAND_FIELD => command_field = number(value),
            MESSAGE_ID => message_id = number(value),
            COMMAND_DATA_SET_TYPE => data_set_type = number(value),
            AFFECTED_SOP_CLASS_UID => sop_class_uid = uid(value),
            AFFECTED_SOP_INSTANCE_UID => sop_instance_uid = uid(value),
            _ => {}
        }
        rest = after;
    }
    let operation = Operation::of(command_field.ok_or(CommandError::Missing("Command Field"))?);
    if operation == Operation::Cancel {
        (message_id, data_set_type) = (message_id.or(Some(0)), Some(NO_DATA_SET));
    }
    Ok(Request {
        operation,
        message_id: message_id.ok_or(CommandError::Missing("Message ID"))?,
        sop_class_uid,
        sop_instance_uid,
        has_data_set: data_set_type.ok_or(CommandError::Missing("Command Data Set Type"))?
            != NO_DATA_SET,
    })
}

/// Tag, value, and what comes after the first element of `bytes`.
fn split_element(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (group, rest) = bytes.split_first_chunk()?;
    let (element, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (value, rest) = rest.split_at_checked(length)?;
    let tag = u32::from(u16::from_le_bytes(*group)) << 16 | u32::from(u16::from_le_bytes(*element));
    Some((tag, value, rest))
}

fn number(value: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(value.try_into().ok()?))
}

fn uid(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_matches(['\0', ' ']).to_owned()
}

/// The command set that answers `request`. A failure carries `comment`, which says why and what to
/// do, and names no patient.
#[must_use]
pub fn write_response(request: &Request, status: Status, comment: &str) -> Vec<u8> {
    let mut elements = Vec::with_capacity(256);
    let mut put_uid = |tag: u32, uid: &str| {
        if !uid.is_empty() {
            put(&mut elements, tag, uid.as_bytes(), 0);
        }
    };
    put_uid(AFFECTED_SOP_CLASS_UID, &request.sop_class_uid);
    let command_field = request.operation.command_field() | RESPONSE_BIT;
    put(&mut elements, COMMAND_FIELD, &command_field.to_le_bytes(), 0);
    put(&mut elements, MESSAGE_ID_RESPONDED_TO, &request.message_id.to_le_bytes(), 0);
    put(&mut elements, COMMAND_DATA_SET_TYPE, &NO_DATA_SET.to_le_bytes(), 0);
    put(&mut elements, STATUS, &status.code().to_le_bytes(), 0);
    if !comment.is_empty() {
        // LO in the default repertoire; `\` would part two values.
        let comment: String = comment
            .chars()
            .map(|c| if matches!(c, ' '..='~') && c != '\\' { c } else { '?' })
            .take(MAX_ERROR_COMMENT)
            .collect();
        put(&mut elements, ERROR_COMMENT, comment.as_bytes(), b' ');
    }
    if !request.sop_instance_uid.is_empty() {
        put(&mut elements, AFFECTED_SOP_INSTANCE_UID, request.sop_instance_uid.as_bytes(), 0);
    }

    // Command Group Length (0000,0000) comes first and counts what follows it.
    let mut command = Vec::with_capacity(elements.len() + 12);
    put(&mut command, 0, &(elements.len() as u32).to_le_bytes(), 0);
    command.extend_from_slice(&elements);
    command
}

/// Appends an element, its value padded to an even length.
fn put(command: &mut Vec<u8>, tag: u32, value: &[u8], padding: u8) {
    let odd = value.len() % 2;
    command.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
    command.extend_from_slice(&(tag as u16).to_le_bytes());
    command.extend_from_slice(&((value.len() + odd) as u32).to_le_bytes());
    command.extend_from_slice(value);
    command.extend(std::iter::repeat_n(padding, odd));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(elements: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, value) in elements {
            put(&mut bytes, *tag, value, 0);
        }
        bytes
    }

    fn store() -> Vec<u8> {
        request(&[
            (0, &[0; 4]),
            (AFFECTED_SOP_CLASS_UID, b"1.2.840.10008.5.1.4.1.1.4"),
            (COMMAND_FIELD, &[1, 0]),
            (MESSAGE_ID, &[0x39, 0x30]),
            (0x0000_0700, &[0, 0]),
            (COMMAND_DATA_SET_TYPE, &[0, 0]),
            (AFFECTED_SOP_INSTANCE_UID, b"1.2.3"),
        ])
    }

    #[test]
    fn a_store_request_is_read() {
        let read = read_request(&store()).unwrap();
        assert_eq!(read.operation, Operation::Store);
        assert_eq!(read.message_id, 12345);
        assert_eq!(read.sop_class_uid, "1.2.840.10008.5.1.4.1.1.4");
        assert_eq!(read.sop_instance_uid, "1.2.3");
        assert!(read.has_data_set);
    }

    #[test]
    fn a_cancel_request_needs_no_message_id_and_others_do() {
        let cancel = request(&[
            (0, &[0; 4]),
            (COMMAND_FIELD, &[0xff, 0x0f]),
            (MESSAGE_ID_RESPONDED_TO, &[1, 0]),
            (COMMAND_DATA_SET_TYPE, &[1, 1]),
        ]);
        let read = read_request(&cancel).unwrap();
        assert_eq!((read.operation, read.has_data_set), (Operation::Cancel, false));
        let echo = request(&[(COMMAND_FIELD, &[0x30, 0]), (COMMAND_DATA_SET_TYPE, &[1, 1])]);
        assert_eq!(read_request(&echo), Err(CommandError::Missing("Message ID")));
    }

    #[test]
    fn every_truncation_is_told_from_a_whole_command() {
        let whole = store();
        let mut boundaries = vec![whole.len()];
        let mut rest = whole.as_slice();
        while let Some((_, _, after)) = split_element(rest) {
            boundaries.push(whole.len() - rest.len());
            rest = after;
        }
        for length in 0..=whole.len() {
            let truncated = read_request(&whole[..length]) == Err(CommandError::Truncated);
            assert_eq!(truncated, !boundaries.contains(&length), "{length}");
        }
    }

    #[test]
    fn a_response_repeats_the_message_id_and_the_uids() {
        let read = read_request(&store()).unwrap();
        let response = write_response(&read, Status::OutOfResources, "INSTANCES is full; \\ö");
        let mut rest = response.as_slice();
        let mut elements = Vec::new();
        while !rest.is_empty() {
            let (tag, value, after) = split_element(rest).unwrap();
            elements.push((tag, value.to_vec()));
            rest = after;
        }
        assert_eq!(elements[0], (0, (response.len() as u32 - 12).to_le_bytes().to_vec()));
        let value = |tag| elements.iter().find(|e| e.0 == tag).unwrap().1.clone();
        assert_eq!(value(COMMAND_FIELD), [0x01, 0x80]);
        assert_eq!(value(MESSAGE_ID_RESPONDED_TO), [0x39, 0x30]);
        assert_eq!(value(STATUS), [0x00, 0xa7]);
        assert_eq!(value(ERROR_COMMENT), b"INSTANCES is full; ?? ");
        assert_eq!(value(AFFECTED_SOP_INSTANCE_UID), b"1.2.3\0");
        assert!(elements.is_sorted_by_key(|e| e.0), "elements ascend");
        assert!(elements.iter().all(|e| e.1.len() % 2 == 0), "lengths are even");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_request(&bytes);
        }
    }
}
