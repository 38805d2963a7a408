//! Counted evidence: what the source of a series is asked before the series is complete, and what it answers; and the
//! instances that are fetched from it.

use super::{Event, INDEXER, INGEST};
use crate::subject::Subject;
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
