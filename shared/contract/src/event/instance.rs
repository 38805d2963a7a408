//! What is said of instances.

use super::{AttributeValue, Attributes, Event, INGEST, Remarks};
use crate::subject::Subject;
use crate::uid::{SeriesInstanceUid, SopInstanceUid, StudyInstanceUid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An instance was received whole. Whoever sent it got Success only after this event was stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    #[serde(rename = "StudyInstanceUID", skip_serializing_if = "Option::is_none")]
    pub study_instance_uid: Option<StudyInstanceUid>,
    /// What else identifies and describes the instance, by DICOM keyword.
    #[serde(flatten)]
    pub attributes: Attributes,
    /// Where attributes are not as they were sent.
    #[serde(flatten)]
    pub remarks: Remarks,
    /// Transfer Syntax UID of the presentation context it came through.
    #[serde(rename = "TransferSyntaxUID")]
    pub transfer_syntax_uid: String,
    /// Length of the data set in bytes, as it came over the wire.
    pub bytes: u64,
    /// Hex digest of the attributes as decoded: the same instance in another transfer syntax or
    /// character set has the same digest, a corrected one has another. It has a part for each of its versions; see
    /// [`crate::digest`].
    pub digest: String,
    /// Where the instance is kept; absent where its receiver keeps none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<StoredObject>,
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
    /// The receiver: its `NODE_NAME`. Events of older versions have none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// Number of its C-STORE in that association, from 1: our own count, since senders may use
    /// one Message ID twice.
    pub ordinal: u64,
    /// The same among those C-STOREs of its series in that association that were answered with
    /// Success. Events of older versions have 0.
    pub series_ordinal: u64,
    /// When its last byte arrived, by the clock of the machine that received it.
    pub received_at: Timestamp,
}

/// An instance as the instance store has it: a DICOM file (PS3.10 section 7) that was on disk before its event was
/// published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StoredObject {
    /// Where it is, from the root of the store: names with `/` between them.
    pub key: String,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// BLAKE3 hash of the file, 64 hex digits. The same data set in the same transfer syntax has the same, whoever
    /// sent it and whenever.
    #[serde(rename = "BLAKE3")]
    pub blake3: String,
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
    const SOURCE: &'static str = INGEST;

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

/// An instance takes more than a second to arrive, and more of it has arrived: said once a second,
/// so that its series stays open meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceReceiving {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// Modality (0008,0060); empty when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub modality: String,
    /// Bytes of its data set that have arrived.
    pub bytes: u64,
    /// AE title of the sender.
    #[serde(rename = "CallingAETitle")]
    pub calling_ae_title: String,
    /// The association it comes through.
    #[serde(rename = "AssociationID")]
    pub association_id: String,
    /// The receiver: its `NODE_NAME`.
    pub node_name: String,
    /// Number of its C-STORE in the association, from 1.
    pub ordinal: u64,
    /// When this was so, by the clock of the machine that receives it.
    pub at: Timestamp,
}

impl Event for InstanceReceiving {
    const SOURCE: &'static str = INGEST;

    fn subject(&self) -> Subject {
        Subject::instance_receiving(&self.modality, &self.series_instance_uid)
    }

    fn id(&self) -> String {
        format!("{}:{}:{}", self.association_id, self.ordinal, self.bytes)
    }

    fn time(&self) -> Timestamp {
        self.at
    }
}
