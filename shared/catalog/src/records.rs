//! What the catalogue says of series, studies, instances and senders.

use crate::encoding::{optional_timestamp, pauses, timestamp};
use crate::error::CatalogError;
use completion::Pauses;
use contract::event::{Disagreement, Identity, Reason, StoredObject};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A series as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SeriesRecord {
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: String,
    /// Patient ID (0010,0020), empty when absent.
    pub patient_id: String,
    /// Patient's Name (0010,0010), empty when absent.
    pub patient_name: String,
    /// Study Instance UID (0020,000D), empty when absent.
    pub study_instance_uid: String,
    /// Instances at the last completion.
    pub instances_count: i64,
    /// Modality (0008,0060).
    pub modality: Option<String>,
    /// Series Number (0020,0011).
    pub series_number: Option<String>,
    /// Series Description (0008,103E).
    pub series_description: Option<String>,
    /// Study Date (0008,0020).
    pub study_date: Option<String>,
    /// `dicom` or `api`.
    pub source: String,
    /// `complete`, or `receiving` when it is not complete yet, or more came after it was.
    pub state: String,
    /// Instances by now, while it is receiving.
    pub instances_received: Option<i64>,
    /// Of the last completion; 0 before the first.
    pub revision: i64,
    /// Of the last completion.
    pub reason: Option<String>,
    /// Of the last completion: nanoseconds since 1970, UTC.
    completed_at: Option<i64>,
    /// What its instances say of whose they are, if not the same.
    identities: Option<Vec<Identity>>,
    /// AE title of the sender of its latest instance.
    pub calling_ae_title: Option<String>,
}

impl SeriesRecord {
    /// What its instances disagree on.
    #[must_use]
    pub fn disagreements(&self) -> Vec<Disagreement> {
        self.identities.as_deref().map(Disagreement::among).unwrap_or_default()
    }

    /// When it was last complete.
    #[must_use]
    pub fn completed_at(&self) -> Option<Timestamp> {
        optional_timestamp(self.completed_at).ok().flatten()
    }
}

/// A study as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StudyRecord {
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: String,
    /// Patient ID (0010,0020), empty when absent.
    pub patient_id: String,
    /// Patient's Name (0010,0010), empty when absent.
    pub patient_name: String,
    /// Patient's Birth Date (0010,0030), empty when absent.
    pub patient_birth_date: String,
    /// Patient's Sex (0010,0040), empty when absent.
    pub patient_sex: String,
    /// Study Date (0008,0020).
    pub study_date: Option<String>,
    /// Study Time (0008,0030).
    pub study_time: Option<String>,
    /// Accession Number (0008,0050).
    pub accession_number: Option<String>,
    /// Referring Physician's Name (0008,0090).
    pub referring_physician_name: Option<String>,
    /// Study ID (0020,0010).
    pub study_id: Option<String>,
    /// Study Description (0008,1030).
    pub study_description: Option<String>,
    /// The modalities of its series, in order, each once.
    pub modalities: Vec<String>,
    /// How many series it has.
    pub series_count: i64,
    /// How many of them are receiving.
    pub series_receiving: i64,
    /// Instances of those that were complete, as they were then.
    pub instances_count: i64,
    /// When the latest of its series was complete: nanoseconds since 1970, UTC.
    completed_at: Option<i64>,
    /// Of the last completion of the study itself; 0 before the first.
    pub revision: i64,
    /// When that was: nanoseconds since 1970, UTC.
    study_completed_at: Option<i64>,
    /// 1 if a series was complete since then.
    is_open: i64,
    /// What its instances say of whose they are, if not the same.
    identities: Option<Vec<Identity>>,
}

impl StudyRecord {
    /// What its instances disagree on.
    #[must_use]
    pub fn disagreements(&self) -> Vec<Disagreement> {
        self.identities.as_deref().map(Disagreement::among).unwrap_or_default()
    }

    /// Whether it is complete: none of its series is receiving, and its quiet period is over.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.series_receiving == 0 && self.is_open == 0
    }

    /// When the study itself was last complete.
    #[must_use]
    pub fn study_completed_at(&self) -> Option<Timestamp> {
        optional_timestamp(self.study_completed_at).ok().flatten()
    }

    /// When the latest of its series was complete.
    #[must_use]
    pub fn completed_at(&self) -> Option<Timestamp> {
        optional_timestamp(self.completed_at).ok().flatten()
    }
}

