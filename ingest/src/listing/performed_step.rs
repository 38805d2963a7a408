//! What a performed procedure step says of the instances that were made in it (Modality Performed Procedure Step, PS3.4
//! section F.7.2). Its end names them; of its start and what comes between nothing is kept.

use super::references::{NotTaken, References, unreadable};
use contract::event::{AssociationIdentity, InstancesListed, ListKind};
use contract::uid::is_legal_uid;
use dimse::Status;
use dimse::command::Request;
use dimse::data_set::DataSet;

/// Modality Performed Procedure Step SOP Class.
pub(crate) const PERFORMED_STEP: &str = "1.2.840.10008.3.1.2.3.3";

/// Error ID (0000,0903) of an N-SET that comes after the end, with Status 0110 (PS3.4 table F.7.2-2).
pub(crate) const MAY_NO_LONGER_BE_UPDATED: u16 = 0xA710;

const STATUS: u32 = 0x0040_0252;
const PERFORMED_SERIES_SEQUENCE: u32 = 0x0040_0340;
const REFERENCED_IMAGE_SEQUENCE: u32 = 0x0008_1140;
const REFERENCED_NON_IMAGE_SEQUENCE: u32 = 0x0040_0220;

const IN_PROGRESS: &str = "IN PROGRESS";
const COMPLETED: &str = "COMPLETED";
const DISCONTINUED: &str = "DISCONTINUED";

/// An N-CREATE, which lists nothing yet.
///
/// # Errors
/// When it begins no procedure step.
pub(crate) fn create(
    request: &Request,
    data_set: &DataSet<'_>,
    _: &AssociationIdentity,
) -> Result<Option<InstancesListed>, NotTaken> {
    check(request)?;
    match data_set.text(STATUS).map_err(unreadable)? {
        Some(IN_PROGRESS) => Ok(None),
        Some(_) => Err((Status::of(0x0106), "a procedure step begins as IN PROGRESS")),
        None => Err((Status::of(0x0120), "Performed Procedure Step Status (0040,0252) is missing")),
    }
}

/// The list of an N-SET, which it has where the procedure step ends with it. A step that made nothing ends as well.
///
/// # Errors
/// When it sets no procedure step, or names too many instances.
pub(crate) fn set(
    request: &Request,
    data_set: &DataSet<'_>,
    identity: &AssociationIdentity,
) -> Result<Option<InstancesListed>, NotTaken> {
    check(request)?;
    let discontinued = match data_set.text(STATUS).map_err(unreadable)? {
        None | Some(IN_PROGRESS) => return Ok(None),
        Some(COMPLETED) => false,
        Some(DISCONTINUED) => true,
        Some(_) => return Err((Status::of(0x0106), "no Performed Procedure Step Status")),
    };
    let mut references = References::new(Status::of(0x0106));
    for series in data_set.items(PERFORMED_SERIES_SEQUENCE).map_err(unreadable)? {
        for sequence in [REFERENCED_IMAGE_SEQUENCE, REFERENCED_NON_IMAGE_SEQUENCE] {
            references.add_of_series(&series, &series.items(sequence).map_err(unreadable)?)?;
        }
    }
    references.finish(ListKind::Mpps, &request.sop_instance_uid, discontinued, identity).map(Some)
}

fn check(request: &Request) -> Result<(), NotTaken> {
    if request.sop_class_uid != PERFORMED_STEP {
        return Err((Status::of(0x0118), "not the SOP class of the presentation context"));
    }
    match is_legal_uid(&request.sop_instance_uid) {
        true => Ok(()),
        false => Err((Status::of(0x0117), "the SOP Instance UID of the procedure step is no UID")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::tests::{identity, instance, series};
    use dimse::command::Operation;
    use dimse::data_set::Writer;
    use dimse::identifier::Encoding;

    fn step(status: Option<&str>, of: impl IntoIterator<Item = Writer>) -> Writer {
        let mut data_set = Writer::new(Encoding::Explicit);
        if let Some(status) = status {
            data_set.text(STATUS, *b"CS", status);
        }
        data_set.sequence(PERFORMED_SERIES_SEQUENCE, of);
        data_set
    }

    fn read(operation: Operation, data_set: Writer) -> Result<Option<InstancesListed>, u16> {
        let request = Request::notification(operation, 1, PERFORMED_STEP, "1.9", None);
        let bytes = data_set.finish();
        let data_set = DataSet::new(&bytes, Encoding::Explicit);
        let read = if operation == Operation::Create { create } else { set };
        read(&request, &data_set, &identity()).map_err(|(status, _)| status.code())
    }

    #[test]
    fn a_step_begins_in_progress() {
        let begins = |status| read(Operation::Create, step(status, []));
        assert_eq!(begins(Some(IN_PROGRESS)), Ok(None));
        assert_eq!(begins(Some(COMPLETED)), Err(0x0106));
        assert_eq!(begins(None), Err(0x0120));
    }

    #[test]
    fn the_end_of_a_step_lists_images_and_what_is_no_image() {
        let made = || {
            let mut of = series("1.3", REFERENCED_IMAGE_SEQUENCE, [instance(1), instance(2)]);
            of.sequence(REFERENCED_NON_IMAGE_SEQUENCE, [instance(3)]);
            [of]
        };
        assert_eq!(read(Operation::Set, step(None, made())), Ok(None));
        assert_eq!(read(Operation::Set, step(Some(IN_PROGRESS), made())), Ok(None));
        for (status, discontinued) in [(COMPLETED, false), (DISCONTINUED, true)] {
            let listed = read(Operation::Set, step(Some(status), made())).unwrap().unwrap();
            assert_eq!((listed.kind, listed.discontinued), (ListKind::Mpps, discontinued));
            assert_eq!(listed.count(), 3);
        }
        // A series without images, and no series.
        let empty = series("", REFERENCED_IMAGE_SEQUENCE, []);
        let ended = read(Operation::Set, step(Some(DISCONTINUED), [empty])).unwrap().unwrap();
        assert_eq!(ended.count(), 0);
        assert_eq!(read(Operation::Set, step(Some("DONE"), made())), Err(0x0106));
    }

    #[test]
    fn another_class_or_no_instance_is_refused() {
        let mut request = Request::notification(Operation::Set, 1, PERFORMED_STEP, "", None);
        let data_set = DataSet::new(&[], Encoding::Implicit);
        assert_eq!(set(&request, &data_set, &identity()).unwrap_err().0.code(), 0x0117);
        request.sop_class_uid = "1.2.840.10008.5.1.4.33".into();
        assert_eq!(set(&request, &data_set, &identity()).unwrap_err().0.code(), 0x0118);
    }
}
