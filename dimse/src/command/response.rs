//! The command set of a response.

use super::elements::{
    AFFECTED_SOP_CLASS_UID, AFFECTED_SOP_INSTANCE_UID, COMMAND_DATA_SET_TYPE, COMMAND_FIELD,
    ERROR_COMMENT, MESSAGE_ID_RESPONDED_TO, STATUS, Writer,
};
use super::{NO_DATA_SET, RESPONSE_BIT, Request};
use crate::status::Status;

/// Longest Error Comment (0000,0902), in characters: VR LO.
const MAX_ERROR_COMMENT: usize = 64;

/// The command set that answers `request`. A failure carries `comment`, which says why and what to
/// do, and names no patient.
#[must_use]
pub fn write_response(request: &Request, status: Status, comment: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.uid(AFFECTED_SOP_CLASS_UID, &request.sop_class_uid);
    writer.number(COMMAND_FIELD, request.operation.command_field() | RESPONSE_BIT);
    writer.number(MESSAGE_ID_RESPONDED_TO, request.message_id);
    writer.number(COMMAND_DATA_SET_TYPE, NO_DATA_SET);
    writer.number(STATUS, status.code());
    if !comment.is_empty() {
        // LO in the default repertoire; `\` would part two values.
        let comment: String = comment
            .chars()
            .map(|c| if matches!(c, ' '..='~') && c != '\\' { c } else { '?' })
            .take(MAX_ERROR_COMMENT)
            .collect();
        writer.text(ERROR_COMMENT, &comment);
    }
    writer.uid(AFFECTED_SOP_INSTANCE_UID, &request.sop_instance_uid);
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::super::elements::Elements;
    use super::super::{Operation, Request};
    use super::*;

    #[test]
    fn a_response_repeats_the_message_id_and_the_uids() {
        let request = Request {
            operation: Operation::Store,
            message_id: 12345,
            sop_class_uid: "1.2.840.10008.5.1.4.1.1.4".to_owned(),
            sop_instance_uid: "1.2.3".to_owned(),
            has_data_set: true,
        };
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
}
