//! The command sets of C-STORE and C-ECHO (PS3.7 9.3.1 and 9.3.5), in implicit VR little endian as all
//! commands are.

use anyhow::{Context as _, ensure};
use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};

use super::files::Instance;

const C_STORE_RQ: u16 = 0x0001;
/// Command Field of the response to a C-STORE.
pub(super) const C_STORE_RSP: u16 = 0x8001;
const C_ECHO_RQ: u16 = 0x0030;
/// Command Field of the response to a C-ECHO.
pub(super) const C_ECHO_RSP: u16 = 0x8030;
const PRIORITY_MEDIUM: u16 = 0x0000;
/// Anything but 0x0101 says that a data set follows.
const DATA_SET_PRESENT: u16 = 0x0001;
const DATA_SET_ABSENT: u16 = 0x0101;

const STATUS_SUCCESS: u16 = 0x0000;

/// The command set of a C-STORE request.
pub(super) fn store_request(instance: &Instance, message_id: u16) -> Vec<u8> {
    command_set(&[
        (tags::AFFECTED_SOP_CLASS_UID, instance.context.sop_class_uid.as_bytes()),
        (tags::COMMAND_FIELD, &C_STORE_RQ.to_le_bytes()),
        (tags::MESSAGE_ID, &message_id.to_le_bytes()),
        (tags::PRIORITY, &PRIORITY_MEDIUM.to_le_bytes()),
        (tags::COMMAND_DATA_SET_TYPE, &DATA_SET_PRESENT.to_le_bytes()),
        (tags::AFFECTED_SOP_INSTANCE_UID, instance.sop_instance_uid.as_bytes()),
    ])
}

/// The command set of a C-ECHO request.
pub(super) fn echo_request(message_id: u16) -> Vec<u8> {
    command_set(&[
        (tags::AFFECTED_SOP_CLASS_UID, uids::VERIFICATION.as_bytes()),
        (tags::COMMAND_FIELD, &C_ECHO_RQ.to_le_bytes()),
        (tags::MESSAGE_ID, &message_id.to_le_bytes()),
        (tags::COMMAND_DATA_SET_TYPE, &DATA_SET_ABSENT.to_le_bytes()),
    ])
}

fn command_set(values: &[(Tag, &[u8])]) -> Vec<u8> {
    let mut elements = Vec::new();
    for (tag, value) in values {
        let padding = value.len() % 2;
        elements.extend(tag.0.to_le_bytes());
        elements.extend(tag.1.to_le_bytes());
        elements.extend(((value.len() + padding) as u32).to_le_bytes());
        elements.extend(*value);
        elements.extend(&[0][..padding]);
    }
    let mut command = vec![0, 0, 0, 0, 4, 0, 0, 0]; // (0000,0000), four bytes long
    command.extend((elements.len() as u32).to_le_bytes());
    command.extend(elements);
    command
}

/// What the receiver made of an instance, or of a C-ECHO.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    /// Error Comment (0000,0902); empty where there is none.
    pub(super) error_comment: String,
}

impl Response {
    /// Success, or one of the warnings 0xBxxx: the instance is stored (PS3.4 B.2.3).
    pub(super) fn is_stored(&self) -> bool {
        self.status == STATUS_SUCCESS || self.is_warning()
    }

    pub(super) fn is_warning(&self) -> bool {
        self.status >> 12 == 0xB
    }
}

/// Reads the response of this Command Field to the request `message_id`; anything else is a breach of
/// the protocol.
pub(super) fn read_response(
    command: &[u8],
    wanted: u16,
    message_id: u16,
) -> Result<Response, anyhow::Error> {
    let field = number(command, tags::COMMAND_FIELD)?;
    ensure!(field == wanted, "it answered with command {field:#06x}");
    let answered = number(command, tags::MESSAGE_ID_BEING_RESPONDED_TO)?;
    ensure!(answered == message_id, "it answered message {answered} instead of {message_id}");
    let comment = value(command, tags::ERROR_COMMENT).unwrap_or_default();
    let comment = String::from_utf8_lossy(comment);
    Ok(Response {
        status: number(command, tags::STATUS)?,
        error_comment: comment.trim_matches([' ', '\0']).to_owned(),
    })
}

fn number(command: &[u8], tag: Tag) -> Result<u16, anyhow::Error> {
    value(command, tag)
        .and_then(|value| Some(u16::from_le_bytes(value.try_into().ok()?)))
        .with_context(|| format!("its response lacks {tag}"))
}

fn value(mut command: &[u8], wanted: Tag) -> Option<&[u8]> {
    loop {
        let ([g0, g1, e0, e1, l0, l1, l2, l3], rest) = command.split_first_chunk()?;
        let tag = Tag(u16::from_le_bytes([*g0, *g1]), u16::from_le_bytes([*e0, *e1]));
        let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        let (value, next) = rest.split_at_checked(length)?;
        if tag == wanted {
            return Some(value);
        }
        command = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(field: u16, message_id: u16, status: u16, comment: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (element, value) in [
            (0x0100_u16, &field.to_le_bytes()[..]),
            (0x0120, &message_id.to_le_bytes()),
            (0x0900, &status.to_le_bytes()),
            (0x0902, comment),
        ] {
            bytes.extend([0, 0]);
            bytes.extend(element.to_le_bytes());
            bytes.extend((value.len() as u32).to_le_bytes());
            bytes.extend(value);
        }
        bytes
    }

    #[test]
    fn a_response_tells_status_and_comment() {
        let bytes = response(C_STORE_RSP, 7, 0xA700, b"disk full ");
        let response = read_response(&bytes, C_STORE_RSP, 7).expect("a response");
        assert_eq!((response.status, response.is_stored()), (0xA700, false));
        assert_eq!(response.error_comment, "disk full");
    }

    #[test]
    fn a_warning_is_stored() {
        let bytes = response(C_STORE_RSP, 1, 0xB007, b"");
        let response = read_response(&bytes, C_STORE_RSP, 1).expect("a response");
        assert!(response.is_stored() && response.is_warning());
    }

    #[test]
    fn a_response_to_another_message_is_refused() {
        assert!(read_response(&response(C_STORE_RSP, 8, 0, b""), C_STORE_RSP, 7).is_err());
        assert!(read_response(&response(0x8030, 7, 0, b""), C_STORE_RSP, 7).is_err());
    }

    #[test]
    fn a_truncated_response_is_an_error() {
        let bytes = response(C_STORE_RSP, 7, 0, b"");
        for length in 0..bytes.len() - 8 {
            assert!(read_response(&bytes[..length], C_STORE_RSP, 7).is_err());
        }
    }
}
