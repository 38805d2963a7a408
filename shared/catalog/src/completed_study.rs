//! What the announcement of a completed study says, of the rows that a database has of it.

use crate::encoding::{revision, series_uid};
use crate::error::CatalogError;
use crate::identities;
use completion::StudyCompletion;
use contract::bounded::bounded;
use contract::event::{Reason, SeriesOfStudy, StudyCompleted};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Why a study is held back.
pub(crate) const HAS_HELD_SERIES: &str =
    "a series of it is held back, since its instances disagree";

/// Series that one completion of a study names at most: with whatever its texts are, it has less than
/// half of the 1 MiB that a message may have.
const SERIES_TOLD: usize = 1000;

/// Modalities that it names at most: more than the standard defines.
const MODALITIES_TOLD: usize = 100;

/// Characters of a modality, and of another text. Events of older versions had no bounds.
const MODALITY_LENGTH: usize = 16;

const TEXT_LENGTH: usize = 1024;

/// How it is with a study that it is time for.
pub(crate) enum State {
    /// No series of it was complete since it was, or it is not there.
    NoNews,
    /// One of its series is receiving.
    Receiving,
    /// None is.
    Complete,
}

impl State {
    pub(crate) fn of(is_open: bool, is_receiving: bool) -> Self {
        match (is_open, is_receiving) {
            (false, _) => Self::NoNews,
            (true, true) => Self::Receiving,
            (true, false) => Self::Complete,
        }
    }
}

/// What the announcement of a study says of it, as the catalogue has it.
#[derive(sqlx::FromRow)]
pub(crate) struct StudyRow {
    patient_id: String,
    issuer_of_patient_id: String,
    patient_name: String,
    study_date: Option<String>,
    study_description: Option<String>,
    accession_number: Option<String>,
    revision: i64,
    last_sequence: i64,
    identities: Option<String>,
}

/// The same of one of its series.
#[derive(sqlx::FromRow)]
pub(crate) struct SeriesRow {
    series_instance_uid: String,
    revision: i64,
    instances_count: i64,
    modality: Option<String>,
    held: bool,
}

impl StudyRow {
    /// The completion, and whether one of the series is held back; `None` where no series is left that could be told.
    pub(crate) fn completed(
        self,
        series: Vec<SeriesRow>,
        completion: &StudyCompletion,
    ) -> Result<Option<(StudyCompleted, bool)>, CatalogError> {
        if series.is_empty() {
            return Ok(None);
        }
        let modality = |row: &SeriesRow| {
            row.modality.as_deref().map(|it| bounded(it, MODALITY_LENGTH).into_owned())
        };
        let modalities: BTreeSet<_> = series.iter().filter_map(modality).collect();
        let text = |text: String| match bounded(&text, TEXT_LENGTH) {
            Cow::Borrowed(_) => text,
            Cow::Owned(cut) => cut,
        };
        let of_study = |row: &SeriesRow| {
            Ok::<_, CatalogError>(SeriesOfStudy {
                series_instance_uid: series_uid(&row.series_instance_uid)?,
                revision: revision(row.revision)?,
                instances_count: row.instances_count.unsigned_abs(),
                modality: modality(row),
            })
        };
        let event = StudyCompleted {
            study_instance_uid: completion.study.as_str().to_owned(),
            revision: revision(self.revision)?,
            reason: Reason::Quiet,
            patient_id: text(self.patient_id),
            issuer_of_patient_id: Some(text(self.issuer_of_patient_id)).filter(|it| !it.is_empty()),
            patient_name: text(self.patient_name),
            study_date: self.study_date.map(text),
            study_description: self.study_description.map(text),
            accession_number: self.accession_number.map(text),
            modalities_in_study: modalities.into_iter().take(MODALITIES_TOLD).collect(),
            number_of_study_related_series: series.len() as u64,
            number_of_study_related_instances: series
                .iter()
                .map(|series| series.instances_count.unsigned_abs())
                .sum(),
            series: series.iter().take(SERIES_TOLD).map(of_study).collect::<Result<_, _>>()?,
            completed_at: completion.decided_at,
            instances_sequence: self.last_sequence.unsigned_abs(),
            disagrees: identities::disagreements(self.identities.as_deref())?,
        };
        let is_held = series.iter().any(|series| series.held);
        Ok(Some((event, is_held)))
    }
}
