//! Completions as facts of the record: written down as they were decided, for a catalogue that is
//! rebuilt from the streams. Nothing is announced again.

use crate::batch::Restored;
use crate::completed_series::{Before, is_whole};
use crate::encoding::{nanoseconds, revision};
use crate::error::CatalogError;
use crate::sqlite::CatalogWriter;
use crate::sqlite::write::completions::write_down;
use crate::sqlite::write::deletions::last_revision;
use crate::sqlite::write::registrations::patient;
use crate::sqlite::write::study_completions;
use contract::event::{SeriesCompleted, Source};
use sqlx::SqliteConnection;

impl CatalogWriter {
    pub(crate) async fn restore(&self, fact: &SeriesCompleted) -> Result<Restored, CatalogError> {
        let mut transaction = self.begin_write().await?;
        let before: Option<Before> = sqlx::query_as(
            "select state, partial, (select count(*) from instances
                 where series_instance_uid = series.series_instance_uid) as counted
             from series where series_instance_uid = ?",
        )
        .bind(fact.series_instance_uid.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let last: i64 = sqlx::query_scalar(concat!("select ", last_revision!("?1")))
            .bind(fact.series_instance_uid.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        let last = revision(last)?;
        if fact.revision <= last {
            return Ok(Restored::Known);
        }
        let whole = is_whole(before.as_ref(), fact, last);
        if before.is_none() {
            insert_told(&mut transaction, fact).await?;
        }
        complete_as_told(&mut transaction, fact, !whole).await?;
        write_down(&mut transaction, fact).await?;
        study_completions::open(&mut transaction, fact).await?;
        transaction.commit().await?;
        Ok(if whole { Restored::Whole } else { Restored::Partial })
    }
}

/// A series of which nothing else is known.
async fn insert_told(
    connection: &mut SqliteConnection,
    fact: &SeriesCompleted,
) -> Result<(), CatalogError> {
    let patient = patient(connection, &fact.patient_id, &fact.patient_name).await?;
    sqlx::query(
        "insert into studies
            (study_instance_uid, patient, study_date, study_description, accession_number)
         values (?, ?, ?, ?, ?) on conflict do nothing",
    )
    .bind(&fact.study_instance_uid)
    .bind(patient)
    .bind(&fact.study_date)
    .bind(&fact.study_description)
    .bind(&fact.accession_number)
    .execute(&mut *connection)
    .await?;
    let claimed = (fact.source == Source::Api).then_some(fact.instances_count as i64);
    sqlx::query(
        "insert into series
            (series_instance_uid, study_instance_uid, patient, modality, series_number,
             series_description, calling_ae_title, source, state, claimed_count,
             first_received_at, last_received_at)
         values (?, ?, ?, ?, ?, ?, ?, ?, 'complete', ?, ?, ?)",
    )
    .bind(fact.series_instance_uid.as_str())
    .bind(&fact.study_instance_uid)
    .bind(patient)
    .bind(&fact.modality)
    .bind(&fact.series_number)
    .bind(&fact.series_description)
    .bind(&fact.calling_ae_title)
    .bind(fact.source.as_str())
    .bind(claimed)
    .bind(fact.first_received_at.map(nanoseconds))
    .bind(fact.last_received_at.map(nanoseconds))
    .execute(connection)
    .await?;
    Ok(())
}

async fn complete_as_told(
    connection: &mut SqliteConnection,
    fact: &SeriesCompleted,
    partial: bool,
) -> Result<(), CatalogError> {
    let series = fact.series_instance_uid.as_str();
    sqlx::query(
        "update series set
            state = 'complete', revision = ?1, reason = ?2, completed_at = ?3,
            first_completed_at = coalesce(first_completed_at, ?3), completed_sequence = ?4,
            expected_count = ?5, instances_count = ?6, partial = ?7
         where series_instance_uid = ?8",
    )
    .bind(fact.revision)
    .bind(fact.reason.as_str())
    .bind(nanoseconds(fact.completed_at))
    .bind(fact.instances_sequence.unwrap_or(0) as i64)
    .bind(fact.expected_count.map(|expected| expected as i64))
    .bind(fact.instances_count as i64)
    .bind(partial)
    .bind(series)
    .execute(&mut *connection)
    .await?;
    sqlx::query("delete from open_series where series_instance_uid = ?")
        .bind(series)
        .execute(connection)
        .await?;
    Ok(())
}
