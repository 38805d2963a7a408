//! What a notification of the availability of instances names (Instance Availability Notification, PS3.4 section R.3.2).

use super::references::{NotTaken, REFERENCED_SOP_SEQUENCE, References, unreadable};
use contract::event::{AssociationIdentity, InstancesListed, ListKind};
use contract::uid::is_legal_uid;
use dimse::Status;
use dimse::command::Request;
use dimse::data_set::DataSet;

/// Instance Availability Notification SOP Class.
pub(crate) const NOTIFICATION: &str = "1.2.840.10008.5.1.4.33";

const REFERENCED_SERIES_SEQUENCE: u32 = 0x0008_1115;
const INSTANCE_AVAILABILITY: u32 = 0x0008_0056;

/// Of an instance that is deleted or was rejected (PS3.3 section C.4.23.1): nobody is going to send it.
const UNAVAILABLE: &str = "UNAVAILABLE";

/// The list of an N-CREATE.
///
/// # Errors
/// When it is none, or names too many instances.
pub(crate) fn list(
    request: &Request,
    data_set: &DataSet<'_>,
    identity: &AssociationIdentity,
) -> Result<Option<InstancesListed>, NotTaken> {
    if request.sop_class_uid != NOTIFICATION {
        return Err((Status::of(0x0118), "not the SOP class of the presentation context"));
    }
    if !is_legal_uid(&request.sop_instance_uid) {
        return Err((Status::of(0x0117), "Affected SOP Instance UID (0000,1000) is no UID"));
    }
    let mut references = References::new(Status::of(0x0106));
    let mut is_empty = true;
    for series in data_set.items(REFERENCED_SERIES_SEQUENCE).map_err(unreadable)? {
        let mut available = Vec::new();
        for item in series.items(REFERENCED_SOP_SEQUENCE).map_err(unreadable)? {
            is_empty = false;
            if item.text(INSTANCE_AVAILABILITY).map_err(unreadable)? != Some(UNAVAILABLE) {
                available.push(item);
            }
        }
        references.add_of_series(&series, &available)?;
    }
    if is_empty {
        return Err((Status::of(0x0120), "Referenced SOP Sequence (0008,1199) names no instance"));
    }
    references.finish(ListKind::Ian, &request.sop_instance_uid, false, identity).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::tests::{identity, instance, series};
    use dimse::command::Operation;
    use dimse::data_set::Writer;
    use dimse::identifier::Encoding;

    fn read(uid: &str, data_set: Writer) -> Result<InstancesListed, u16> {
        let request = Request::notification(Operation::Create, 1, NOTIFICATION, uid, None);
        let bytes = data_set.finish();
        let listed = list(&request, &DataSet::new(&bytes, Encoding::Explicit), &identity());
        listed.map(Option::unwrap).map_err(|(status, _)| status.code())
    }

    fn notification(of: impl IntoIterator<Item = Writer>) -> Writer {
        let mut data_set = Writer::new(Encoding::Explicit);
        data_set.sequence(REFERENCED_SERIES_SEQUENCE, of);
        data_set
    }

    #[test]
    fn instances_are_listed_by_series_and_those_that_are_gone_are_not() {
        let mut gone = Writer::new(Encoding::Explicit);
        gone.text(INSTANCE_AVAILABILITY, *b"CS", UNAVAILABLE);
        gone.uid(0x0008_1150, "1.2");
        gone.uid(0x0008_1155, "1.7");
        let first = series("1.3.1", REFERENCED_SOP_SEQUENCE, [instance(1), instance(2), gone]);
        let second = series("1.3.2", REFERENCED_SOP_SEQUENCE, [instance(3)]);
        let listed = read("1.9", notification([first, second])).unwrap();
        assert_eq!((listed.kind, listed.list_uid.as_str()), (ListKind::Ian, "1.9"));
        let named: Vec<_> = listed
            .instances
            .iter()
            .map(|of| {
                (of.series_instance_uid.as_ref().unwrap().as_str(), of.sop_instance_uids.len())
            })
            .collect();
        assert_eq!(named, [("1.3.1", 2), ("1.3.2", 1)]);
    }

    #[test]
    fn what_is_no_notification_is_refused() {
        let whole = || notification([series("1.3", REFERENCED_SOP_SEQUENCE, [instance(1)])]);
        assert_eq!(read("", whole()), Err(0x0117));
        assert_eq!(read("1.9", notification([])), Err(0x0120));
        let nameless = series("", REFERENCED_SOP_SEQUENCE, [instance(1)]);
        assert_eq!(read("1.9", notification([nameless])), Err(0x0106));
        let many = series("1.3", REFERENCED_SOP_SEQUENCE, (0..10_001).map(instance));
        assert_eq!(read("1.9", notification([many])), Err(0x0213));
        // Each in a series of its own, which takes more of a message.
        let of = |number| {
            let uid = format!("{}.{number}", "2".repeat(58));
            series(&uid, REFERENCED_SOP_SEQUENCE, [instance(number)])
        };
        assert_eq!(read("1.9", notification((0..9_000).map(of))), Err(0x0213));
    }
}
