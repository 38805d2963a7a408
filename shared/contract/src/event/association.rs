//! What is said of associations, and of the receiver that serves them.

use super::{Event, INGEST};
use crate::subject::{AssociationChange, Subject};
use crate::uid::SeriesInstanceUid;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which association it is, between whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssociationIdentity {
    /// The association: a UUID of our own.
    #[serde(rename = "AssociationID")]
    pub association_id: String,
    /// AE title of the sender.
    #[serde(rename = "CallingAETitle")]
    pub calling_ae_title: String,
    /// AE title that the sender called us by.
    #[serde(rename = "CalledAETitle")]
    pub called_ae_title: String,
    /// IP address of the sender.
    pub peer_address: String,
    /// The receiver: its `NODE_NAME`.
    pub node_name: String,
    /// Whether the sender's connection was encrypted; unknown of events of earlier versions.
    #[serde(rename = "TLS", default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
}

/// The first C-STORE of an association arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssociationOpened {
    /// Which one.
    #[serde(flatten)]
    pub association: AssociationIdentity,
    /// When, by the receiver's clock.
    pub opened_at: Timestamp,
}

impl Event for AssociationOpened {
    const SOURCE: &'static str = INGEST;

    fn subject(&self) -> Subject {
        Subject::association(AssociationChange::Opened, &self.association.calling_ae_title)
    }

    fn id(&self) -> String {
        format!("{}:opened", self.association.association_id)
    }

    fn time(&self) -> Timestamp {
        self.opened_at
    }
}

/// How an association ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// The sender said that it was done (A-RELEASE).
    Released,
    /// By A-ABORT of either side, or with the connection.
    Aborted,
}

/// An association in which there was a C-STORE has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssociationClosed {
    /// Which one.
    #[serde(flatten)]
    pub association: AssociationIdentity,
    /// How it ended.
    pub ending: Ending,
    /// Why, when it was aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// C-STOREs in it.
    pub stores: u64,
    /// Of these, how many were answered with Success.
    pub acknowledged: u64,
    /// Of these, how many were answered with a failure.
    pub failed: u64,
    /// What the sender was told of these: the first 8 that differ, in the order in which they were first said. The
    /// counts of others are in `failed` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<RefusalShare>,
    /// What it brought, a share for each series: the latest 2,000 of them.
    pub series: Vec<SeriesShare>,
    /// How many series more it brought, of which there is no share; one that came back after others counts
    /// again.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub series_left_out: u64,
    /// When it ended, by the receiver's clock.
    pub closed_at: Timestamp,
}

/// Refused C-STOREs of an association that were answered alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RefusalShare {
    /// Status (0000,0900) of the answers (PS3.4 table B.2-1), such as `0xA700`; the Failure Reason by STOW-RS.
    pub status: String,
    /// Error Comment (0000,0902) of the answers. It names no patient.
    pub error_comment: String,
    /// How many there were.
    pub count: u64,
}

/// What an association brought of one series. A failed C-STORE counts for the series if it could be
/// told which one it was for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SeriesShare {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// C-STOREs that were answered with Success.
    pub acknowledged: u64,
    /// C-STOREs that were answered with a failure.
    pub failed: u64,
}

impl AssociationClosed {
    /// Failed C-STOREs of which nobody knows for which series they were.
    #[must_use]
    pub fn failed_of_unknown_series(&self) -> u64 {
        self.failed.saturating_sub(self.series.iter().map(|share| share.failed).sum())
    }
}

impl Event for AssociationClosed {
    const SOURCE: &'static str = INGEST;

    fn subject(&self) -> Subject {
        let change = match self.ending {
            Ending::Released => AssociationChange::Released,
            Ending::Aborted => AssociationChange::Aborted,
        };
        Subject::association(change, &self.association.calling_ae_title)
    }

    fn id(&self) -> String {
        format!("{}:closed", self.association.association_id)
    }

    fn time(&self) -> Timestamp {
        self.closed_at
    }
}

/// Callers were turned away. Said at most once a second, whatever knocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssociationRejected {
    /// Of the latest of them.
    #[serde(flatten)]
    pub association: AssociationIdentity,
    /// Why it was rejected.
    pub cause: String,
    /// How many were rejected since this was last said.
    pub rejections: u64,
    /// When, by the receiver's clock.
    pub rejected_at: Timestamp,
}

impl Event for AssociationRejected {
    const SOURCE: &'static str = INGEST;

    fn subject(&self) -> Subject {
        Subject::association(AssociationChange::Rejected, &self.association.calling_ae_title)
    }

    fn id(&self) -> String {
        format!("{}:rejected", self.association.association_id)
    }

    fn time(&self) -> Timestamp {
        self.rejected_at
    }
}

/// A receiver has started: associations that another one of its name left open are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IngestStarted {
    /// The receiver: its `NODE_NAME`.
    pub node_name: String,
    /// This start: a UUID.
    #[serde(rename = "StartID")]
    pub start_id: String,
    /// When, by the receiver's clock.
    pub started_at: Timestamp,
}

/// A receiver's events are stored again, after the broker had refused some or had not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IngestResumed {
    /// The receiver: its `NODE_NAME`.
    pub node_name: String,
    /// Of which start of it.
    #[serde(rename = "StartID")]
    pub start_id: String,
    /// Which of the outages since that start it was, from 1.
    pub outage: u64,
    /// What the broker said, or that it said nothing.
    pub cause: String,
    /// When the first event was refused, by the receiver's clock.
    pub refused_at: Timestamp,
}

impl Event for IngestResumed {
    const SOURCE: &'static str = INGEST;

    fn subject(&self) -> Subject {
        Subject::ingest_resumed(&self.node_name)
    }

    fn id(&self) -> String {
        format!("{}:resumed:{}", self.start_id, self.outage)
    }

    fn time(&self) -> Timestamp {
        self.refused_at
    }
}

impl Event for IngestStarted {
    const SOURCE: &'static str = INGEST;

    fn subject(&self) -> Subject {
        Subject::ingest_started(&self.node_name)
    }

    fn id(&self) -> String {
        self.start_id.clone()
    }

    fn time(&self) -> Timestamp {
        self.started_at
    }
}