/// All that is known of one thing, by DICOM keyword and the names of events; what is absent is not
/// in it. Times are nanoseconds since 1970, UTC.
pub type Details = Map<String, Value>;

/// An instance as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InstanceRecord {
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: String,
    /// SOP Class UID (0008,0016).
    pub sop_class_uid: String,
    /// Transfer Syntax UID of the presentation context it came through.
    pub transfer_syntax_uid: String,
    /// The values of the columns that keep its attributes, in the order of [`contract::attributes::columns`];
    /// null where one is absent.
    pub attributes: Vec<Value>,
    /// Length of the data set in bytes, as it came over the wire.
    pub bytes: i64,
    /// The association it came through.
    pub association_id: String,
    /// By the clock of the receiver: nanoseconds since 1970, UTC.
    received_at: i64,
}

impl InstanceRecord {
    /// When its last byte arrived.
    #[must_use]
    pub fn received_at(&self) -> Option<Timestamp> {
        timestamp(self.received_at).ok()
    }
}

/// An instance as it is retrieved: what it is, and its object in the instance store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StoredInstance {
    /// By which the list is sorted: when it came, or its Instance Number (0020,0013), the greatest number where that is
    /// none.
    pub(crate) place: i64,
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: String,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: String,
    /// SOP Class UID (0008,0016).
    pub sop_class_uid: String,
    /// The transfer syntax in which it was received and is kept.
    pub transfer_syntax_uid: String,
    key: Option<String>,
    bytes: Option<u64>,
    blake3: Option<String>,
}

impl StoredInstance {
    /// Its object: nothing of one that is catalogued and not kept.
    #[must_use]
    pub fn object(&self) -> Option<StoredObject> {
        let (key, blake3) = (self.key.clone()?, self.blake3.clone()?);
        Some(StoredObject { key, bytes: self.bytes?, blake3 })
    }
}

/// One completion of a series, or its deletion, as its history tells it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct RevisionRecord {
    /// 1 for the first completion; of a deletion the last one before it, or 0.
    pub revision: i64,
    /// The rule that decided a completion; why a series was deleted.
    pub reason: String,
    /// Instances of the series then: those that went with a deletion.
    pub instances_count: i64,
    /// Of these, how many this revision added.
    pub instances_added: i64,
    /// Of these, how many came again with other attributes.
    pub instances_corrected: i64,
    /// How many there were to be, if that was known.
    pub expected_count: Option<i64>,
    /// AE title of the sender of the latest instance.
    pub calling_ae_title: Option<String>,
    /// Whether it was deleted then.
    pub is_deletion: bool,
    /// Nanoseconds since 1970, UTC.
    decided_at: i64,
    /// Sequence of INSTANCES up to which it was decided; 0 if that is not known.
    pub decided_sequence: i64,
    /// Nanoseconds since 1970, UTC.
    kept_at: Option<i64>,
    /// Where its folder is, from the root of the instance store.
    pub kept_place: Option<String>,
}

impl RevisionRecord {
    /// When it was complete, or deleted.
    #[must_use]
    pub fn decided_at(&self) -> Option<Timestamp> {
        timestamp(self.decided_at).ok()
    }

    /// When its folder was there.
    #[must_use]
    pub fn kept_at(&self) -> Option<Timestamp> {
        optional_timestamp(self.kept_at).ok().flatten()
    }
}

/// A sender as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderRecord {
    /// Its AE title, as it calls itself.
    pub calling_ae_title: String,
    /// Broker's time of its latest instance.
    pub last_seen_at: Timestamp,
    /// When and by which series it was shown that its releases prove nothing.
    pub released_disproved: Option<(Timestamp, String)>,
    /// The same of its expected counts.
    pub expected_disproved: Option<(Timestamp, String)>,
    /// The same of storage commitments of its instances.
    pub confirmed_disproved: Option<(Timestamp, String)>,
    /// The same of the performed procedure steps of its instances.
    pub performed_disproved: Option<(Timestamp, String)>,
    /// The same of the availability notifications of its instances.
    pub available_disproved: Option<(Timestamp, String)>,
    /// The pauses inside its series, as far as they were learnt.
    pub pauses: Option<Pauses>,
}

