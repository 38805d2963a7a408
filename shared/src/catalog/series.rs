//! Series as a whole: which are open, which are complete, and what is said of them.

use super::{BEGIN_WRITE, Catalog, CatalogError, nanoseconds, optional_timestamp, timestamp};
use crate::event::{Event, Reason, SeriesCompleted, Source};
use crate::uid::{SeriesInstanceUid, StudyInstanceUid};
use jiff::Timestamp;
use sqlx::SqliteConnection;

/// A series that is still arriving, as a restarted indexer finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSeries {
    /// The series.
    pub series: SeriesInstanceUid,
    /// Broker's time of its last activity.
    pub last_activity: Timestamp,
}

/// The decision that a series is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The series.
    pub series: SeriesInstanceUid,
    /// By which rule.
    pub reason: Reason,
    /// The watermark at which it was decided, in the broker's time.
    pub decided_at: Timestamp,
}

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
    /// When it was said.
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
    /// The series that are still arriving.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn open_series(&self) -> Result<Vec<OpenSeries>, CatalogError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "select series_instance_uid, last_activity_at from series where state = 'receiving'",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(series, last_activity)| {
                Ok(OpenSeries {
                    series: series_uid(&series)?,
                    last_activity: timestamp(last_activity)?,
                })
            })
            .collect()
    }

    /// Writes down that series are complete, each with its announcement, all or none. One that is
    /// not open (any more) is passed over. Gives what will be announced.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn complete(
        &self,
        completions: &[Completion],
    ) -> Result<Vec<SeriesCompleted>, CatalogError> {
        let mut events = Vec::with_capacity(completions.len());
        let mut transaction = self.pool.begin_with(BEGIN_WRITE).await?;
        for completion in completions {
            let Some(changes) = close(&mut transaction, completion).await? else { continue };
            let event = announce(&mut transaction, &completion.series, changes).await?;
            events.push(event);
        }
        transaction.commit().await?;
        Ok(events)
    }

    /// Writes down a series that somebody vouches for, with its announcement.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn store(&self, stored: &StoredSeries) -> Result<StoreOutcome, CatalogError> {
        let mut transaction = self.pool.begin_with(BEGIN_WRITE).await?;
        if is_known(&mut transaction, &stored.series).await? {
            return Ok(StoreOutcome::AlreadyExists);
        }
        insert_stored(&mut transaction, stored).await?;
        let changes = Changes { added: stored.instances_count.into(), corrected: 0 };
        announce(&mut transaction, &stored.series, changes).await?;
        transaction.commit().await?;
        Ok(StoreOutcome::Stored)
    }

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

fn series_uid(text: &str) -> Result<SeriesInstanceUid, CatalogError> {
    SeriesInstanceUid::parse(text)
        .map_err(|error| CatalogError::Unreadable(format!("SeriesInstanceUID {text:?} {error}")))
}

/// What a revision brought.
struct Changes {
    added: u64,
    corrected: u64,
}

/// Closes an open series; `None` when it is not open. Counts are counts of rows, always.
async fn close(
    connection: &mut SqliteConnection,
    completion: &Completion,
) -> Result<Option<Changes>, CatalogError> {
    let series = completion.series.as_str();
    let changes: Option<(i64, i64)> = sqlx::query_as(
        "select
            (select count(*) from instances where series_instance_uid = series.series_instance_uid
                and added_sequence > completed_sequence),
            (select count(*) from instances where series_instance_uid = series.series_instance_uid
                and added_sequence <= completed_sequence and stream_sequence > completed_sequence)
         from series where series_instance_uid = ? and state = 'receiving'",
    )
    .bind(series)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((added, corrected)) = changes else { return Ok(None) };
    sqlx::query(
        "update series set
            state = 'complete', revision = revision + 1, reason = ?1, completed_at = ?2,
            first_completed_at = coalesce(first_completed_at, ?2),
            completed_sequence = (select last_sequence from bookmark),
            instances_count = (select count(*) from instances
                where series_instance_uid = series.series_instance_uid)
         where series_instance_uid = ?3",
    )
    .bind(completion.reason.as_str())
    .bind(nanoseconds(completion.decided_at))
    .bind(series)
    .execute(connection)
    .await?;
    Ok(Some(Changes { added: added.unsigned_abs(), corrected: corrected.unsigned_abs() }))
}

