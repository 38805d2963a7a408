//! The command set of a request (PS3.7 section 9.3).

use super::elements::{
    ACTION_TYPE_ID, AFFECTED_SOP_CLASS_UID, AFFECTED_SOP_INSTANCE_UID, COMMAND_DATA_SET_TYPE,
    COMMAND_FIELD, EVENT_TYPE_ID, Elements, MESSAGE_ID, PRIORITY, REQUESTED_SOP_CLASS_UID,
    REQUESTED_SOP_INSTANCE_UID, Writer, number, text,
};
use super::{CommandError, NO_DATA_SET, Operation};

/// Verification SOP Class (PS3.4 annex A), which C-ECHO is for.
const VERIFICATION: &str = "1.2.840.10008.1.1";

/// Command Data Set Type (0000,0800) of a message that has a data set: anything but [`NO_DATA_SET`].
const DATA_SET_PRESENT: u16 = 0x0001;

/// Priority (0000,0700): medium (PS3.7 section 9.3.1.1).
const PRIORITY_MEDIUM: u16 = 0x0000;

/// A request as its command set says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub operation: Operation,
    /// Message ID (0000,0110): the response has to repeat it. 0 of a C-CANCEL-RQ, which has none and no response
    /// (PS3.7 section 9.3.2.3).
    pub message_id: u16,
    /// Affected SOP Class UID (0000,0002), of N-SET and N-ACTION the requested one (0000,0003), without padding; empty
    /// when absent.
    pub sop_class_uid: String,
    /// Affected SOP Instance UID (0000,1000), of N-SET and N-ACTION the requested one (0000,1001), without padding; empty
    /// when absent.
    pub sop_instance_uid: String,
    /// Event Type ID (0000,1002) of N-EVENT-REPORT, Action Type ID (0000,1008) of N-ACTION.
    pub type_id: Option<u16>,
    /// Whether a data set follows.
    pub has_data_set: bool,
}

impl Request {
    /// C-STORE-RQ (PS3.7 section 9.3.1.1).
    #[must_use]
    pub fn store(message_id: u16, sop_class_uid: &str, sop_instance_uid: &str) -> Self {
        Self {
            operation: Operation::Store,
            message_id,
            sop_class_uid: sop_class_uid.to_owned(),
            sop_instance_uid: sop_instance_uid.to_owned(),
            type_id: None,
            has_data_set: true,
        }
    }

    /// C-FIND-RQ (PS3.7 section 9.3.2.1). Its data set is the identifier.
    #[must_use]
    pub fn find(message_id: u16, sop_class_uid: &str) -> Self {
        Self {
            operation: Operation::Find,
            message_id,
            sop_class_uid: sop_class_uid.to_owned(),
            sop_instance_uid: String::new(),
            type_id: None,
            has_data_set: true,
        }
    }

    /// A request of an N-service about an instance (PS3.7 section 10.3), with a data set.
    #[must_use]
    pub fn notification(
        operation: Operation,
        message_id: u16,
        sop_class_uid: &str,
        sop_instance_uid: &str,
        type_id: Option<u16>,
    ) -> Self {
        Self {
            operation,
            message_id,
            sop_class_uid: sop_class_uid.to_owned(),
            sop_instance_uid: sop_instance_uid.to_owned(),
            type_id,
            has_data_set: true,
        }
    }

    /// C-ECHO-RQ (PS3.7 section 9.3.5.1).
    #[must_use]
    pub fn echo(message_id: u16) -> Self {
        Self {
            operation: Operation::Echo,
            message_id,
            sop_class_uid: VERIFICATION.to_owned(),
            sop_instance_uid: String::new(),
            type_id: None,
            has_data_set: false,
        }
    }
}

