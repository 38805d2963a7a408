//! What the announcement of a deleted series says, of the row that a database has of it, and how many are deleted for
//! their age at once.

use crate::encoding::{revision, series_uid};
use crate::error::CatalogError;
use crate::identities;
use completion::Deletion;
use contract::event::{DeletionReason, Disagreement, SeriesDeleted};
use jiff::Timestamp;

/// Series that are deleted in one transaction at most, for their age, and instances after which no
/// more series are: the indexer waits meanwhile.
pub(crate) const EXPIRED_AT_ONCE: i64 = 100;

const INSTANCES_AT_ONCE: i64 = 2_000;

/// The deletions of series that have expired, of which the instances are counted: as many as are made at once.
pub(crate) fn expiring(
    expired: Vec<(String, i64)>,
    now: Timestamp,
) -> Result<Vec<Deletion>, CatalogError> {
    let mut instances = 0;
    let mut deletions = Vec::with_capacity(expired.len());
    for (series, count) in expired {
        let series = series_uid(&series)?;
        let (reason, decided_at) = (DeletionReason::Expired, now);
        deletions.push(Deletion { series, reason, decided_at });
        instances += count;
        if instances >= INSTANCES_AT_ONCE {
            break;
        }
    }
    Ok(deletions)
}

/// What there is of a series that is to be deleted.
#[derive(sqlx::FromRow)]
pub(crate) struct DeletedSeries {
    study_instance_uid: String,
    modality: Option<String>,
    revision: i64,
    instances_count: i64,
    last_sequence: i64,
    identities: Option<String>,
}

impl DeletedSeries {
    pub(crate) fn into_event(self, deletion: &Deletion) -> Result<SeriesDeleted, CatalogError> {
        let mut disagrees = identities::disagreements(self.identities.as_deref())?;
        // A deletion names no patient.
        disagrees.retain(Disagreement::is_of_studies);
        Ok(SeriesDeleted {
            series_instance_uid: deletion.series.clone(),
            revision: revision(self.revision)?,
            reason: deletion.reason,
            instances_count: self.instances_count.unsigned_abs(),
            study_instance_uid: self.study_instance_uid,
            modality: self.modality,
            deleted_at: deletion.decided_at,
            instances_sequence: self.last_sequence.unsigned_abs(),
            disagrees,
        })
    }
}
