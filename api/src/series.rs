//! `GET /series`: the complete series.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;
use shared::catalog::SeriesRecord;

/// A complete series
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Series {
    // The first five are the seed's, in its order: clients may rely on both.
    /// Series Instance UID (0020,000E)
    #[serde(rename = "SeriesInstanceUID")]
    #[oai(rename = "SeriesInstanceUID")]
    pub series_instance_uid: String,
    /// Patient ID (0010,0020); empty when the sender gave none
    #[serde(rename = "PatientID")]
    #[oai(rename = "PatientID")]
    pub patient_id: String,
    /// Patient's Name (0010,0010), its components parted by `^`; empty when the sender gave none
    pub patient_name: String,
    /// Study Instance UID (0020,000D); empty when the sender gave none
    #[serde(rename = "StudyInstanceUID")]
    #[oai(rename = "StudyInstanceUID")]
    pub study_instance_uid: String,
    /// Instances of the series when it was last complete, each counted once
    pub instances_count: i64,
    /// Modality (0008,0060)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality: Option<String>,
    /// Series Number (0020,0011)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series_number: Option<String>,
    /// Series Description (0008,103E)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series_description: Option<String>,
    /// Study Date (0008,0020), YYYYMMDD
    #[serde(skip_serializing_if = "Option::is_none")]
    pub study_date: Option<String>,
    /// `dicom` when its instances were received, `api` when it was told by `POST /store`
    pub source: String,
    /// `complete`, or `receiving` when more instances came after it was last complete
    pub state: String,
    /// 1 for the first completion, one more for each that followed
    pub revision: i64,
    /// The rule that decided that it is complete: `released`, `quiet`, `expected`, `interrupted`,
    /// `overdue`, `requested`, or `stored` by `POST /store`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was last complete, RFC 3339 in UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
}

impl From<SeriesRecord> for Series {
    fn from(record: SeriesRecord) -> Self {
        let completed_at = record.completed_at().map(|time| time.to_string());
        Self {
            series_instance_uid: record.series_instance_uid,
            patient_id: record.patient_id,
            patient_name: record.patient_name,
            study_instance_uid: record.study_instance_uid,
            instances_count: record.instances_count,
            modality: record.modality,
            series_number: record.series_number,
            series_description: record.series_description,
            study_date: record.study_date,
            source: record.source,
            state: record.state,
            revision: record.revision,
            reason: record.reason,
            completed_at,
        }
    }
}

impl Example for Series {
    fn example() -> Self {
        Self {
            series_instance_uid: "2.25.265891057852514317505363974980016867097".into(),
            patient_id: "1".into(),
            patient_name: "Roe^Jane".into(),
            study_instance_uid: "2.25.195279363403791191586079347607892107643".into(),
            instances_count: 17,
            modality: Some("MR".into()),
            series_number: Some("3".into()),
            series_description: Some("t1_tse_sag".into()),
            study_date: Some("20260203".into()),
            source: "dicom".into(),
            state: "complete".into(),
            revision: 1,
            reason: Some("quiet".into()),
            completed_at: Some("2026-02-03T04:05:16.500000000Z".into()),
        }
    }
}
