//! The events of the pipeline: what is said on NATS, as JSON whose keys are DICOM keywords.
//!
//! A golden file per event type in `shared/golden/` is the contract with everyone outside. Readers
//! ignore keys they do not know, so keys may be added; none is renamed or removed.

use crate::subject::Subject;
use crate::uid::{SeriesInstanceUid, SopInstanceUid, StudyInstanceUid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What every event of the pipeline can say of itself.
pub trait Event: Serialize {
    /// The CloudEvents `type`.
    const TYPE: &'static str;
    /// The CloudEvents `source`: the service that says it.
    const SOURCE: &'static str;
    /// Where it is published.
    fn subject(&self) -> Subject;
    /// What makes it the same event when it is published again: `Nats-Msg-Id` and `ce-id`.
    fn id(&self) -> String;
    /// When it happened.
    fn time(&self) -> Timestamp;
}

/// The headers of an event: CloudEvents 1.0 in binary content mode, and the id by which JetStream
/// recognises a second publish of the same event.
#[must_use]
pub fn headers<E: Event>(id: &str, time: Timestamp) -> [(&'static str, String); 7] {
    [
        ("Nats-Msg-Id", id.to_owned()),
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", id.to_owned()),
        ("ce-type", E::TYPE.to_owned()),
        ("ce-source", E::SOURCE.to_owned()),
        ("ce-time", time.to_string()),
        ("ce-datacontenttype", "application/json".to_owned()),
    ]
}

/// Attributes of an instance by DICOM keyword, decoded: text as UTF-8 with its value delimiter
/// `\` and the component groups of a PN as they were, binary numbers as numbers, a sequence as a
/// list of such maps. Attributes that are absent or empty are not in it.
pub type Attributes = BTreeMap<Cow<'static, str>, AttributeValue>;

/// The value of one attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Of a binary VR, or of an IS that is one number.
    Number(i64),
    /// Of any text VR.
    Text(String),
    /// The items of a sequence.
    Items(Vec<Attributes>),
    /// Something that a later version writes.
    Unknown(serde_json::Value),
}

/// An instance was received whole. Whoever sent it got Success only after this event was stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceStored {
    /// SOP Instance UID (0008,0018), the key of the catalogue.
    #[serde(rename = "SOPInstanceUID")]
    pub sop_instance_uid: SopInstanceUid,
    /// SOP Class UID (0008,0016).
    #[serde(rename = "SOPClassUID")]
    pub sop_class_uid: String,
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// Study Instance UID (0020,000D); some real data sets have none.
    #[serde(rename = "StudyInstanceUID", default, skip_serializing_if = "Option::is_none")]
    pub study_instance_uid: Option<StudyInstanceUid>,
    /// What else identifies and describes the instance, by DICOM keyword.
    #[serde(flatten)]
    pub attributes: Attributes,
    /// Transfer Syntax UID of the presentation context it came through.
    #[serde(rename = "TransferSyntaxUID")]
    pub transfer_syntax_uid: String,
    /// Length of the data set in bytes, as it came over the wire.
    pub bytes: u64,
    /// Hex digest of the attributes as decoded: the same instance in another transfer syntax or
    /// character set has the same digest, a corrected one has another.
    pub digest: String,
    /// AE title of the sender.
    #[serde(rename = "CallingAETitle")]
    pub calling_ae_title: String,
    /// AE title that the sender called us by.
    #[serde(rename = "CalledAETitle")]
    pub called_ae_title: String,
    /// IP address of the sender.
    pub peer_address: String,
    /// The association it came through: a UUID of our own.
    #[serde(rename = "AssociationID")]
    pub association_id: String,
    /// Number of its C-STORE in that association, from 1: our own count, since senders may use
    /// one Message ID twice.
    pub ordinal: u64,
    /// When its last byte arrived, by the clock of the machine that received it.
    pub received_at: Timestamp,
}

impl InstanceStored {
    /// The text of an attribute, empty when it is absent or no text.
    #[must_use]
    pub fn text(&self, keyword: &str) -> &str {
        match self.attributes.get(keyword) {
            Some(AttributeValue::Text(text)) => text,
            _ => "",
        }
    }
}

impl Event for InstanceStored {
    const TYPE: &'static str = "dicom.instance.stored";
    const SOURCE: &'static str = "/collimator/ingest";

    fn subject(&self) -> Subject {
        Subject::instance_stored(self.text("Modality"), &self.series_instance_uid)
    }

    fn id(&self) -> String {
        format!("{}:{}", self.association_id, self.ordinal)
    }

    fn time(&self) -> Timestamp {
        self.received_at
    }
}

/// Why a series is complete. The design's table has more rules than these; each brings its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// No activity for the quiet period.
    Quiet,
    /// Somebody said so by `POST /store`.
    Stored,
}

impl Reason {
    /// The word for it in events and in the catalogue.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Stored => "stored",
        }
    }
}

/// How a series came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Its instances were received.
    Dicom,
    /// By `POST /store`.
    Api,
}

impl Source {
    /// The word for it in events and in the catalogue.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dicom => "dicom",
            Self::Api => "api",
        }
    }
}