/// A sender as its row has it: its title, when it was seen, and of each kind of evidence when and by which series it was
/// disproved.
#[derive(sqlx::FromRow)]
pub(crate) struct SenderRow {
    calling_ae_title: String,
    last_seen_at: i64,
    released_disproved_at: Option<i64>,
    released_disproved_by: Option<String>,
    expected_disproved_at: Option<i64>,
    expected_disproved_by: Option<String>,
    confirmed_disproved_at: Option<i64>,
    confirmed_disproved_by: Option<String>,
    performed_disproved_at: Option<i64>,
    performed_disproved_by: Option<String>,
    available_disproved_at: Option<i64>,
    available_disproved_by: Option<String>,
    pauses: Option<String>,
}

impl SenderRecord {
    /// Reads a row.
    pub(crate) fn of(row: SenderRow) -> Result<Self, CatalogError> {
        let disproved =
            |at, by: Option<String>| Ok::<_, CatalogError>(optional_timestamp(at)?.zip(by));
        Ok(Self {
            last_seen_at: timestamp(row.last_seen_at)?,
            released_disproved: disproved(row.released_disproved_at, row.released_disproved_by)?,
            expected_disproved: disproved(row.expected_disproved_at, row.expected_disproved_by)?,
            confirmed_disproved: disproved(row.confirmed_disproved_at, row.confirmed_disproved_by)?,
            performed_disproved: disproved(row.performed_disproved_at, row.performed_disproved_by)?,
            available_disproved: disproved(row.available_disproved_at, row.available_disproved_by)?,
            pauses: row.pauses.as_deref().map(pauses).transpose()?,
            calling_ae_title: row.calling_ae_title,
        })
    }
}

/// Which evidence of which sender is not believed: its AE title and the rule.
pub(crate) fn disproved(senders: Vec<SenderRecord>) -> Vec<(String, Reason)> {
    let rules = senders.into_iter().flat_map(|sender| {
        let rules = [
            (sender.released_disproved, Reason::Released),
            (sender.expected_disproved, Reason::Expected),
            (sender.confirmed_disproved, Reason::Confirmed),
            (sender.performed_disproved, Reason::Performed),
            (sender.available_disproved, Reason::Available),
        ];
        let name = sender.calling_ae_title;
        let wrong = rules.into_iter().filter(|(disproved, _)| disproved.is_some());
        wrong.map(move |(_, rule)| (name.clone(), rule))
    });
    rules.collect()
}

/// What the catalogue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Patients, each as a sender identified it.
    pub patients: u64,
    /// Studies.
    pub studies: u64,
    /// Series that were ever complete.
    pub complete: u64,
    /// Series to which instances are coming.
    pub receiving: u64,
    /// Instances of all series as they were last complete.
    pub instances: u64,
    /// Series by modality, as they were last complete; `` for those without.
    pub by_modality: BTreeMap<String, u64>,
    /// Series by the rule of their last completion.
    pub by_reason: BTreeMap<String, u64>,
    /// Announcements that wait for the broker.
    pub unannounced: u64,
    /// The latest completion.
    pub completed_at: Option<Timestamp>,
}

/// What is counted on its own.
#[derive(sqlx::FromRow)]
pub(crate) struct StatisticsCounts {
    patients: i64,
    studies: i64,
    unannounced: i64,
    receiving: i64,
}

/// Series of one modality that are complete by one rule.
#[derive(sqlx::FromRow)]
pub(crate) struct StatisticsGroup {
    modality: Option<String>,
    reason: Option<String>,
    series: i64,
    instances: i64,
    completed_at: Option<i64>,
}

impl Statistics {
    /// Adds up the groups.
    pub(crate) fn of(
        counts: &StatisticsCounts,
        groups: Vec<StatisticsGroup>,
    ) -> Result<Self, CatalogError> {
        let mut statistics = Self {
            patients: counts.patients.unsigned_abs(),
            studies: counts.studies.unsigned_abs(),
            complete: 0,
            receiving: counts.receiving.unsigned_abs(),
            instances: 0,
            by_modality: BTreeMap::new(),
            by_reason: BTreeMap::new(),
            unannounced: counts.unannounced.unsigned_abs(),
            completed_at: None,
        };
        for StatisticsGroup { modality, reason, series, instances, completed_at } in groups {
            let series = series.unsigned_abs();
            statistics.complete += series;
            statistics.instances += instances.unsigned_abs();
            *statistics.by_modality.entry(modality.unwrap_or_default()).or_default() += series;
            *statistics.by_reason.entry(reason.unwrap_or_default()).or_default() += series;
            statistics.completed_at =
                statistics.completed_at.max(optional_timestamp(completed_at)?);
        }
        Ok(statistics)
    }
}
