//! What is decided of series.

use super::{Disagreement, Event, Evidence, INDEXER, is_zero};
use crate::subject::Subject;
use crate::uid::SeriesInstanceUid;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Makes [`Reason`] and what is known of each of one list, so that nothing can lack a rule.
macro_rules! reasons {
    ($($variant:ident $word:literal $description:literal,)*) => {
        /// Why a series is complete: the rule that decided it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $(#[doc = $description] #[serde(rename = $word)] $variant,)*
        }

        impl Reason {
            /// All reasons, in the order of the documentation. Which rule has precedence is another matter, and is
            /// written where the rules are.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];

            /// The word for it in events and in the catalogue.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What it means, as a clause: the dashboard shows it.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $description,)*
                }
            }
        }
    };
}

reasons! {
    Released "released" "the sender released its association",
    Quiet "quiet" "nothing came for the quiet period",
    Expected "expected" "the expected number was there",
    Interrupted "interrupted" "its association broke, and nobody went on",
    Overdue "overdue" "it had been open for too long",
    Requested "requested" "an operator asked for it",
    Confirmed "confirmed" "its sender listed its instances for storage commitment, and all are there",
    Performed "performed" "its procedure step listed its instances, and all are there",
    Available "available" "a notification of availability listed its instances, and all are there",
    Stored "stored" "it was stored by the API",
}

impl Reason {
    /// The reasons that are rules: a registered series is complete at once, by no rule.
    pub fn rules() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|reason| *reason != Self::Stored)
    }

    /// Whether it is the rule of a kind of lists, which name instances one by one.
    #[must_use]
    pub fn is_by_list(self) -> bool {
        matches!(self, Self::Confirmed | Self::Performed | Self::Available)
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
    /// How many there were to be, where that is known: as the sender said, if it is trusted with it, or as its source
    /// counts, if it was asked and has more, or as a list names, or since the receivers acknowledged more than there are,
    /// which INSTANCES has lost. Less than that many may be there: see `Reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_count: Option<u64>,
    /// SOP Instance UIDs (0008,0018) of those that its source has or a peer has listed and that are not there: 100 at
    /// most. A storage commitment names no series, so its may be of another one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_instances: Vec<String>,
    /// Of the instances, how many were fetched from its source since the last revision, as it had them and had not sent
    /// them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fetched: u64,
    /// What was known when it was decided, whatever rule decided it: the strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Of the instances, how many this revision added.
    pub instances_added: u64,
    /// Of these, how many came again with other attributes since the last revision.
    pub instances_corrected: u64,
    /// Study Instance UID (0020,000D).
    #[serde(rename = "StudyInstanceUID")]
    pub study_instance_uid: String,
    /// Patient ID (0010,0020).
    #[serde(rename = "PatientID")]
    pub patient_id: String,
    /// Issuer of Patient ID (0010,0021): who gave out the ID, which is unique with it only.
    #[serde(rename = "IssuerOfPatientID", default, skip_serializing_if = "Option::is_none")]
    pub issuer_of_patient_id: Option<String>,
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
    /// Where the pixels can be fetched by DICOMweb: at the service that is configured for the sender, or else at this API
    /// (WADO-RS), if instances of the series are kept and `PUBLIC_URL` says where clients reach it.
    #[serde(rename = "RetrieveURL", default, skip_serializing_if = "Option::is_none")]
    pub retrieve_url: Option<String>,
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
    /// What its instances disagree on: some are of another patient or study than this event says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagrees: Vec<Disagreement>,
    /// Whether instances of it are missing from the catalogue, which was rebuilt from a record that begins
    /// in the middle of the series.
    #[serde(default, skip_serializing_if = "is_false")]
    pub partial: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl SeriesCompleted {
    /// The studies that it is of: one, or none, and where its instances disagree those that they name.
    pub fn studies(&self) -> impl Iterator<Item = &str> {
        let named = self.study_instance_uid.as_str();
        let others = Disagreement::studies(&self.disagrees).filter(move |study| *study != named);
        std::iter::once(named).chain(others).filter(|study| !study.is_empty())
    }
}

impl Event for SeriesCompleted {
    const SOURCE: &'static str = INDEXER;

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

/// Why a series is no longer in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeletionReason {
    /// An operator asked for it.
    Requested,
    /// It was complete for longer than the catalogue keeps series.
    Expired,
}

impl DeletionReason {
    /// The word for it in events and in the catalogue.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Expired => "expired",
        }
    }
}