async fn is_known(
    connection: &mut SqliteConnection,
    series: &SeriesInstanceUid,
) -> Result<bool, CatalogError> {
    let query = "select exists (select 1 from series where series_instance_uid = ?)";
    Ok(sqlx::query_scalar(query).bind(series.as_str()).fetch_one(connection).await?)
}

async fn insert_stored(
    connection: &mut SqliteConnection,
    stored: &StoredSeries,
) -> Result<(), CatalogError> {
    // The update that changes nothing makes the row that is there answer with its id.
    let patient: i64 = sqlx::query_scalar(
        "insert into patients
            (patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex)
         values (?, '', ?, '', '')
         on conflict do update set patient_id = excluded.patient_id returning id",
    )
    .bind(&stored.patient_id)
    .bind(&stored.patient_name)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "insert into studies (study_instance_uid, patient) values (?, ?) on conflict do nothing",
    )
    .bind(stored.study.as_str())
    .bind(patient)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "insert into series
            (series_instance_uid, study_instance_uid, patient, source, state, revision, reason,
             instances_count, claimed_count, first_completed_at, completed_at)
         values (?1, ?2, ?3, ?4, 'complete', 1, ?5, ?6, ?6, ?7, ?7)",
    )
    .bind(stored.series.as_str())
    .bind(stored.study.as_str())
    .bind(patient)
    .bind(Source::Api.as_str())
    .bind(Reason::Stored.as_str())
    .bind(stored.instances_count)
    .bind(nanoseconds(stored.at))
    .execute(connection)
    .await?;
    Ok(())
}

/// What the announcement of a series says of it, as the catalogue has it.
#[derive(sqlx::FromRow)]
struct Completed {
    revision: u32,
    reason: String,
    source: String,
    instances_count: i64,
    study_instance_uid: String,
    patient_id: String,
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
}

/// Puts the announcement of a series that has just been completed into the outbox.
async fn announce(
    connection: &mut SqliteConnection,
    series: &SeriesInstanceUid,
    changes: Changes,
) -> Result<SeriesCompleted, CatalogError> {
    let row: Completed = sqlx::query_as(
        "select revision, reason, source, instances_count, series.study_instance_uid, patient_id,
                patient_name, modality, series_number, series_description, study_date,
                study_description, accession_number, calling_ae_title, first_received_at,
                last_received_at, completed_at, completed_sequence
         from series
         join patients on patients.id = series.patient
         join studies on studies.study_instance_uid = series.study_instance_uid
         where series_instance_uid = ?",
    )
    .bind(series.as_str())
    .fetch_one(&mut *connection)
    .await?;
    let event = row.into_event(series, changes)?;
    let payload = serde_json::to_string(&event)
        .map_err(|error| CatalogError::Unreadable(format!("series {series}: {error}")))?;
    sqlx::query("insert into outbox (subject, message_id, time, payload) values (?, ?, ?, ?)")
        .bind(event.subject().to_string())
        .bind(event.id())
        .bind(nanoseconds(event.time()))
        .bind(payload)
        .execute(connection)
        .await?;
    Ok(event)
}

impl Completed {
    fn into_event(
        self,
        series: &SeriesInstanceUid,
        changes: Changes,
    ) -> Result<SeriesCompleted, CatalogError> {
        Ok(SeriesCompleted {
            series_instance_uid: series.clone(),
            revision: self.revision,
            reason: word(&self.reason)?,
            source: word(&self.source)?,
            instances_count: self.instances_count.unsigned_abs(),
            instances_added: changes.added,
            instances_corrected: changes.corrected,
            study_instance_uid: self.study_instance_uid,
            patient_id: self.patient_id,
            patient_name: self.patient_name,
            modality: self.modality,
            series_number: self.series_number,
            series_description: self.series_description,
            study_date: self.study_date,
            study_description: self.study_description,
            accession_number: self.accession_number,
            calling_ae_title: self.calling_ae_title,
            first_received_at: optional_timestamp(self.first_received_at)?,
            last_received_at: optional_timestamp(self.last_received_at)?,
            completed_at: timestamp(self.completed_at)?,
            instances_sequence: match self.completed_sequence {
                0 => None,
                sequence => Some(sequence.unsigned_abs()),
            },
        })
    }
}

/// Reads an enum from its word, by the names that events use.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, CatalogError> {
    serde_json::from_value(text.into())
        .map_err(|error| CatalogError::Unreadable(format!("{text:?}: {error}")))
}
