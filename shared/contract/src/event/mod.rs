//! The events of the pipeline: what is said on NATS, as JSON whose keys are DICOM keywords.
//!
//! A golden file per event type in `shared/contract/golden/` is the contract with everyone outside. Readers
//! ignore keys they do not know, so keys may be added; none is renamed or removed.

mod association;
mod attributes;
mod clock;
mod decoding;
mod disagreement;
mod evidence;
mod instance;
mod remarks;
mod request;
mod series;
mod study;
#[cfg(test)]
mod tests;

pub use association::{
    AssociationClosed, AssociationIdentity, AssociationOpened, AssociationRejected, Ending,
    IngestResumed, IngestStarted, RefusalShare, SeriesShare,
};
pub use attributes::{AttributeValue, Attributes};
pub use clock::ClockTicked;
pub use disagreement::{DisagreeingValue, Disagreement, Identity};
pub use evidence::{
    Evidence, EvidenceKind, InstancesFetched, InstancesListed, InstancesWanted, ListKind,
    ListedInstances, SourceAnswered, SourceAsked,
};
pub use instance::{InstanceReceiving, InstanceStored, StoredObject};
pub use remarks::{Remarks, Texts};
pub use request::{
    CompletionRequested, DeletionRequested, GoneRequested, RegistrationRequested, ReleaseRequested,
    TrustRequested,
};
pub use series::{
    DeletionReason, PurgeReason, Reason, SeriesCompleted, SeriesDeleted, SeriesKept, SeriesPurged,
    Source,
};
pub use study::{SeriesOfStudy, StudyCompleted};

use crate::subject::Subject;
use jiff::Timestamp;
use serde::Serialize;

/// CloudEvents `source` of what the receiver says.
pub const INGEST: &str = "/collimator/ingest";
/// CloudEvents `source` of what the indexer says.
pub const INDEXER: &str = "/collimator/indexer";
/// CloudEvents `source` of what the API says.
pub const API: &str = "/collimator/api";

/// Whether a count is left out of JSON.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
pub fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What every event of the pipeline can say of itself.
pub trait Event: Serialize {
    /// The CloudEvents `source`: the service that says it.
    const SOURCE: &'static str;
    /// Where it is published. Its kind is the CloudEvents `type`.
    fn subject(&self) -> Subject;
    /// What makes it the same event when it is published again: `Nats-Msg-Id` and `ce-id`.
    fn id(&self) -> String;
    /// When it happened.
    fn time(&self) -> Timestamp;
}

/// The headers of an event: CloudEvents 1.0 in binary content mode, and the id by which JetStream
/// recognises a second publish of the same event.
#[must_use]
pub fn headers(
    subject: &Subject,
    source: &str,
    id: &str,
    time: Timestamp,
) -> [(&'static str, String); 7] {
    [
        ("Nats-Msg-Id", id.to_owned()),
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", id.to_owned()),
        ("ce-type", subject.kind().to_owned()),
        ("ce-source", source.to_owned()),
        ("ce-time", time.to_string()),
        ("ce-datacontenttype", "application/json".to_owned()),
    ]
}
