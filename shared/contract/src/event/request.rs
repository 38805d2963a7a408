//! What people and programs ask for by HTTP. A request goes through the stream like everything else that decides
//! what the catalogue says, so it is in order, and on the record.

use super::{API, Event};
use crate::subject::Subject;
use crate::uid::{SeriesInstanceUid, StudyInstanceUid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Somebody vouches for a series that did not come by DICOM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegistrationRequested {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// Study Instance UID (0020,000D).
    #[serde(rename = "StudyInstanceUID")]
    pub study_instance_uid: StudyInstanceUid,
    /// Patient ID (0010,0020).
    #[serde(rename = "PatientID")]
    pub patient_id: String,
    /// Patient's Name (0010,0010).
    pub patient_name: String,
    /// How many instances the series is said to have.
    pub instances_count: u32,
    /// This request: a UUID.
    #[serde(rename = "RequestID")]
    pub request_id: String,
    /// When, by the API's clock.
    pub requested_at: Timestamp,
}

impl RegistrationRequested {
    /// How long a request counts after the broker stored it. Who asked has an answer by then or knows that
    /// there is none, so an indexer that comes to it later passes it over. In a NATS cluster the elections of the
    /// stream's leader and of the consumer's may come between the two, mostly 5 to 8 s each.
    pub const LIFETIME: Duration = Duration::from_secs(20);
}

/// An operator says that a series is complete as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CompletionRequested {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// This request: a UUID.
    #[serde(rename = "RequestID")]
    pub request_id: String,
    /// When, by the API's clock.
    pub requested_at: Timestamp,
}

/// An operator says that a series is no longer to be in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeletionRequested {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// This request: a UUID.
    #[serde(rename = "RequestID")]
    pub request_id: String,
    /// When, by the API's clock.
    pub requested_at: Timestamp,
}

/// An operator says that the evidence of a sender is to be believed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TrustRequested {
    /// AE title of the sender.
    #[serde(rename = "CallingAETitle")]
    pub calling_ae_title: String,
    /// This request: a UUID.
    #[serde(rename = "RequestID")]
    pub request_id: String,
    /// When, by the API's clock.
    pub requested_at: Timestamp,
}

/// An operator lets an announcement go out that was held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReleaseRequested {
    /// Subject of the announcement.
    pub subject: String,
    /// Its id, by which the broker recognises it: `SeriesInstanceUID:Revision` of a completion.
    #[serde(rename = "MessageID")]
    pub message_id: String,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// The event that is announced, as JSON.
    pub announcement: String,
    /// This request: a UUID.
    #[serde(rename = "RequestID")]
    pub request_id: String,
    /// When, by the API's clock.
    pub requested_at: Timestamp,
}

/// An operator says that a receiver does not come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GoneRequested {
    /// Name of the receiver.
    pub node_name: String,
    /// This request: a UUID.
    #[serde(rename = "RequestID")]
    pub request_id: String,
    /// When, by the API's clock.
    pub requested_at: Timestamp,
}

/// Whatever is asked for, a request is told from another by its id, and is published by the API.
macro_rules! events {
    ($($request:ty: $subject:ident of $whose:ident;)*) => {$(
        impl Event for $request {
            const SOURCE: &'static str = API;

            fn subject(&self) -> Subject {
                Subject::$subject(&self.$whose)
            }

            fn id(&self) -> String {
                self.request_id.clone()
            }

            fn time(&self) -> Timestamp {
                self.requested_at
            }
        }
    )*};
}

events! {
    RegistrationRequested: registration_requested of series_instance_uid;
    CompletionRequested: completion_requested of series_instance_uid;
    DeletionRequested: deletion_requested of series_instance_uid;
    TrustRequested: trust_requested of calling_ae_title;
    ReleaseRequested: release_requested of message_id;
    GoneRequested: gone_requested of node_name;
}
