//! The command set of a response (PS3.7 section 9.3).

use super::elements::{
    AFFECTED_SOP_CLASS_UID, AFFECTED_SOP_INSTANCE_UID, COMMAND_DATA_SET_TYPE, COMMAND_FIELD,
    ERROR_COMMENT, ERROR_ID, Elements, MESSAGE_ID_RESPONDED_TO, STATUS, Writer, number, text,
};
use super::{CommandError, NO_DATA_SET, Operation, RESPONSE_BIT, Request};
use crate::status::Status;

/// Longest Error Comment (0000,0902), in characters: VR LO.
const MAX_ERROR_COMMENT: usize = 64;

/// A response as its command set says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// What was asked for.
    pub operation: Operation,
    /// Message ID Being Responded To (0000,0120).
    pub message_id: u16,
    /// Status (0000,0900).
    pub status: Status,
    /// Error Comment (0000,0902), without padding; empty when absent.
    pub error_comment: String,
    /// Whether a data set follows, as it does with each match of a C-FIND.
    pub has_data_set: bool,
}

/// Reads the command set of a response. Whatever follows the last whole element is ignored: a Status that came is
/// worth more than what is wrong behind it.
///
/// # Errors
/// When it is not a response, or can't be told to which message it belongs and what its Status is.
pub fn read_response(command_set: &[u8]) -> Result<Response, CommandError> {
    let (mut command_field, mut message_id, mut status) = (None, None, None);
    let (mut error_comment, mut data_set_type) = (String::new(), None);
    for (tag, value) in Elements::of(command_set).map_while(Result::ok) {
        match tag {
            COMMAND_FIELD => command_field = number(value),
            MESSAGE_ID_RESPONDED_TO => message_id = number(value),
            COMMAND_DATA_SET_TYPE => data_set_type = number(value),
            STATUS => status = number(value).map(Status::of),
            ERROR_COMMENT => error_comment = text(value),
            _ => {}
        }
    }
    let command_field = command_field.ok_or(CommandError::Missing("Command Field"))?;
    if command_field & RESPONSE_BIT == 0 {
        return Err(CommandError::NoResponse(command_field));
    }
    Ok(Response {
        operation: Operation::of(command_field & !RESPONSE_BIT),
        message_id: message_id.ok_or(CommandError::Missing("Message ID Being Responded To"))?,
        status: status.ok_or(CommandError::Missing("Status"))?,
        error_comment,
        has_data_set: data_set_type.is_some_and(|it| it != NO_DATA_SET),
    })
}

/// A comment as the Error Comment (0000,0902) of a response has it: its first 64 characters, VR LO in the default
/// repertoire (PS3.5 section 6.2).
#[must_use]
pub fn error_comment(comment: &str) -> String {
    // `\` would part two values.
    let sent = |c| if matches!(c, ' '..='~') && c != '\\' { c } else { '?' };
    comment.chars().map(sent).take(MAX_ERROR_COMMENT).collect()
}

/// The command set that answers `request`. A failure carries `comment`, which says why and what to
/// do, and names no patient.
#[must_use]
pub fn write_response(request: &Request, status: Status, comment: &str) -> Vec<u8> {
    write_refusal(request, status, comment, None)
}

/// As [`write_response`], with the Error ID (0000,0903) by which some services tell failures of one Status apart.
#[must_use]
pub fn write_refusal(
    request: &Request,
    status: Status,
    comment: &str,
    error_id: Option<u16>,
) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.uid(AFFECTED_SOP_CLASS_UID, &request.sop_class_uid);
    writer.number(COMMAND_FIELD, request.operation.command_field() | RESPONSE_BIT);
    writer.number(MESSAGE_ID_RESPONDED_TO, request.message_id);
    writer.number(COMMAND_DATA_SET_TYPE, NO_DATA_SET);
    writer.number(STATUS, status.code());
    if !comment.is_empty() {
        writer.text(ERROR_COMMENT, &error_comment(comment));
    }
    if let Some(error_id) = error_id {
        writer.number(ERROR_ID, error_id);
    }
    writer.uid(AFFECTED_SOP_INSTANCE_UID, &request.sop_instance_uid);
    if let (Some(tag), Some(type_id)) = (request.operation.type_id(), request.type_id) {
        writer.number(tag, type_id);
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_response_repeats_the_message_id_and_the_uids() {
        let request = Request::store(12345, "1.2.840.10008.5.1.4.1.1.4", "1.2.3");
        let response = write_response(&request, Status::OutOfResources, "INSTANCES is full; \\ö");
        let elements: Vec<_> = Elements::of(&response).map(Result::unwrap).collect();
        assert_eq!(elements[0], (0, &(response.len() as u32 - 12).to_le_bytes()[..]));
        let value = |tag| elements.iter().find(|e| e.0 == tag).unwrap().1;
        assert_eq!(value(COMMAND_FIELD), [0x01, 0x80]);
        assert_eq!(value(MESSAGE_ID_RESPONDED_TO), [0x39, 0x30]);
        assert_eq!(value(STATUS), [0x00, 0xa7]);
        assert_eq!(value(ERROR_COMMENT), b"INSTANCES is full; ?? ");
        assert_eq!(value(AFFECTED_SOP_INSTANCE_UID), b"1.2.3\0");
        assert!(elements.is_sorted_by_key(|e| e.0), "elements ascend");
        assert!(elements.iter().all(|e| e.1.len() % 2 == 0), "lengths are even");
    }

    #[test]
    fn a_refusal_has_its_error_id_after_its_comment() {
        let request =
            Request::notification(Operation::Set, 7, "1.2.840.10008.3.1.2.3.3", "1.2.3", None);
        let refusal = write_refusal(&request, Status::of(0x0110), "ended", Some(0xA710));
        let elements: Vec<_> = Elements::of(&refusal).map(Result::unwrap).collect();
        let value = |tag| elements.iter().find(|e| e.0 == tag).unwrap().1;
        assert_eq!((value(STATUS), value(ERROR_ID)), (&[0x10, 0x01][..], &[0x10, 0xa7][..]));
        assert_eq!(value(AFFECTED_SOP_INSTANCE_UID), b"1.2.3\0");
        assert!(elements.is_sorted_by_key(|e| e.0), "elements ascend");
    }

    #[test]
    fn a_response_is_read_as_it_was_written() {
        let request = Request::store(7, "1.2.840.10008.5.1.4.1.1.4", "1.2.3");
        let read = read_response(&write_response(&request, Status::of(0xB007), "changed")).unwrap();
        let operation = Operation::Store;
        let (status, error_comment) = (Status::of(0xB007), "changed".to_owned());
        let wanted =
            Response { operation, message_id: 7, status, error_comment, has_data_set: false };
        assert_eq!(read, wanted);
    }

    #[test]
    fn a_response_that_ends_before_its_status_is_an_error_and_a_request_is_none() {
        let request = Request::echo(7);
        let response = write_response(&request, Status::Success, "");
        for length in 0..response.len() {
            let read = read_response(&response[..length]);
            assert!(matches!(read, Err(CommandError::Missing(_))), "{length}: {read:?}");
        }
        let read = read_response(&super::super::write_request(&request));
        assert_eq!(read, Err(CommandError::NoResponse(0x0030)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_response(&bytes);
        }
    }
}
