//! Which instance of which series it is, by its data set and what was said of it before.

use super::refusal::Refusal;
use crate::announced::Announced;
use crate::data_set::attributes::{
    self, SERIES_INSTANCE_UID, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID,
};
use crate::data_set::header::Header;
use contract::uid::{SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, UidError};
use dimse::Status;

/// The UIDs of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceIdentity {
    /// SOP Class UID (0008,0016), as long as a UID may be.
    pub sop_class_uid: String,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: SopInstanceUid,
    /// Study Instance UID (0020,000D), if it has one.
    pub study_instance_uid: Option<StudyInstanceUid>,
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: SeriesInstanceUid,
}

impl InstanceIdentity {
    /// The identity of an instance that was received whole.
    ///
    /// # Errors
    /// When the data set does not say which instance of which series it is, or contradicts what
    /// was said before.
    pub(crate) fn of(header: &Header, announced: &Announced<'_>) -> Result<Self, Refusal> {
        let series = attributes::uid(header, SERIES_INSTANCE_UID);
        let series_instance_uid = SeriesInstanceUid::parse(&series)
            .map_err(|error| does_not_match("SeriesInstanceUID", &error))?;
        let sop_instance_uid = sop_instance_uid(header, announced)?;
        let sop_class_uid = sop_class_uid(header, announced)?;
        let sop_class_uid = attributes::bounded_uid(&sop_class_uid).into_owned();
        let study_instance_uid = study_instance_uid(header)?;
        Ok(Self { sop_class_uid, sop_instance_uid, study_instance_uid, series_instance_uid })
    }
}

/// Some real data sets have none; an odd one is taken as it is.
fn study_instance_uid(header: &Header) -> Result<Option<StudyInstanceUid>, Refusal> {
    match StudyInstanceUid::parse(&attributes::uid(header, STUDY_INSTANCE_UID)) {
        Ok(uid) => Ok(Some(uid)),
        Err(UidError::Empty) => Ok(None),
        Err(error) => Err(does_not_match("StudyInstanceUID", &error)),
    }
}

/// The data set says which instance it is; what was said before says it for one that does not. Where
/// they differ it can't be told which one the sender would believe to be safe.
fn sop_instance_uid(header: &Header, announced: &Announced<'_>) -> Result<SopInstanceUid, Refusal> {
    let mismatch = |error: &UidError| does_not_match("SOPInstanceUID", error);
    let in_data_set = attributes::uid(header, SOP_INSTANCE_UID);
    match SopInstanceUid::parse(&in_data_set) {
        Ok(uid) if announced.sop_instance_uid.is_empty() => Ok(uid),
        Ok(uid) if uid.as_str() == announced.sop_instance_uid => Ok(uid),
        Ok(_) => Err(Refusal::new(
            Status::DataSetDoesNotMatch,
            "contradiction",
            format!("SOP Instance UIDs of {} and data set differ", announced.herald.name()),
        )),
        Err(UidError::Empty) => {
            SopInstanceUid::parse(announced.sop_instance_uid).map_err(|error| mismatch(&error))
        }
        Err(error) => Err(mismatch(&error)),
    }
}

fn sop_class_uid(header: &Header, announced: &Announced<'_>) -> Result<String, Refusal> {
    let in_data_set = attributes::uid(header, SOP_CLASS_UID);
    let in_data_set = in_data_set.trim_matches(['\0', ' ']);
    match (in_data_set, announced.sop_class_uid) {
        (uid, "") | ("", uid) => Ok(uid.to_owned()),
        (uid, same) if uid == same => Ok(uid.to_owned()),
        _ => Err(Refusal::new(
            Status::DataSetDoesNotMatch,
            "contradiction",
            format!("SOP Class UIDs of {} and data set differ", announced.herald.name()),
        )),
    }
}

fn does_not_match(keyword: &str, error: &UidError) -> Refusal {
    Refusal::new(Status::DataSetDoesNotMatch, error.cause(), format!("{keyword} {error}"))
}