/// The series is complete, or complete again with a higher `Revision`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SeriesCompleted {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// 1 for the first completion of the series, one more for each that follows.
    pub revision: u32,
    /// Why it is complete.
    pub reason: Reason,
    /// How it came to be known.
    pub source: Source,
    /// Instances of the series, each counted once; what was claimed, for `Source` `api`.
    pub instances_count: u64,
    /// Of these, how many this revision added.
    pub instances_added: u64,
    /// Of these, how many came again with other attributes since the last revision.
    pub instances_corrected: u64,
    /// Study Instance UID (0020,000D).
    #[serde(rename = "StudyInstanceUID")]
    pub study_instance_uid: String,
    /// Patient ID (0010,0020).
    #[serde(rename = "PatientID")]
    pub patient_id: String,
    /// Patient's Name (0010,0010).
    pub patient_name: String,
    /// Modality (0008,0060).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality: Option<String>,
    /// Series Number (0020,0011).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series_number: Option<String>,
    /// Series Description (0008,103E).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series_description: Option<String>,
    /// Study Date (0008,0020).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study_date: Option<String>,
    /// Study Description (0008,1030).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study_description: Option<String>,
    /// Accession Number (0008,0050).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accession_number: Option<String>,
    /// AE title of the sender of the latest instance: where the pixels can be fetched.
    #[serde(rename = "CallingAETitle", default, skip_serializing_if = "Option::is_none")]
    pub calling_ae_title: Option<String>,
    /// When the first instance arrived, by the receiver's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_received_at: Option<Timestamp>,
    /// When the latest instance arrived, by the receiver's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_received_at: Option<Timestamp>,
    /// When it was decided: the watermark, in the broker's time.
    pub completed_at: Timestamp,
    /// Sequence of the INSTANCES stream up to which it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances_sequence: Option<u64>,
}

impl Event for SeriesCompleted {
    const TYPE: &'static str = "dicom.series.completed";
    const SOURCE: &'static str = "/collimator/indexer";

    fn subject(&self) -> Subject {
        let modality = self.modality.as_deref().unwrap_or_default();
        Subject::series_completed(modality, &self.series_instance_uid)
    }

    fn id(&self) -> String {
        format!("{}:{}", self.series_instance_uid, self.revision)
    }

    fn time(&self) -> Timestamp {
        self.completed_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use std::fmt::Debug;

    /// What we write is what the file says, and what the file says is read back whole.
    fn agrees_with<E: Event + DeserializeOwned + PartialEq + Debug>(event: &E, golden: &str) {
        let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
        let headers: BTreeMap<_, _> = headers::<E>(&event.id(), event.time()).into();
        let written = serde_json::json!({
            "subject": event.subject().to_string(),
            "headers": headers,
            "payload": event,
        });
        assert_eq!(written, golden, "{written:#}");
        assert_eq!(&E::deserialize(&golden["payload"]).unwrap(), event);
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn text(value: &str) -> AttributeValue {
        AttributeValue::Text(value.into())
    }

    fn stored() -> InstanceStored {
        let request = Attributes::from([("RequestedProcedureID".into(), text("RP-9"))]);
        InstanceStored {
            sop_instance_uid: SopInstanceUid::parse("2.25.3").unwrap(),
            sop_class_uid: "1.2.840.10008.5.1.4.1.1.4".into(),
            series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
            study_instance_uid: Some(StudyInstanceUid::parse("2.25.1").unwrap()),
            attributes: Attributes::from([
                ("PatientID".into(), text("42")),
                ("PatientName".into(), text("Yamada^Tarou=山田^太郎")),
                ("Modality".into(), text("MR")),
                ("Rows".into(), AttributeValue::Number(320)),
                ("RequestAttributesSequence".into(), AttributeValue::Items(vec![request])),
            ]),
            transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
            bytes: 524_288,
            digest: "9f86d081884c7d659a2feaa0c55ad015".into(),
            calling_ae_title: "MR1".into(),
            called_ae_title: "COLLIMATOR".into(),
            peer_address: "192.0.2.7".into(),
            association_id: "4f5c1e9c-7f57-4f0e-a44e-2f2b40d5a3ce".into(),
            ordinal: 17,
            received_at: at("2026-02-03T04:05:06.000789Z"),
        }
    }

    #[test]
    fn a_stored_instance_reads_as_its_golden_file() {
        agrees_with(&stored(), include_str!("../golden/instance_stored.json"));
    }

    #[test]
    fn a_completed_series_reads_as_its_golden_file() {
        let event = SeriesCompleted {
            series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
            revision: 2,
            reason: Reason::Quiet,
            source: Source::Dicom,
            instances_count: 17,
            instances_added: 1,
            instances_corrected: 0,
            study_instance_uid: "2.25.1".into(),
            patient_id: "42".into(),
            patient_name: "Yamada^Tarou=山田^太郎".into(),
            modality: Some("MR".into()),
            series_number: Some("3".into()),
            series_description: Some("t1_tse_sag".into()),
            study_date: Some("20260203".into()),
            study_description: None,
            accession_number: Some("A-1".into()),
            calling_ae_title: Some("MR1".into()),
            first_received_at: Some(at("2026-02-03T04:05:00Z")),
            last_received_at: Some(at("2026-02-03T04:05:06.000789Z")),
            completed_at: at("2026-02-03T04:05:16.5Z"),
            instances_sequence: Some(1234),
        };
        agrees_with(&event, include_str!("../golden/series_completed.json"));
    }

    #[test]
    fn keys_of_a_later_version_are_ignored() {
        let mut later = serde_json::to_value(stored()).unwrap();
        later["FromTheFuture"] = serde_json::json!({"deep": [1, 2.5, null]});
        let read = InstanceStored::deserialize(&later).unwrap();
        assert_eq!(read.digest, stored().digest);
        assert_eq!(read.subject(), stored().subject());
    }

    #[test]
    fn an_event_that_names_no_series_can_not_be_read() {
        for (key, value) in [
            ("SeriesInstanceUID", serde_json::json!("")),
            ("SOPInstanceUID", serde_json::json!(17)),
            ("ReceivedAt", serde_json::json!("yesterday")),
        ] {
            let mut broken = serde_json::to_value(stored()).unwrap();
            broken[key] = value;
            assert!(InstanceStored::deserialize(&broken).is_err(), "{key}");
        }
    }
}
