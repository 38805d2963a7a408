//! What is decided of studies.

use super::{Disagreement, Event, INDEXER, Reason};
use crate::subject::Subject;
use crate::uid::SeriesInstanceUid;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The study is complete, or complete again with a higher `Revision`: none of its series is
/// receiving, and none was complete for the study quiet period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StudyCompleted {
    /// Study Instance UID (0020,000D).
    #[serde(rename = "StudyInstanceUID")]
    pub study_instance_uid: String,
    /// 1 for the first completion of the study, one more for each that follows.
    pub revision: u32,
    /// Why it is complete: `quiet`.
    pub reason: Reason,
    /// Patient ID (0010,0020).
    #[serde(rename = "PatientID")]
    pub patient_id: String,
    /// Issuer of Patient ID (0010,0021): who gave out the ID, which is unique with it only.
    #[serde(rename = "IssuerOfPatientID", default, skip_serializing_if = "Option::is_none")]
    pub issuer_of_patient_id: Option<String>,
    /// Patient's Name (0010,0010).
    pub patient_name: String,
    /// Study Date (0008,0020).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study_date: Option<String>,
    /// Study Description (0008,1030).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study_description: Option<String>,
    /// Accession Number (0008,0050).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accession_number: Option<String>,
    /// Modalities in Study (0008,0061), each once: the first 100 of them.
    pub modalities_in_study: Vec<String>,
    /// Number of Study Related Series (0020,1206).
    pub number_of_study_related_series: u64,
    /// Number of Study Related Instances (0020,1208).
    pub number_of_study_related_instances: u64,
    /// Its series in the order in which they were first complete: the first 1,000 of them.
    pub series: Vec<SeriesOfStudy>,
    /// When it was decided: the watermark, in the broker's time.
    pub completed_at: Timestamp,
    /// Sequence of the INSTANCES stream up to which it was decided.
    pub instances_sequence: u64,
    /// What the instances of its series disagree on: some are of another patient than this event says, or
    /// of a series that has instances of another study.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagrees: Vec<Disagreement>,
}

/// A series of a complete study, as it was last complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SeriesOfStudy {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// Of its last completion.
    pub revision: u32,
    /// Its instances then.
    pub instances_count: u64,
    /// Modality (0008,0060).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality: Option<String>,
}

impl Event for StudyCompleted {
    const SOURCE: &'static str = INDEXER;

    fn subject(&self) -> Subject {
        Subject::study_completed(&self.study_instance_uid)
    }

    /// It ends in no digit, as that of a series does: some senders give a study and a series one UID.
    fn id(&self) -> String {
        format!("{}:{}:study", self.study_instance_uid, self.revision)
    }

    fn time(&self) -> Timestamp {
        self.completed_at
    }
}
