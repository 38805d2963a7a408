//! `GET /series/{SeriesInstanceUID}`: all that is known of a series.

use crate::http::example_values::{PATIENT_ID, PATIENT_NAME, SERIES_UID, STUDY_UID};
use crate::openapi::attributes::{Attributes, Body};
use crate::series::disagreement::Disagreement;
use crate::series::kept::Kept;
use catalog::{CatalogError, Details};
use contract::attributes::{Attribute, Column, Table, columns, keyword};
use contract::event::{self, Identity};
use jiff::Timestamp;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// The attributes of a series, its study and its patient that the catalogue keeps, but for those that every series has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesAttributes;

impl Body for SeriesAttributes {
    fn attributes() -> &'static [&'static Attribute] {
        static ALL: LazyLock<Vec<&Attribute>> = LazyLock::new(|| {
            let mut all: Vec<&Attribute> = Vec::new();
            for table in [Table::Patients, Table::Studies, Table::Series] {
                for Column { attribute, .. } in columns(table) {
                    let has_field = [keyword::PatientID, keyword::PatientName].contains(&attribute);
                    if !has_field && !all.contains(&attribute) {
                        all.push(attribute);
                    }
                }
            }
            all
        });
        &ALL
    }
}

/// All that is known of a series
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct SeriesDetails {
    /// Series Instance UID (0020,000E)
    #[serde(rename = "SeriesInstanceUID")]
    #[oai(rename = "SeriesInstanceUID")]
    pub series_instance_uid: String,
    /// Patient ID (0010,0020); empty when the sender gave none
    #[serde(rename = "PatientID")]
    #[oai(rename = "PatientID")]
    pub patient_id: String,
    /// Patient's Name (0010,0010); empty when the sender gave none
    pub patient_name: String,
    /// Study Instance UID (0020,000D); empty when the sender gave none
    #[serde(rename = "StudyInstanceUID")]
    #[oai(rename = "StudyInstanceUID")]
    pub study_instance_uid: String,
    /// Instances when it was last complete, each counted once; 0 before
    pub instances_count: i64,
    /// `dicom` when its instances were received, `api` when it was registered by `POST /store`
    pub source: String,
    /// `complete`, or `receiving` when it is not complete yet, or more instances came after it was
    pub state: String,
    /// 1 for the first completion, one more for each that followed; 0 before the first
    pub revision: i64,
    /// Instances by now, each counted once
    pub instances_received: i64,
    /// Whether its instances disagree on their patient or study; the latest is told
    pub disagrees: bool,
    /// Whether it was rebuilt from a record that begins in its middle, so that instances of it
    /// are counted and not listed
    pub partial: bool,
    /// What its latest instance says
    #[serde(flatten, skip_deserializing)]
    #[oai(flatten)]
    pub attributes: Attributes<SeriesAttributes>,
    /// AE title of the sender of the latest instance
    #[serde(rename = "CallingAETitle")]
    #[oai(rename = "CallingAETitle")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calling_ae_title: Option<String>,
    /// The rule that decided that it is complete: {rules ..3},
    /// {rules 3..}, or `stored` by `POST /store`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The expected number of instances, if it was known
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_count: Option<i64>,
    /// The number of instances that `POST /store` claimed
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_count: Option<i64>,
    /// When its first instance was received, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_received_at: Option<String>,
    /// When its latest instance was received, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_received_at: Option<String>,
    /// When anything of it was last stored in the stream, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_activity_at: Option<String>,
    /// When it was first complete, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_completed_at: Option<String>,
    /// When it was last complete, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Sequence of the stream INSTANCES up to which that was decided
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances_sequence: Option<i64>,
    /// What its instances disagree on: `Disagrees` in lists and events
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disagreements: Option<Vec<Disagreement>>,
    /// Whether its last completion was not announced but is a dead letter, since they disagree
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
    /// The folder of its latest revision that has one
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

fn unreadable(error: serde_json::Error) -> CatalogError {
    CatalogError::Unreadable(format!("details of a series: {error}"))
}

/// What the catalogue has as nanoseconds.
const TIMES: [&str; 6] = [
    "FirstReceivedAt",
    "LastReceivedAt",
    "LastActivityAt",
    "FirstCompletedAt",
    "CompletedAt",
    KEPT_AT,
];

/// What it has of the folder: one object in the answer.
const KEPT_REVISION: &str = "KeptRevision";
const KEPT_AT: &str = "KeptAt";
const KEPT_PLACE: &str = "KeptPlace";

/// What the catalogue has as 0 or 1.
const FLAGS: [&str; 2] = ["Disagrees", "Partial"];

impl TryFrom<Details> for SeriesDetails {
    type Error = CatalogError;

    fn try_from(mut details: Details) -> Result<Self, CatalogError> {
        details.retain(|key, value| {
            // Of patients what is absent is empty; of the first five that is the contract.
            !(matches!(key.as_str(), "IssuerOfPatientID" | "PatientBirthDate" | "PatientSex")
                && value == "")
        });
        for key in TIMES {
            let time = details.get(key).and_then(Value::as_i64);
            let time = time.and_then(|time| Timestamp::from_nanosecond(time.into()).ok());
            if let Some(time) = time {
                details.insert(key.to_owned(), time.to_string().into());
            }
        }
        let identities = details.remove("Disagreements").map(serde_json::from_value);
        let identities: Vec<Identity> =
            identities.transpose().map_err(unreadable)?.unwrap_or_default();
        let disagreements = Disagreement::listed(event::Disagreement::among(&identities));
        details.insert("Disagrees".to_owned(), i64::from(disagreements.is_some()).into());
        for key in FLAGS {
            let flag = details.get(key) == Some(&Value::from(1));
            details.insert(key.to_owned(), flag.into());
        }
        if details.remove("Held").is_some() {
            details.insert("Held".to_owned(), true.into());
        }
        let kept = [KEPT_REVISION, KEPT_AT, KEPT_PLACE].map(|key| details.remove(key));
        if let [Some(revision), Some(at), Some(place)] = kept {
            let kept = json!({ "Revision": revision, "At": at, "Place": place });
            details.insert("Kept".to_owned(), kept);
        }
        let attributes = Attributes::take(&mut details);
        let details: Self = serde_json::from_value(Value::Object(details)).map_err(unreadable)?;
        Ok(Self { attributes, disagreements, ..details })
    }
}

impl Example for SeriesDetails {
    fn example() -> Self {
        let known = |value: &str| Some(value.to_owned());
        Self {
            series_instance_uid: SERIES_UID.into(),
            patient_id: PATIENT_ID.into(),
            patient_name: PATIENT_NAME.into(),
            study_instance_uid: STUDY_UID.into(),
            instances_count: 17,
            source: "dicom".into(),
            state: "complete".into(),
            revision: 1,
            instances_received: 17,
            disagrees: false,
            partial: false,
            attributes: Attributes::example(),
            calling_ae_title: known("MR1"),
            reason: known("released"),
            expected_count: None,
            claimed_count: None,
            first_received_at: known("2026-02-03T04:05:06.5Z"),
            last_received_at: known("2026-02-03T04:05:15.1Z"),
            last_activity_at: known("2026-02-03T04:05:15.3Z"),
            first_completed_at: known("2026-02-03T04:05:16.5Z"),
            completed_at: known("2026-02-03T04:05:16.5Z"),
            instances_sequence: Some(1234),
            disagreements: None,
            held: None,
            kept: None,
        }
    }
}