/// The command set of a request.
#[must_use]
pub fn write_request(request: &Request) -> Vec<u8> {
    let mut writer = Writer::new();
    let (sop_class, sop_instance) = match request.operation.is_requested() {
        true => (REQUESTED_SOP_CLASS_UID, REQUESTED_SOP_INSTANCE_UID),
        false => (AFFECTED_SOP_CLASS_UID, AFFECTED_SOP_INSTANCE_UID),
    };
    writer.uid(sop_class, &request.sop_class_uid);
    writer.number(COMMAND_FIELD, request.operation.command_field());
    writer.number(MESSAGE_ID, request.message_id);
    if matches!(request.operation, Operation::Store | Operation::Find) {
        writer.number(PRIORITY, PRIORITY_MEDIUM);
    }
    let data_set_type = if request.has_data_set { DATA_SET_PRESENT } else { NO_DATA_SET };
    writer.number(COMMAND_DATA_SET_TYPE, data_set_type);
    writer.uid(sop_instance, &request.sop_instance_uid);
    if let (Some(tag), Some(type_id)) = (request.operation.type_id(), request.type_id) {
        writer.number(tag, type_id);
    }
    writer.finish()
}

/// Reads the command set of a request.
///
/// # Errors
/// When it can't be told what is asked for, or to what Message ID an answer would belong.
pub fn read_request(command_set: &[u8]) -> Result<Request, CommandError> {
    let (mut command_field, mut message_id, mut data_set_type) = (None, None, None);
    let (mut sop_class_uid, mut sop_instance_uid) = (String::new(), String::new());
    let mut type_id = None;
    for element in Elements::of(command_set) {
        match element? {
            (COMMAND_FIELD, value) => command_field = number(value),
            (MESSAGE_ID, value) => message_id = number(value),
            (COMMAND_DATA_SET_TYPE, value) => data_set_type = number(value),
            (AFFECTED_SOP_CLASS_UID | REQUESTED_SOP_CLASS_UID, value) => {
                sop_class_uid = text(value);
            }
            (AFFECTED_SOP_INSTANCE_UID | REQUESTED_SOP_INSTANCE_UID, value) => {
                sop_instance_uid = text(value);
            }
            (EVENT_TYPE_ID | ACTION_TYPE_ID, value) => type_id = number(value),
            _ => {}
        }
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
        type_id,
        has_data_set: data_set_type.ok_or(CommandError::Missing("Command Data Set Type"))?
            != NO_DATA_SET,
    })
}

#[cfg(test)]
mod tests {
    use super::super::elements::{MESSAGE_ID_RESPONDED_TO, put};
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
            (PRIORITY, &[0, 0]),
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
    fn a_request_is_read_as_it_was_written() {
        let find = Request::find(9, "1.2.840.10008.5.1.4.1.2.2.1");
        let store = Request::store(7, "1.2.840.10008.5.1.4.1.1.4", "1.2.3");
        let of = |operation, type_id| {
            Request::notification(
                operation,
                6,
                "1.2.840.10008.1.20.1",
                "1.2.840.10008.1.20.1.1",
                type_id,
            )
        };
        let n = [
            of(Operation::Action, Some(1)),
            of(Operation::EventReport, Some(2)),
            of(Operation::Create, None),
            of(Operation::Set, None),
        ];
        for request in [store, Request::echo(8), find].into_iter().chain(n) {
            let written = write_request(&request);
            assert_eq!(read_request(&written), Ok(request));
            let tags: Vec<_> = Elements::of(&written).map(|element| element.unwrap().0).collect();
            assert!(tags.is_sorted(), "elements ascend");
        }
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
        let mut boundaries = vec![0];
        for element in Elements::of(&whole) {
            let (_, value) = element.unwrap();
            boundaries.push(boundaries.last().unwrap() + 8 + value.len());
        }
        assert_eq!(boundaries.last(), Some(&whole.len()));
        for length in 0..=whole.len() {
            let truncated = read_request(&whole[..length]) == Err(CommandError::Truncated);
            assert_eq!(truncated, !boundaries.contains(&length), "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_request(&bytes);
        }
    }
}
