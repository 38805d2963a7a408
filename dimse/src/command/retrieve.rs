//! The command set of C-MOVE (PS3.7 section 9.3.4), with which a peer is asked to send instances.

use super::Operation;
use super::elements::{
    AFFECTED_SOP_CLASS_UID, COMMAND_DATA_SET_TYPE, COMMAND_FIELD, MESSAGE_ID, MOVE_DESTINATION,
    PRIORITY, Writer,
};

/// C-MOVE.
pub const MOVE: Operation = Operation::Other(0x0021);

/// The command set of a C-MOVE-RQ: the peer is to send to the AE of this title. Its data set is the identifier.
#[must_use]
pub fn write_move(message_id: u16, sop_class_uid: &str, destination: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.uid(AFFECTED_SOP_CLASS_UID, sop_class_uid);
    writer.number(COMMAND_FIELD, MOVE.command_field());
    writer.number(MESSAGE_ID, message_id);
    writer.text(MOVE_DESTINATION, destination);
    // Medium priority, and a data set follows.
    writer.number(PRIORITY, 0x0000);
    writer.number(COMMAND_DATA_SET_TYPE, 0x0001);
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::super::elements::{Elements, text};
    use super::*;
    use crate::command::read_request;

    #[test]
    fn a_move_request_says_where_to() {
        let written = write_move(7, "1.2.840.10008.5.1.4.1.2.2.2", "COLLIMATOR");
        let request = read_request(&written).unwrap();
        assert_eq!((request.operation, request.message_id), (MOVE, 7));
        assert!(request.has_data_set);
        let elements: Vec<_> = Elements::of(&written).map(Result::unwrap).collect();
        assert!(elements.is_sorted_by_key(|element| element.0), "elements ascend");
        let destination = elements.iter().find(|element| element.0 == MOVE_DESTINATION).unwrap();
        assert_eq!(text(destination.1), "COLLIMATOR");
    }
}
