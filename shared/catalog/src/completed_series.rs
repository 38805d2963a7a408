//! What the announcement of a completed series says, of the rows that a database has of it.

use crate::encoding::{optional_timestamp, revision, timestamp, word};
use crate::error::CatalogError;
use crate::identities;
use contract::dicomweb::DicomwebUrls;
use contract::event::{Evidence, SeriesCompleted, Source};
use contract::uid::SeriesInstanceUid;

/// What a revision brought, and what is said with it that the series' row does not tell.
#[derive(Default)]
pub(crate) struct Changes<'a> {
    pub(crate) added: u64,
    pub(crate) corrected: u64,
    pub(crate) expected: Option<u64>,
    pub(crate) absent: Vec<String>,
    pub(crate) fetched: u64,
    pub(crate) evidence: &'a [Evidence],
    pub(crate) retrieve_from: Option<&'a str>,
    pub(crate) hold_disagreeing: bool,
}

/// What the announcement of a series says of it, as the catalogue has it.
#[derive(sqlx::FromRow)]
pub(crate) struct CompletedSeries {
    revision: i64,
    reason: String,
    source: String,
    instances_count: i64,
    study_instance_uid: String,
    patient_id: String,
    issuer_of_patient_id: String,
    patient_name: String,
    modality: Option<String>,
    series_number: Option<String>,
    series_description: Option<String>,
    study_date: Option<String>,
    study_description: Option<String>,
    accession_number: Option<String>,
    calling_ae_title: Option<String>,
    first_received_at: Option<i64>,
    last_received_at: Option<i64>,
    completed_at: i64,
    completed_sequence: i64,
    partial: bool,
    identities: Option<String>,
}

impl CompletedSeries {
    pub(crate) fn into_event(
        self,
        series: &SeriesInstanceUid,
        changes: Changes<'_>,
    ) -> Result<SeriesCompleted, CatalogError> {
        let study = Some(&self.study_instance_uid).filter(|study| !study.is_empty());
        let retrieve_url = changes.retrieve_from.zip(study).map(|(service, study)| {
            DicomwebUrls::of_service(service).series(study, series.as_str())
        });
        Ok(SeriesCompleted {
            series_instance_uid: series.clone(),
            revision: revision(self.revision)?,
            reason: word(&self.reason)?,
            source: word(&self.source)?,
            instances_count: self.instances_count.unsigned_abs(),
            expected_count: changes.expected,
            missing_instances: changes.absent,
            fetched: changes.fetched,
            evidence: changes.evidence.to_vec(),
            instances_added: changes.added,
            instances_corrected: changes.corrected,
            study_instance_uid: self.study_instance_uid,
            patient_id: self.patient_id,
            issuer_of_patient_id: Some(self.issuer_of_patient_id).filter(|it| !it.is_empty()),
            patient_name: self.patient_name,
            modality: self.modality,
            series_number: self.series_number,
            series_description: self.series_description,
            study_date: self.study_date,
            study_description: self.study_description,
            accession_number: self.accession_number,
            calling_ae_title: self.calling_ae_title,
            retrieve_url,
            first_received_at: optional_timestamp(self.first_received_at)?,
            last_received_at: optional_timestamp(self.last_received_at)?,
            completed_at: timestamp(self.completed_at)?,
            instances_sequence: match self.completed_sequence {
                0 => None,
                sequence => Some(sequence.unsigned_abs()),
            },
            disagrees: identities::disagreements(self.identities.as_deref())?,
            partial: self.partial,
        })
    }
}

/// What the catalogue has of a series that a fact of the record names.
#[derive(sqlx::FromRow)]
pub(crate) struct Before {
    state: String,
    counted: i64,
    partial: bool,
}

/// Whether the rows of a series lead up to a fact that follows its revision `last`.
pub(crate) fn is_whole(before: Option<&Before>, fact: &SeriesCompleted, last: u32) -> bool {
    let agrees = match before {
        None => fact.source == Source::Api,
        Some(before) => {
            // What contradicted it is not on the record.
            let is_corrected = fact.expected_count > Some(fact.instances_count);
            (before.state == "receiving" || is_corrected)
                && !before.partial
                && fact.instances_count == before.counted.unsigned_abs()
        }
    };
    agrees && fact.revision == last + 1
}
