//! What operators ask for. A request goes through the stream like everything else that decides
//! what the catalogue says, so it is in order, and on the record.

use super::{API, Event};
use crate::subject::Subject;
use crate::uid::SeriesInstanceUid;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    CompletionRequested: completion_requested of series_instance_uid;
    DeletionRequested: deletion_requested of series_instance_uid;
    TrustRequested: trust_requested of calling_ae_title;
}