/// The series is no longer in the catalogue. Should it come again, its revisions go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SeriesDeleted {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// Its last revision; 0 when it had never been complete.
    pub revision: u32,
    /// Why it was deleted.
    pub reason: DeletionReason,
    /// Instances that went with it; what was claimed, of one that was told by `POST /store`.
    pub instances_count: u64,
    /// Study Instance UID (0020,000D).
    #[serde(rename = "StudyInstanceUID")]
    pub study_instance_uid: String,
    /// Modality (0008,0060).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality: Option<String>,
    /// When, in the broker's time.
    pub deleted_at: Timestamp,
    /// Sequence of the INSTANCES stream up to which it was decided: what comes after is not deleted.
    pub instances_sequence: u64,
    /// The studies that its instances named, where it was not one. No patient is named here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagrees: Vec<Disagreement>,
}

impl Event for SeriesDeleted {
    const SOURCE: &'static str = INDEXER;

    fn subject(&self) -> Subject {
        let modality = self.modality.as_deref().unwrap_or_default();
        Subject::series_deleted(modality, &self.series_instance_uid)
    }

    /// It ends in no digit, so no completion of another series has it, whatever that is called.
    fn id(&self) -> String {
        let Self { series_instance_uid, revision, instances_sequence, .. } = self;
        format!("{series_instance_uid}:{revision}:{instances_sequence}:deleted")
    }

    fn time(&self) -> Timestamp {
        self.deleted_at
    }
}

/// A revision of the series is a folder of the instance store: its files and a manifest, whole and synced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SeriesKept {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// The completion of the series that the folder has.
    pub revision: u32,
    /// Study Instance UID (0020,000D).
    #[serde(rename = "StudyInstanceUID")]
    pub study_instance_uid: String,
    /// Modality (0008,0060).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality: Option<String>,
    /// Instances whose files are in the folder.
    pub instances_kept: u64,
    /// Instances of the revision of which there was no file, since they were received without a store.
    pub instances_without_file: u64,
    /// Length of the files, together.
    pub bytes: u64,
    /// Where the folder is, from the root of the store: names with `/` between them.
    pub place: String,
    /// BLAKE3 hash of `manifest.json` in it, 64 hex digits.
    #[serde(rename = "ManifestBLAKE3")]
    pub manifest_blake3: String,
    /// Where the series can be retrieved from this API (WADO-RS), if `PUBLIC_URL` says where clients reach it: its latest
    /// instances, which may be of a later revision.
    #[serde(rename = "RetrieveURL", default, skip_serializing_if = "Option::is_none")]
    pub retrieve_url: Option<String>,
    /// When it was there, by the clock of the indexer's machine.
    pub kept_at: Timestamp,
}

impl Event for SeriesKept {
    const SOURCE: &'static str = INDEXER;

    fn subject(&self) -> Subject {
        let modality = self.modality.as_deref().unwrap_or_default();
        Subject::series_kept(modality, &self.series_instance_uid)
    }

    /// It ends in no digit, as that of a deletion.
    fn id(&self) -> String {
        format!("{}:{}:kept", self.series_instance_uid, self.revision)
    }

    fn time(&self) -> Timestamp {
        self.kept_at
    }
}

/// Why the files of a series are no longer in the instance store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PurgeReason {
    /// It was complete for longer than the store keeps files.
    Retention,
    /// It was the oldest when the files took more than they may.
    Space,
}

impl PurgeReason {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Retention, Self::Space];

    /// The word for it in events and in the catalogue.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Space => "space",
        }
    }
}

/// The files of the series and the folders of its revisions are no longer in the instance store. It stays in the
/// catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SeriesPurged {
    /// Series Instance UID (0020,000E).
    #[serde(rename = "SeriesInstanceUID")]
    pub series_instance_uid: SeriesInstanceUid,
    /// Its last revision.
    pub revision: u32,
    /// Why its files are gone.
    pub reason: PurgeReason,
    /// Study Instance UID (0020,000D).
    #[serde(rename = "StudyInstanceUID")]
    pub study_instance_uid: String,
    /// Modality (0008,0060).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality: Option<String>,
    /// Instances whose files are gone.
    pub instances_purged: u64,
    /// Length of these files, together.
    pub bytes: u64,
    /// When, in the broker's time.
    pub purged_at: Timestamp,
    /// Sequence of the INSTANCES stream up to which it was decided: files of what comes after stay.
    pub instances_sequence: u64,
}

impl Event for SeriesPurged {
    const SOURCE: &'static str = INDEXER;

    fn subject(&self) -> Subject {
        let modality = self.modality.as_deref().unwrap_or_default();
        Subject::series_purged(modality, &self.series_instance_uid)
    }

    /// It ends in no digit, as that of a deletion. A revision is purged once: what is sent again makes the next.
    fn id(&self) -> String {
        format!("{}:{}:purged", self.series_instance_uid, self.revision)
    }

    fn time(&self) -> Timestamp {
        self.purged_at
    }
}
