//! Series whose files leave the instance store while the series stays in the catalogue.

use crate::encoding::{revision, series_uid};
use crate::error::CatalogError;
use contract::event::{PurgeReason, SeriesPurged};
use jiff::Timestamp;

/// Series that are purged in one transaction at most, and instances after which no more series are: the indexer waits
/// meanwhile.
pub(crate) const PURGED_AT_ONCE: i64 = 100;
pub(crate) const INSTANCES_AT_ONCE: u64 = 2_000;

/// Which series are purged, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToPurge {
    /// Those that were last complete before a time.
    CompletedBefore(Timestamp),
    /// As many as have so many bytes together.
    Bytes(u64),
}

impl ToPurge {
    /// Why they are.
    pub(crate) fn reason(self) -> PurgeReason {
        match self {
            Self::CompletedBefore(_) => PurgeReason::Retention,
            Self::Bytes(_) => PurgeReason::Space,
        }
    }
}

/// What there is of a series that is to be purged.
#[derive(sqlx::FromRow)]
pub(crate) struct PurgedSeries {
    pub(crate) series_instance_uid: String,
    study_instance_uid: String,
    modality: Option<String>,
    revision: i64,
    last_sequence: i64,
}

impl PurgedSeries {
    pub(crate) fn into_event(
        self,
        reason: PurgeReason,
        (instances, bytes): (u64, u64),
        purged_at: Timestamp,
    ) -> Result<SeriesPurged, CatalogError> {
        Ok(SeriesPurged {
            series_instance_uid: series_uid(&self.series_instance_uid)?,
            revision: revision(self.revision)?,
            reason,
            study_instance_uid: self.study_instance_uid,
            modality: self.modality,
            instances_purged: instances,
            bytes,
            purged_at,
            instances_sequence: self.last_sequence.unsigned_abs(),
        })
    }
}
