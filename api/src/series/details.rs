//! `GET /series/{SeriesInstanceUID}`: all that is known of a series.

use crate::http::example_values::{PATIENT_ID, PATIENT_NAME, SERIES_UID, STUDY_UID};
use crate::series::disagreement::Disagreement;
use catalog::{CatalogError, Details};
use contract::event::{self, Identity};
use jiff::Timestamp;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Declares the record: what every series has, and what only some have.
macro_rules! details {
    (
        always { $($(#[doc = $doc:literal])* $field:ident: $type:ty => $key:literal,)* }
        sometimes { $($(#[doc = $known_doc:literal])* $known:ident: $known_type:ty => $known_key:literal,)* }
    ) => {
        /// All that is known of a series
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
        #[oai(example)]
        pub struct SeriesDetails {
            $($(#[doc = $doc])* #[serde(rename = $key)] #[oai(rename = $key)] pub $field: $type,)*
            $(
                $(#[doc = $known_doc])*
                #[serde(rename = $known_key, default, skip_serializing_if = "Option::is_none")]
                #[oai(rename = $known_key)]
                pub $known: Option<$known_type>,
            )*
        }
    };
}

/// What was asked of the modality for a series
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct RequestAttributes {
    /// Requested Procedure ID (0040,1001)
    #[serde(rename = "RequestedProcedureID", default, skip_serializing_if = "Option::is_none")]
    #[oai(rename = "RequestedProcedureID")]
    pub requested_procedure_id: Option<String>,
    /// Scheduled Procedure Step ID (0040,0009)
    #[serde(rename = "ScheduledProcedureStepID", default, skip_serializing_if = "Option::is_none")]
    #[oai(rename = "ScheduledProcedureStepID")]
    pub scheduled_procedure_step_id: Option<String>,
}

details! {
    always {
        /// Series Instance UID (0020,000E)
        series_instance_uid: String => "SeriesInstanceUID",
        /// Patient ID (0010,0020); empty when the sender gave none
        patient_id: String => "PatientID",
        /// Patient's Name (0010,0010); empty when the sender gave none
        patient_name: String => "PatientName",
        /// Study Instance UID (0020,000D); empty when the sender gave none
        study_instance_uid: String => "StudyInstanceUID",
        /// Instances when it was last complete, each counted once; 0 before
        instances_count: i64 => "InstancesCount",
        /// `dicom` when its instances were received, `api` when it was told by `POST /store`
        source: String => "Source",
        /// `complete`, or `receiving` when it is not complete yet, or more instances came after it was
        state: String => "State",
        /// 1 for the first completion, one more for each that followed; 0 before the first
        revision: i64 => "Revision",
        /// Instances by now, each counted once
        instances_received: i64 => "InstancesReceived",
        /// Whether its instances disagree on their patient or study; the latest is told
        disagrees: bool => "Disagrees",
        /// Whether it was rebuilt from a record that begins in its middle, so that instances of it
        /// are counted and not listed
        partial: bool => "Partial",
    }
    sometimes {
        /// Issuer of Patient ID (0010,0021)
        issuer_of_patient_id: String => "IssuerOfPatientID",
        /// Patient's Birth Date (0010,0030), YYYYMMDD
        patient_birth_date: String => "PatientBirthDate",
        /// Patient's Sex (0010,0040)
        patient_sex: String => "PatientSex",
        /// Study Date (0008,0020), YYYYMMDD
        study_date: String => "StudyDate",
        /// Study Time (0008,0030)
        study_time: String => "StudyTime",
        /// Accession Number (0008,0050)
        accession_number: String => "AccessionNumber",
        /// Referring Physician's Name (0008,0090)
        referring_physician_name: String => "ReferringPhysicianName",
        /// Study ID (0020,0010)
        study_id: String => "StudyID",
        /// Study Description (0008,1030)
        study_description: String => "StudyDescription",
        /// Modality (0008,0060)
        modality: String => "Modality",
        /// Series Number (0020,0011)
        series_number: String => "SeriesNumber",
        /// Series Description (0008,103E)
        series_description: String => "SeriesDescription",
        /// Series Date (0008,0021), YYYYMMDD
        series_date: String => "SeriesDate",
        /// Series Time (0008,0031)
        series_time: String => "SeriesTime",
        /// Body Part Examined (0018,0015)
        body_part_examined: String => "BodyPartExamined",
        /// Protocol Name (0018,1030)
        protocol_name: String => "ProtocolName",
        /// Manufacturer (0008,0070)
        manufacturer: String => "Manufacturer",
        /// Manufacturer's Model Name (0008,1090)
        manufacturer_model_name: String => "ManufacturerModelName",
        /// Station Name (0008,1010)
        station_name: String => "StationName",
        /// Institution Name (0008,0080)
        institution_name: String => "InstitutionName",
        /// Timezone Offset From UTC (0008,0201)
        timezone_offset_from_utc: String => "TimezoneOffsetFromUTC",
        /// Specific Character Set (0008,0005) of the sender; what is told here is UTF-8
        specific_character_set: String => "SpecificCharacterSet",
        /// Performed Procedure Step Start Date (0040,0244), YYYYMMDD
        performed_procedure_step_start_date: String => "PerformedProcedureStepStartDate",
        /// Performed Procedure Step Start Time (0040,0245)
        performed_procedure_step_start_time: String => "PerformedProcedureStepStartTime",
        /// Request Attributes Sequence (0040,0275)
        request_attributes: Vec<RequestAttributes> => "RequestAttributesSequence",
        /// Images in Acquisition (0020,1002): a hint by the sender
        images_in_acquisition: i64 => "ImagesInAcquisition",
        /// AE title of the sender of the latest instance
        calling_ae_title: String => "CallingAETitle",
        /// The rule that decided that it is complete: {rules ..3},
        /// {rules 3..}, or `stored` by `POST /store`
        reason: String => "Reason",
        /// How many instances there were to be, if that was known
        expected_count: i64 => "ExpectedCount",
        /// How many instances `POST /store` said that it has
        claimed_count: i64 => "ClaimedCount",
        /// When its first instance was received, UTC
        first_received_at: String => "FirstReceivedAt",
        /// When its latest instance was received, UTC
        last_received_at: String => "LastReceivedAt",
        /// When anything of it was last stored in the stream, UTC
        last_activity_at: String => "LastActivityAt",
        /// When it was first complete, UTC
        first_completed_at: String => "FirstCompletedAt",
        /// When it was last complete, UTC
        completed_at: String => "CompletedAt",
        /// Sequence of the stream INSTANCES up to which that was decided
        instances_sequence: i64 => "InstancesSequence",
        /// What its instances disagree on: what lists and events tell as `Disagrees`
        disagreements: Vec<Disagreement> => "Disagreements",
        /// Whether its last completion was not announced but is a dead letter, since they disagree
        held: bool => "Held",
    }
}

fn unreadable(error: serde_json::Error) -> CatalogError {
    CatalogError::Unreadable(format!("details of a series: {error}"))
}

/// What the catalogue has as nanoseconds.
const TIMES: [&str; 5] =
    ["FirstReceivedAt", "LastReceivedAt", "LastActivityAt", "FirstCompletedAt", "CompletedAt"];

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
        let details: Self = serde_json::from_value(Value::Object(details)).map_err(unreadable)?;
        Ok(Self { disagreements, ..details })
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
            issuer_of_patient_id: None,
            patient_birth_date: known("19800101"),
            patient_sex: known("F"),
            study_date: known("20260203"),
            study_time: known("040500"),
            accession_number: known("A-1001"),
            referring_physician_name: known("Doe^John"),
            study_id: known("S1"),
            study_description: known("Knee left"),
            modality: known("MR"),
            series_number: known("3"),
            series_description: known("t1_tse_sag"),
            series_date: known("20260203"),
            series_time: known("040501"),
            body_part_examined: known("KNEE"),
            protocol_name: known("t1_tse_sag"),
            manufacturer: known("ACME"),
            manufacturer_model_name: known("Magnet 3000"),
            station_name: known("MR1"),
            institution_name: known("St. Elsewhere"),
            timezone_offset_from_utc: None,
            specific_character_set: known("ISO_IR 100"),
            performed_procedure_step_start_date: known("20260203"),
            performed_procedure_step_start_time: known("040500"),
            request_attributes: Some(vec![RequestAttributes {
                requested_procedure_id: known("RP-1"),
                scheduled_procedure_step_id: known("SPS-1"),
            }]),
            images_in_acquisition: Some(17),
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
        }
    }
}
