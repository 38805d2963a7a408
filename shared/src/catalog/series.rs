//! Series as they are listed.

use super::{Catalog, CatalogError, optional_timestamp};
use jiff::Timestamp;

/// A complete series as it is listed.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
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
    /// `complete`, or `receiving` when more came after the last completion.
    pub state: String,
    /// Of the last completion.
    pub revision: i64,
    /// Of the last completion.
    pub reason: Option<String>,
    /// Of the last completion: nanoseconds since 1970, UTC.
    completed_at: Option<i64>,
}

impl SeriesRecord {
    /// When it was last complete.
    #[must_use]
    pub fn completed_at(&self) -> Option<Timestamp> {
        optional_timestamp(self.completed_at).ok().flatten()
    }
}

impl Catalog {
    /// The complete series, oldest first. One that was reopened is still there as it last was
    /// complete; one whose instances have all moved elsewhere is not.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn complete_series(&self) -> Result<Vec<SeriesRecord>, CatalogError> {
        let records = sqlx::query_as(
            "select series_instance_uid, patient_id, patient_name, series.study_instance_uid,
                    instances_count, modality, series_number, series_description, study_date,
                    source, state, revision, reason, completed_at
             from series
             join patients on patients.id = series.patient
             join studies on studies.study_instance_uid = series.study_instance_uid
             where revision > 0 and (instances_count > 0 or source = 'api')
             order by first_completed_at, series.rowid",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(records)
    }
}
