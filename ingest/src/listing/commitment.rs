//! What a request for storage commitment names and what is reported on it (PS3.4 sections J.3.2 and J.3.3).

use super::references::{
    NotTaken, REFERENCED_SOP_CLASS_UID, REFERENCED_SOP_INSTANCE_UID, REFERENCED_SOP_SEQUENCE,
    References, uid, unreadable,
};
use contract::event::{AssociationIdentity, InstancesListed, ListKind};
use dimse::Status;
use dimse::command::{Operation, Request};
use dimse::data_set::{DataSet, Writer};
use dimse::identifier::Encoding;

/// Storage Commitment Push Model SOP Class, and its well-known SOP Instance.
pub(crate) const PUSH_MODEL: &str = "1.2.840.10008.1.20.1";
const PUSH_MODEL_INSTANCE: &str = "1.2.840.10008.1.20.1.1";

/// Action Type ID of a request for commitment.
const REQUEST_COMMITMENT: u16 = 1;
/// Event Type ID of a report that not all instances are committed to.
const FAILURES_EXIST: u16 = 2;
/// Failure Reason (0008,1197): no such object instance.
const NO_SUCH_INSTANCE: u16 = 0x0112;

const TRANSACTION_UID: u32 = 0x0008_1195;
const FAILED_SOP_SEQUENCE: u32 = 0x0008_1198;
const FAILURE_REASON: u32 = 0x0008_1197;

/// The list of a request for commitment.
///
/// # Errors
/// When it is none, or names too many instances.
pub(crate) fn list(
    request: &Request,
    data_set: &DataSet<'_>,
    identity: &AssociationIdentity,
) -> Result<InstancesListed, NotTaken> {
    if request.sop_class_uid != PUSH_MODEL || request.sop_instance_uid != PUSH_MODEL_INSTANCE {
        return Err((Status::of(0x0112), "no such SOP instance of storage commitment"));
    }
    if request.type_id != Some(REQUEST_COMMITMENT) {
        return Err((Status::of(0x0123), "no such action of storage commitment"));
    }
    let Some(transaction) = uid(data_set, TRANSACTION_UID)? else {
        return Err((Status::of(0x0115), "Transaction UID (0008,1195) is no UID"));
    };
    let items = data_set.items(REFERENCED_SOP_SEQUENCE).map_err(unreadable)?;
    if items.is_empty() {
        return Err((Status::of(0x0120), "Referenced SOP Sequence (0008,1199) names no instance"));
    }
    let mut references = References::new(Status::of(0x0115));
    references.add(None, &items)?;
    references.finish(ListKind::Commitment, transaction, false, identity)
}

/// The request of a report that nothing of a list is committed to.
pub(crate) fn report_request(message_id: u16) -> Request {
    let operation = Operation::EventReport;
    let type_id = Some(FAILURES_EXIST);
    Request::notification(operation, message_id, PUSH_MODEL, PUSH_MODEL_INSTANCE, type_id)
}

/// Its data set. The instances are taken as evidence and are not for us to keep: the peer must not delete them.
pub(crate) fn report(listed: &InstancesListed, encoding: Encoding) -> Vec<u8> {
    let failed = listed.instances.iter().flat_map(|of| {
        of.sop_instance_uids.iter().map(|uid| {
            let mut item = Writer::new(encoding);
            item.uid(REFERENCED_SOP_CLASS_UID, &of.sop_class_uid);
            item.uid(REFERENCED_SOP_INSTANCE_UID, uid.as_str());
            item.number(FAILURE_REASON, NO_SUCH_INSTANCE);
            item
        })
    });
    let mut report = Writer::new(encoding);
    report.uid(TRANSACTION_UID, &listed.list_uid);
    report.sequence(FAILED_SOP_SEQUENCE, failed);
    report.finish()
}

#[cfg(test)]
mod tests {
    use super::super::references::MAX_LENGTH;
    use super::super::tests::identity;
    use super::*;

    fn request(type_id: u16) -> Request {
        let operation = Operation::Action;
        Request::notification(operation, 1, PUSH_MODEL, PUSH_MODEL_INSTANCE, Some(type_id))
    }

    fn data_set(transaction: &str, instances: usize) -> Vec<u8> {
        let items = (0..instances).map(|number| {
            let mut item = Writer::new(Encoding::Implicit);
            item.uid(REFERENCED_SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.4");
            item.uid(REFERENCED_SOP_INSTANCE_UID, &format!("{}.{number}", "2".repeat(58)));
            item
        });
        let mut data_set = Writer::new(Encoding::Implicit);
        data_set.uid(TRANSACTION_UID, transaction);
        data_set.sequence(REFERENCED_SOP_SEQUENCE, items);
        data_set.finish()
    }

    fn read(type_id: u16, data_set: &[u8]) -> Result<InstancesListed, u16> {
        let data_set = DataSet::new(data_set, Encoding::Implicit);
        let read = list(&request(type_id), &data_set, &identity());
        read.map_err(|(status, _)| status.code())
    }

    #[test]
    fn the_longest_list_is_one_message_and_a_longer_one_is_refused() {
        let longest = data_set("1.2.3", InstancesListed::MAX_INSTANCES);
        assert!(longest.len() <= MAX_LENGTH, "{}", longest.len());
        let listed = read(1, &longest).unwrap();
        assert_eq!(listed.count(), InstancesListed::MAX_INSTANCES);
        assert!(serde_json::to_vec(&listed).unwrap().len() < InstancesListed::MAX_BYTES);
        let longer = data_set("1.2.3", InstancesListed::MAX_INSTANCES + 1);
        assert_eq!(read(1, &longer), Err(0x0213));
    }

    #[test]
    fn what_is_no_request_for_commitment_is_refused() {
        assert_eq!(read(2, &data_set("1.2.3", 1)), Err(0x0123));
        assert_eq!(read(1, &data_set("", 1)), Err(0x0115));
        assert_eq!(read(1, &data_set("1.2.3", 0)), Err(0x0120));
        assert_eq!(read(1, b"nonsense"), Err(0x0110));
    }

    #[test]
    fn a_report_names_each_instance_with_its_reason() {
        let listed = read(1, &data_set("1.2.3", 2)).unwrap();
        let report = report(&listed, Encoding::Explicit);
        let report = DataSet::new(&report, Encoding::Explicit);
        assert_eq!(report.text(TRANSACTION_UID), Ok(Some("1.2.3")));
        let failed = report.items(FAILED_SOP_SEQUENCE).unwrap();
        assert_eq!(failed.len(), 2);
        assert!(failed[1].text(REFERENCED_SOP_INSTANCE_UID).unwrap().unwrap().ends_with(".1"));
        assert_eq!(failed[1].text(FAILURE_REASON), Ok(Some("\u{12}\u{1}")));
    }
}
