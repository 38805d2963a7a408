//! `GET /studies`: a study as the API returns it, made of its series.

use crate::http::example_values::{PATIENT_ID, PATIENT_NAME, STUDY_UID};
use crate::http::paged_list::List;
use crate::series::disagreement::Disagreement;
use catalog::{CatalogError, CatalogReader, Page, Position, StudyRecord, StudySearch};
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

/// A study
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Study {
    /// Study Instance UID (0020,000D)
    #[serde(rename = "StudyInstanceUID")]
    #[oai(rename = "StudyInstanceUID")]
    pub study_instance_uid: String,
    /// Patient ID (0010,0020); empty when the sender gave none
    #[serde(rename = "PatientID")]
    #[oai(rename = "PatientID")]
    pub patient_id: String,
    /// Patient's Name (0010,0010); empty when the sender gave none
    pub patient_name: String,
    /// Patient's Birth Date (0010,0030), YYYYMMDD
    #[serde(skip_serializing_if = "String::is_empty")]
    #[oai(default)]
    pub patient_birth_date: String,
    /// Patient's Sex (0010,0040)
    #[serde(skip_serializing_if = "String::is_empty")]
    #[oai(default)]
    pub patient_sex: String,
    /// Study Date (0008,0020), YYYYMMDD
    #[serde(skip_serializing_if = "Option::is_none")]
    pub study_date: Option<String>,
    /// Study Time (0008,0030)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub study_time: Option<String>,
    /// Accession Number (0008,0050)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accession_number: Option<String>,
    /// Referring Physician's Name (0008,0090)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referring_physician_name: Option<String>,
    /// Study ID (0020,0010)
    #[serde(rename = "StudyID", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "StudyID")]
    pub study_id: Option<String>,
    /// Study Description (0008,1030)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub study_description: Option<String>,
    /// Modalities in Study (0008,0061), each once
    pub modalities_in_study: Vec<String>,
    /// `complete`, or `receiving` while one of its series is, and until none was complete for the
    /// study quiet period
    pub state: String,
    /// How many series it has
    pub series_count: i64,
    /// How many of them are receiving
    pub series_receiving: i64,
    /// Instances of its series, as each was last complete
    pub instances_count: i64,
    /// When the latest of its series was complete, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// 1 for the first completion of the study itself, one more for each that followed; 0 before
    pub revision: i64,
    /// When the study itself was last complete, as it was announced by `dicom.study.completed`, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub study_completed_at: Option<String>,
    /// What the instances of its series disagree on: then some are of another patient than is told here, or of
    /// a series that has instances of another study too
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disagrees: Option<Vec<Disagreement>>,
}

impl From<StudyRecord> for Study {
    fn from(record: StudyRecord) -> Self {
        let completed_at = record.completed_at().map(|at| at.to_string());
        let study_completed_at = record.study_completed_at().map(|at| at.to_string());
        let disagrees = Disagreement::listed(record.disagreements());
        let state = if record.is_complete() { "complete" } else { "receiving" };
        Self {
            study_instance_uid: record.study_instance_uid,
            patient_id: record.patient_id,
            patient_name: record.patient_name,
            patient_birth_date: record.patient_birth_date,
            patient_sex: record.patient_sex,
            study_date: record.study_date,
            study_time: record.study_time,
            accession_number: record.accession_number,
            referring_physician_name: record.referring_physician_name,
            study_id: record.study_id,
            study_description: record.study_description,
            modalities_in_study: record.modalities,
            state: state.to_owned(),
            series_count: record.series_count,
            series_receiving: record.series_receiving,
            instances_count: record.instances_count,
            completed_at,
            revision: record.revision,
            study_completed_at,
            disagrees,
        }
    }
}

/// The studies that a search finds.
#[derive(Debug)]
pub struct StudyList {
    /// The catalogue.
    pub catalog: CatalogReader,
    /// What is searched for.
    pub search: StudySearch,
}

impl List for StudyList {
    type Record = StudyRecord;

    async fn page(
        &self,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<StudyRecord>, CatalogError> {
        self.catalog.studies(&self.search, after, limit).await
    }

    fn write(&self, record: StudyRecord, into: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(into, &Study::from(record))
    }
}

impl Example for Study {
    fn example() -> Self {
        Self {
            study_instance_uid: STUDY_UID.into(),
            patient_id: PATIENT_ID.into(),
            patient_name: PATIENT_NAME.into(),
            patient_birth_date: "19800101".into(),
            patient_sex: "F".into(),
            study_date: Some("20260203".into()),
            study_time: Some("040500".into()),
            accession_number: Some("A-1001".into()),
            referring_physician_name: Some("Doe^John".into()),
            study_id: Some("S1".into()),
            study_description: Some("Knee left".into()),
            modalities_in_study: vec!["MR".into(), "SR".into()],
            state: "complete".into(),
            series_count: 2,
            series_receiving: 0,
            instances_count: 18,
            completed_at: Some("2026-02-03T04:05:16.5Z".into()),
            revision: 1,
            study_completed_at: Some("2026-02-03T04:06:16.5Z".into()),
            disagrees: None,
        }
    }
}
