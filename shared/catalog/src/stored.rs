//! Series that did not come by DICOM: somebody vouches for them by `POST /store`.

use super::completions::{Changes, announce};
use super::deletions::last_revision;
use super::{Catalog, CatalogError, nanoseconds, timestamp};
use contract::event::{Reason, Source};
use contract::uid::{SeriesInstanceUid, StudyInstanceUid};
use jiff::Timestamp;
use sqlx::SqliteConnection;

/// A series as `POST /store` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSeries {
    /// Series Instance UID (0020,000E).
    pub series: SeriesInstanceUid,
    /// Study Instance UID (0020,000D).
    pub study: StudyInstanceUid,
    /// Patient ID (0010,0020).
    pub patient_id: String,
    /// Patient's Name (0010,0010).
    pub patient_name: String,
    /// How many instances it is said to have.
    pub instances_count: u32,
    /// When it was said. It is complete from then on, or from just after all that are complete already.
    pub at: Timestamp,
}

/// What became of a `POST /store`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOutcome {
    /// It is in the catalogue now, complete, and will be announced.
    Stored,
    /// The series was known in some state; nothing changed.
    AlreadyExists,
}

impl Catalog {
    /// Writes down a series that somebody vouches for, with its announcement.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn store(&self, stored: &StoredSeries) -> Result<StoreOutcome, CatalogError> {
        let mut transaction = self.begin_write().await?;
        if is_known(&mut transaction, &stored.series).await? {
            return Ok(StoreOutcome::AlreadyExists);
        }
        let at = after_all(&mut transaction, stored.at).await?;
        insert_stored(&mut transaction, stored, at).await?;
        let changes = Changes { added: stored.instances_count.into(), ..Changes::default() };
        announce(&mut transaction, &stored.series, changes).await?;
        transaction.commit().await?;
        Ok(StoreOutcome::Stored)
    }
}

async fn is_known(
    connection: &mut SqliteConnection,
    series: &SeriesInstanceUid,
) -> Result<bool, CatalogError> {
    let query = "select exists (select 1 from series where series_instance_uid = ?)";
    Ok(sqlx::query_scalar(query).bind(series.as_str()).fetch_one(connection).await?)
}

/// This time, or the next one after every completion, if that is later: whoever asks for what came after
/// the last that it has seen is not to miss one that waited for the write lock meanwhile.
async fn after_all(
    connection: &mut SqliteConnection,
    at: Timestamp,
) -> Result<Timestamp, CatalogError> {
    // Two questions, for an index each.
    let query = "select max(coalesce((select max(completed_at) from series where revision > 0), ?1),
                            coalesce((select max(first_completed_at) from series where revision > 0), ?1))";
    let latest: i64 = sqlx::query_scalar(query).bind(i64::MIN).fetch_one(connection).await?;
    timestamp(nanoseconds(at).max(latest.saturating_add(1)))
}

async fn insert_stored(
    connection: &mut SqliteConnection,
    stored: &StoredSeries,
    at: Timestamp,
) -> Result<(), CatalogError> {
    let patient = patient(connection, &stored.patient_id, &stored.patient_name).await?;
    sqlx::query(
        "insert into studies (study_instance_uid, patient) values (?, ?) on conflict do nothing",
    )
    .bind(stored.study.as_str())
    .bind(patient)
    .execute(&mut *connection)
    .await?;
    // The bookmark orders it among what was received, and so before or after a deletion.
    sqlx::query(concat!(
        "insert into series
            (series_instance_uid, study_instance_uid, patient, source, state, revision, reason,
             instances_count, claimed_count, first_completed_at, completed_at, completed_sequence)
         values (?1, ?2, ?3, ?4, 'complete', 1 + ",
        last_revision!("?1"),
        ", ?5, ?6, ?6, ?7, ?7, coalesce((select last_sequence from bookmark), 0))"
    ))
    .bind(stored.series.as_str())
    .bind(stored.study.as_str())
    .bind(patient)
    .bind(Source::Api.as_str())
    .bind(Reason::Stored.as_str())
    .bind(stored.instances_count)
    .bind(nanoseconds(at))
    .execute(connection)
    .await?;
    Ok(())
}

/// The row of a patient of whom no more is known than this, made if need be.
pub(super) async fn patient(
    connection: &mut SqliteConnection,
    patient_id: &str,
    patient_name: &str,
) -> Result<i64, CatalogError> {
    // The update that changes nothing makes the row that is there answer with its id.
    let patient = sqlx::query_scalar(
        "insert into patients
            (patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex)
         values (?, '', ?, '', '')
         on conflict do update set patient_id = excluded.patient_id returning id",
    )
    .bind(patient_id)
    .bind(patient_name)
    .fetch_one(connection)
    .await?;
    Ok(patient)
}
