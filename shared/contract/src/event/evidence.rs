//! Evidence of completeness: what the source of a series is asked before the series is complete and what it answers,
//! the instances that are fetched from it, and which instances a peer lists.

use super::{Event, INDEXER, INGEST, Reason, is_zero};
use crate::subject::{Subject, Token};
use crate::uid::{SeriesInstanceUid, SopInstanceUid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A series is due by a rule, and its source is asked how many instances it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SourceAsked {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// Study Instance UID (0020,000D), where it is known.
    #[serde(rename = "StudyInstanceUID", default, skip_serializing_if = "Option::is_none")]
    pub study_instance_uid: Option<String>,
    /// The source, by the AE title by which it calls.
    #[serde(rename = "CallingAETitle")]
    pub calling_ae_title: String,
    /// Which question it is among those of the series.
    #[serde(rename = "QuestionID")]
    pub question_id: String,
    /// The watermark at which the series was due, in the broker's time.
    pub asked_at: Timestamp,
    /// Whether the source has to say which they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub names: bool,
}

impl Event for SourceAsked {
    const SOURCE: &'static str = INDEXER;

    fn subject(&self) -> Subject {
        Subject::source_asked(&self.calling_ae_title)
    }

    fn id(&self) -> String {
        format!("{}:{}:asked", self.series_instance_uid, self.question_id)
    }

    fn time(&self) -> Timestamp {
        self.asked_at
    }
}

/// What came of a question: a count, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SourceAnswered {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// The source, by the AE title by which it calls.
    #[serde(rename = "CallingAETitle")]
    pub calling_ae_title: String,
    /// Which question is answered.
    #[serde(rename = "QuestionID")]
    pub question_id: String,
    /// How many instances of the series the source has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Which they are, where the source was asked for each and they are at most [`SourceAnswered::MAX_INSTANCES`].
    #[serde(rename = "SOPInstanceUIDs", default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<SopInstanceUid>,
    /// Why there is no count, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer: Option<String>,
    /// The receiver that asked.
    pub node_name: String,
    /// When, by that receiver's clock.
    pub answered_at: Timestamp,
}

impl SourceAnswered {
    /// Instances that an answer names at most: with more it has their count alone.
    pub const MAX_INSTANCES: usize = 2000;
}

impl Event for SourceAnswered {
    const SOURCE: &'static str = INGEST;

    fn subject(&self) -> Subject {
        Subject::source_answered(&self.calling_ae_title)
    }

    fn id(&self) -> String {
        format!("{}:{}:answered", self.series_instance_uid, self.question_id)
    }

    fn time(&self) -> Timestamp {
        self.answered_at
    }
}

/// The source of a series has instances that are not here: they are fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstancesWanted {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// Study Instance UID (0020,000D), where it is known.
    #[serde(rename = "StudyInstanceUID", default, skip_serializing_if = "Option::is_none")]
    pub study_instance_uid: Option<String>,
    /// The source, by the AE title by which it calls.
    #[serde(rename = "CallingAETitle")]
    pub calling_ae_title: String,
    /// Which request it is among the questions of the series.
    #[serde(rename = "QuestionID")]
    pub question_id: String,
    /// SOP Instance UIDs (0008,0018).
    #[serde(rename = "SOPInstanceUIDs")]
    pub instances: Vec<String>,
    /// The watermark at which it was decided, in the broker's time.
    pub asked_at: Timestamp,
}

impl Event for InstancesWanted {
    const SOURCE: &'static str = INDEXER;

    fn subject(&self) -> Subject {
        Subject::instances_wanted(&self.calling_ae_title)
    }

    fn id(&self) -> String {
        format!("{}:{}:wanted", self.series_instance_uid, self.question_id)
    }

    fn time(&self) -> Timestamp {
        self.asked_at
    }
}

/// What came of fetching instances. Those that came are events of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstancesFetched {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// The source, by the AE title by which it calls.
    #[serde(rename = "CallingAETitle")]
    pub calling_ae_title: String,
    /// Which request it was.
    #[serde(rename = "QuestionID")]
    pub question_id: String,
    /// How many instances were asked for.
    pub wanted: u64,
    /// Why not all of them came, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The receiver that asked.
    pub node_name: String,
    /// When, by that receiver's clock.
    pub fetched_at: Timestamp,
}

impl Event for InstancesFetched {
    const SOURCE: &'static str = INGEST;

    fn subject(&self) -> Subject {
        Subject::instances_fetched(&self.calling_ae_title)
    }

    fn id(&self) -> String {
        format!("{}:{}:fetched", self.series_instance_uid, self.question_id)
    }

    fn time(&self) -> Timestamp {
        self.fetched_at
    }
}

/// By which service of DICOM a peer lists instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListKind {
    /// Storage commitment (PS3.4 J): the instances that somebody else is to keep. It names no series.
    Commitment,
    /// Modality Performed Procedure Step (PS3.4 F.7): the instances that were made, by series.
    Mpps,
    /// Instance Availability Notification (PS3.4 R): the instances that can be retrieved, by series.
    Ian,
}

