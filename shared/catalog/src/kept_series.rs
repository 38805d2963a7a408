//! Revisions of series that are to be folders of the instance store.

use crate::encoding::{revision, series_uid, timestamp, word};
use crate::error::CatalogError;
use contract::event::{Reason, StoredObject};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

/// A revision that waits to be kept: its place in the list, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WaitingRevision {
    /// The series.
    pub series_instance_uid: SeriesInstanceUid,
    /// The completion of the series.
    pub revision: u32,
    /// When it was complete: nanoseconds since 1970, UTC.
    pub(crate) completed_at: i64,
}

impl WaitingRevision {
    /// Reads a row.
    pub(crate) fn of(
        (series, number, completed_at): (String, i64, i64),
    ) -> Result<Self, CatalogError> {
        let (series_instance_uid, revision) = (series_uid(&series)?, revision(number)?);
        Ok(Self { series_instance_uid, revision, completed_at })
    }
}

/// The same with what it has, as it was when it was complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesToKeep {
    /// Study Instance UID, empty where there is none.
    pub study_instance_uid: String,
    /// Modality (0008,0060).
    pub modality: Option<String>,
    /// The rule that decided it.
    pub reason: Reason,
    /// When it was decided.
    pub completed_at: Timestamp,
    /// Instances of it of which there is no file.
    pub instances_without_file: u64,
    /// The SOP Instance UID of each of the others, and its file.
    pub objects: Vec<(String, StoredObject)>,
}

/// A revision that waits to be kept, as its row has it.
#[derive(sqlx::FromRow)]
pub(crate) struct ToKeepRow {
    study_instance_uid: String,
    modality: Option<String>,
    reason: String,
    completed_at: i64,
    instances_without_file: i64,
    objects: String,
}

impl TryFrom<ToKeepRow> for SeriesToKeep {
    type Error = CatalogError;

    fn try_from(row: ToKeepRow) -> Result<Self, CatalogError> {
        let objects: Vec<(String, String, u64, String)> = serde_json::from_str(&row.objects)
            .map_err(|error| {
                CatalogError::Unreadable(format!("the files of a revision to keep: {error}"))
            })?;
        let object = |(uid, key, bytes, blake3)| (uid, StoredObject { key, bytes, blake3 });
        Ok(Self {
            study_instance_uid: row.study_instance_uid,
            modality: row.modality,
            reason: word(&row.reason)?,
            completed_at: timestamp(row.completed_at)?,
            instances_without_file: row.instances_without_file.unsigned_abs(),
            objects: objects.into_iter().map(object).collect(),
        })
    }
}
