//! `GET /series/{SeriesInstanceUID}/history`: the completions and deletions of a series.

use crate::series::kept::Kept;
use catalog::RevisionRecord;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

/// One completion of a series, or its deletion
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Revision {
    /// 1 for the first completion, one more for each that followed; of a deletion, the last one
    /// before it, or 0
    pub revision: i64,
    /// The rule that decided a completion: {rules ..4},
    /// {rules 4..}, or `stored`; why it was deleted: `requested` or `expired`
    pub reason: String,
    /// Instances of the series then, each counted once; those that went with a deletion
    pub instances_count: i64,
    /// Of these, how many this revision added
    pub instances_added: i64,
    /// Of these, how many came again with other attributes
    pub instances_corrected: i64,
    /// The expected number of instances, if it was known
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_count: Option<i64>,
    /// AE title of the sender of the latest instance
    #[serde(rename = "CallingAETitle", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "CallingAETitle")]
    pub calling_ae_title: Option<String>,
    /// When it was complete, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// When it was deleted instead, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<String>,
    /// Sequence of the stream INSTANCES up to which it was decided
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances_sequence: Option<i64>,
    /// Its folder in the instance store
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

impl From<RevisionRecord> for Revision {
    fn from(record: RevisionRecord) -> Self {
        let at = record.decided_at().map(|at| at.to_string());
        let kept = record.kept_at().zip(record.kept_place.clone());
        let kept = kept.map(|(at, place)| {
            let (revision, at) = (record.revision, at.to_string());
            Kept { revision, at, place }
        });
        let (completed_at, deleted_at) = match record.is_deletion {
            false => (at, None),
            true => (None, at),
        };
        Self {
            revision: record.revision,
            completed_at,
            deleted_at,
            reason: record.reason,
            instances_count: record.instances_count,
            instances_added: record.instances_added,
            instances_corrected: record.instances_corrected,
            expected_count: record.expected_count,
            calling_ae_title: record.calling_ae_title,
            instances_sequence: Some(record.decided_sequence).filter(|sequence| *sequence > 0),
            kept,
        }
    }
}

impl Example for Revision {
    fn example() -> Self {
        Self {
            revision: 2,
            reason: "released".into(),
            instances_count: 18,
            instances_added: 1,
            instances_corrected: 0,
            expected_count: None,
            calling_ae_title: Some("MR1".into()),
            completed_at: Some("2026-02-03T05:05:16.5Z".into()),
            deleted_at: None,
            instances_sequence: Some(1234),
            kept: None,
        }
    }
}
