//! What there is to say of an instance that was received whole, or why it is not taken.

use crate::association::tally::Tally;
use crate::data_set::attributes::{
    self, SERIES_INSTANCE_UID, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID,
};
use crate::data_set::header::{Header, HeaderError};
use crate::instance::pseudonyms::Pseudonyms;
use crate::publish::refused::PublishRefused;
use contract::event::{AssociationIdentity, InstanceStored};
use contract::uid::{SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, UidError};
use dimse::Status;
use dimse::command::Request;
use jiff::Timestamp;

/// Why an instance is not taken: what its sender is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A failure.
    pub status: Status,
    /// In one word, for a counter.
    pub cause: &'static str,
    /// The Error Comment.
    pub comment: String,
}

/// An instance that was received whole, and how it came.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// The header of its data set.
    pub header: &'a Header,
    /// The C-STORE that brought it.
    pub request: &'a Request,
    /// Length of its data set in bytes.
    pub bytes: u64,
    /// Transfer syntax of the presentation context that it came through.
    pub transfer_syntax_uid: &'a str,
    /// The association that it came through.
    pub association: &'a AssociationIdentity,
    /// What became of its C-STOREs so far; this one is the latest.
    pub tally: &'a Tally,
    /// What its patient is called by, where that is not as it says.
    pub pseudonyms: Option<&'a Pseudonyms>,
    /// When it was complete.
    pub received_at: Timestamp,
}

impl Arrival<'_> {
    /// The event of the instance.
    ///
    /// # Errors
    /// When the data set does not say which instance of which series it is, or contradicts the
    /// command set.
    pub fn event(&self) -> Result<InstanceStored, Refusal> {
        let series = attributes::uid(self.header, SERIES_INSTANCE_UID);
        let series_instance_uid = SeriesInstanceUid::parse(&series)
            .map_err(|error| does_not_match("SeriesInstanceUID", &error))?;
        let sop_instance_uid = sop_instance_uid(self.header, self.request)?;
        let sop_class_uid = sop_class_uid(self.header, self.request)?;
        let sop_class_uid = attributes::bounded_uid(&sop_class_uid).into_owned();
        let study_instance_uid = study_instance_uid(self.header)?;
        let (mut attributes, mut remarks) = attributes::decode(self.header);
        // Before the digest, with which anybody could try names otherwise.
        if let Some(pseudonyms) = self.pseudonyms {
            pseudonyms.replace(&mut attributes, &mut remarks);
        }
        let digest = attributes::digest(
            [
                &sop_class_uid,
                sop_instance_uid.as_str(),
                study_instance_uid.as_ref().map_or("", StudyInstanceUid::as_str),
                series_instance_uid.as_str(),
            ],
            &attributes,
            self.header,
        );
        let association = self.association.clone();
        let series_ordinal = self.tally.acknowledged_of(&series_instance_uid) + 1;
        Ok(InstanceStored {
            sop_instance_uid,
            sop_class_uid,
            series_instance_uid,
            study_instance_uid,
            attributes,
            remarks,
            transfer_syntax_uid: attributes::bounded_uid(self.transfer_syntax_uid).into_owned(),
            bytes: self.bytes,
            digest,
            calling_ae_title: association.calling_ae_title,
            called_ae_title: association.called_ae_title,
            peer_address: association.peer_address,
            association_id: association.association_id,
            node_name: association.node_name,
            ordinal: self.tally.stores(),
            series_ordinal,
            received_at: self.received_at,
        })
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

/// The data set says which instance it is; the command set says it for one that does not. Where
/// they differ it can't be told which one the sender would believe to be safe.
fn sop_instance_uid(header: &Header, request: &Request) -> Result<SopInstanceUid, Refusal> {
    let mismatch = |error: &UidError| does_not_match("SOPInstanceUID", error);
    let in_data_set = attributes::uid(header, SOP_INSTANCE_UID);
    match SopInstanceUid::parse(&in_data_set) {
        Ok(uid) if request.sop_instance_uid.is_empty() => Ok(uid),
        Ok(uid) if uid.as_str() == request.sop_instance_uid => Ok(uid),
        Ok(_) => Err(Refusal::new(
            Status::DataSetDoesNotMatch,
            "contradiction",
            "SOP Instance UIDs of command and data set differ",
        )),
        Err(UidError::Empty) => {
            SopInstanceUid::parse(&request.sop_instance_uid).map_err(|error| mismatch(&error))
        }
        Err(error) => Err(mismatch(&error)),
    }
}

fn sop_class_uid(header: &Header, request: &Request) -> Result<String, Refusal> {
    let in_data_set = attributes::uid(header, SOP_CLASS_UID);
    let in_data_set = in_data_set.trim_matches(['\0', ' ']);
    match (in_data_set, request.sop_class_uid.as_str()) {
        (uid, "") | ("", uid) => Ok(uid.to_owned()),
        (uid, same) if uid == same => Ok(uid.to_owned()),
        _ => Err(Refusal::new(
            Status::DataSetDoesNotMatch,
            "contradiction",
            "SOP Class UIDs of command and data set differ",
        )),
    }
}

fn does_not_match(keyword: &str, error: &UidError) -> Refusal {
    Refusal::new(Status::DataSetDoesNotMatch, error.cause(), format!("{keyword} {error}"))
}

impl Refusal {
    /// A failure Status with what to tell the sender, which names no patient.
    #[must_use]
    pub fn new(status: Status, cause: &'static str, comment: impl Into<String>) -> Self {
        Self { status, cause, comment: comment.into() }
    }
}

/// The table from what is wrong with a data set to the Status its sender gets.
impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        let (status, cause) = match error {
            HeaderError::TooLong(_) => (Status::CannotUnderstand, "header_too_long"),
            HeaderError::Inflates(_) => (Status::OutOfResources, "inflates_too_far"),
            HeaderError::Truncated => (Status::CannotUnderstand, "truncated"),
            HeaderError::Nesting => (Status::CannotUnderstand, "nesting_contradicts"),
            HeaderError::Unplaced => (Status::CannotUnderstand, "element_without_vr"),
            HeaderError::TooDeep => (Status::CannotUnderstand, "nested_too_deep"),
            HeaderError::Inflate => (Status::CannotUnderstand, "not_deflated"),
        };
        Self::new(status, cause, error.to_string())
    }
}

/// The table from what the broker says to the Status that the sender gets.
impl From<PublishRefused> for Refusal {
    fn from(error: PublishRefused) -> Self {
        let (status, cause) = match error {
            PublishRefused::TimedOut(_) => (Status::OutOfResources, "nats_silent"),
            PublishRefused::Nobody(_) => (Status::OutOfResources, "nats_stores_nothing"),
            PublishRefused::Full | PublishRefused::Refused { .. } => {
                (Status::OutOfResources, "nats_refused")
            }
            PublishRefused::Duplicate => (Status::OutOfResources, "event_duplicate"),
            PublishRefused::TooLarge => (Status::CannotUnderstand, "event_too_large"),
        };
        Self::new(status, cause, error.to_string())
    }
}