impl ListKind {
    /// The word for it in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commitment => "commitment",
            Self::Mpps => "mpps",
            Self::Ian => "ian",
        }
    }

    /// The rule by which a series is complete once all listed instances are there.
    #[must_use]
    pub fn rule(self) -> Reason {
        match self {
            Self::Commitment => Reason::Confirmed,
            Self::Mpps => Reason::Performed,
            Self::Ian => Reason::Available,
        }
    }
}

/// A peer has listed instances: by name, so a list is exact where a count is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstancesListed {
    /// By which service.
    pub kind: ListKind,
    /// Which list it is among those of its peer: Transaction UID (0008,1195) of a commitment, Affected SOP Instance UID
    /// (0000,1000) of the others.
    #[serde(rename = "ListUID")]
    pub list_uid: String,
    /// Whether the procedure step was discontinued (0040,0252): its list is then no evidence.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discontinued: bool,
    /// AE title of the peer.
    #[serde(rename = "CallingAETitle")]
    pub calling_ae_title: String,
    /// The association by which the list came.
    #[serde(rename = "AssociationID")]
    pub association_id: String,
    /// The receiver of that.
    pub node_name: String,
    /// The instances, together at most [`InstancesListed::MAX_INSTANCES`].
    pub instances: Vec<ListedInstances>,
    /// When it came, by the receiver's clock.
    pub listed_at: Timestamp,
}

/// Listed instances of one series, where that is named, and of one SOP class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedInstances {
    /// Series Instance UID (0020,000E); a commitment names none.
    #[serde(rename = "SeriesInstanceUID", default, skip_serializing_if = "Option::is_none")]
    pub series_instance_uid: Option<SeriesInstanceUid>,
    /// Referenced SOP Class UID (0008,1150).
    #[serde(rename = "SOPClassUID")]
    pub sop_class_uid: String,
    /// Referenced SOP Instance UIDs (0008,1155).
    #[serde(rename = "SOPInstanceUIDs")]
    pub sop_instance_uids: Vec<SopInstanceUid>,
}

impl InstancesListed {
    /// Instances of a list at most: with UIDs of 64 characters it is still one message of NATS.
    pub const MAX_INSTANCES: usize = 10_000;

    /// Bytes of the event at most: a nats-server takes 1 MiB unless it is configured otherwise.
    pub const MAX_BYTES: usize = 900_000;

    /// How many instances it has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.instances.iter().map(|of| of.sop_instance_uids.len()).sum()
    }
}

impl Event for InstancesListed {
    const SOURCE: &'static str = INGEST;

    fn subject(&self) -> Subject {
        Subject::instances_listed(&self.calling_ae_title)
    }

    /// The same for each repetition of a list, and for whatever follows the end of a procedure step.
    fn id(&self) -> String {
        let Self { kind, list_uid, calling_ae_title, .. } = self;
        let calling_ae = Token::ae_title(calling_ae_title);
        format!("{}:{list_uid}:{}:listed", calling_ae.as_str(), kind.as_str())
    }

    fn time(&self) -> Timestamp {
        self.listed_at
    }
}

/// What was known of a series when it was complete, whatever rule decided it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Evidence {
    /// Of which kind.
    pub kind: EvidenceKind,
    /// AE title of who gave it, where that is one.
    #[serde(rename = "CallingAETitle", default, skip_serializing_if = "Option::is_none")]
    pub calling_ae_title: Option<String>,
    /// Which list it is.
    #[serde(rename = "ListUID", default, skip_serializing_if = "Option::is_none")]
    pub list_uid: Option<String>,
    /// How many instances it names or counts of the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances_count: Option<u64>,
    /// How many of those that a list names are not here. A commitment names no series, so they may be of another one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing_count: u64,
    /// Whether the procedure step was discontinued.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discontinued: bool,
}

impl Evidence {
    /// Of a kind, with nothing else to be said of it.
    #[must_use]
    pub fn of(kind: EvidenceKind) -> Self {
        Self {
            kind,
            calling_ae_title: None,
            list_uid: None,
            instances_count: None,
            missing_count: 0,
            discontinued: false,
        }
    }
}

/// A kind of evidence that a series is complete, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    /// A storage commitment lists instances of it.
    Commitment,
    /// A performed procedure step does.
    Mpps,
    /// An availability notification does.
    Ian,
    /// The sender announced how many instances it has, and is trusted with it.
    Expected,
    /// Its source was asked how many instances it has.
    Counted,
    /// All associations that brought it were released, and nothing of them is missing.
    Released,
}

impl From<ListKind> for EvidenceKind {
    fn from(kind: ListKind) -> Self {
        match kind {
            ListKind::Commitment => Self::Commitment,
            ListKind::Mpps => Self::Mpps,
            ListKind::Ian => Self::Ian,
        }
    }
}
