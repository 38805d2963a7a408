//! Completions as facts of the record: written down as they were decided, for a catalogue that is
//! rebuilt from the streams. Nothing is announced again.

use super::completions::write_down;
use super::database::CatalogWriter;
use super::database::dialect::Connection;
use super::database::patients;
use super::database::values::{key, optional};
use super::deletions::last_revision;
use super::series_folders;
use super::study_completions;
use crate::batch::Restored;
use crate::completed_series::{Before, is_whole};
use crate::encoding::{count, nanoseconds, revision};
use crate::error::CatalogError;
use contract::event::{SeriesCompleted, Source};

impl CatalogWriter {
    pub(crate) async fn restore(&self, fact: &SeriesCompleted) -> Result<Restored, CatalogError> {
        let mut transaction = self.begin_write().await?;
        let before: Option<Before> = sqlx::query_as(concat!(
            "select state, partial, ",
            count_instances!(),
            " as counted from series where series_instance_uid = $1"
        ))
        .bind(fact.series_instance_uid.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let last: i64 = sqlx::query_scalar(concat!("select ", last_revision!("$1")))
            .bind(fact.series_instance_uid.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        let last = revision(last)?;
        if fact.revision <= last {
            transaction.rollback().await?;
            return Ok(Restored::Known);
        }
        let whole = is_whole(before.as_ref(), fact, last);
        if before.is_none() {
            insert_told(&mut transaction, fact).await?;
        }
        complete_as_told(&mut transaction, fact, !whole).await?;
        write_down(&mut transaction, fact).await?;
        study_completions::open(&mut transaction, fact).await?;
        if self.lists_to_keep() {
            // Announced, so not held back; that it is kept may follow in the record.
            let fact = SeriesCompleted { partial: !whole, ..fact.clone() };
            series_folders::list(&mut transaction, &fact, false).await?;
        }
        transaction.commit().await?;
        Ok(if whole { Restored::Whole } else { Restored::Partial })
    }
}

/// A series of which nothing else is known.
async fn insert_told(
    connection: &mut Connection,
    fact: &SeriesCompleted,
) -> Result<(), CatalogError> {
    let patient = patients::named(connection, &fact.patient_id, &fact.patient_name).await?;
    sqlx::query(
        "insert into studies
            (study_instance_uid, patient, study_date, study_description, accession_number)
         values ($1, $2, $3, $4, $5) on conflict do nothing",
    )
    .bind(key(&fact.study_instance_uid))
    .bind(patient)
    .bind(optional(&fact.study_date))
    .bind(optional(&fact.study_description))
    .bind(optional(&fact.accession_number))
    .execute(&mut *connection)
    .await?;
    let claimed = (fact.source == Source::Api).then_some(count(fact.instances_count));
    sqlx::query(
        "insert into series
            (series_instance_uid, study_instance_uid, patient, modality, series_number,
             series_description, calling_ae_title, source, state, claimed_count,
             first_received_at, last_received_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'complete', $9, $10, $11)",
    )
    .bind(fact.series_instance_uid.as_str())
    .bind(key(&fact.study_instance_uid))
    .bind(patient)
    .bind(optional(&fact.modality))
    .bind(optional(&fact.series_number))
    .bind(optional(&fact.series_description))
    .bind(optional(&fact.calling_ae_title))
    .bind(fact.source.as_str())
    .bind(claimed)
    .bind(fact.first_received_at.map(nanoseconds))
    .bind(fact.last_received_at.map(nanoseconds))
    .execute(connection)
    .await?;
    Ok(())
}

async fn complete_as_told(
    connection: &mut Connection,
    fact: &SeriesCompleted,
    partial: bool,
) -> Result<(), CatalogError> {
    let series = fact.series_instance_uid.as_str();
    sqlx::query(
        "update series set
            state = 'complete', revision = $1, reason = $2, completed_at = $3,
            first_completed_at = coalesce(first_completed_at, $3), completed_sequence = $4,
            expected_count = $5, instances_count = $6, partial = $7
         where series_instance_uid = $8",
    )
    .bind(i64::from(fact.revision))
    .bind(fact.reason.as_str())
    .bind(nanoseconds(fact.completed_at))
    .bind(count(fact.instances_sequence.unwrap_or(0)))
    .bind(fact.expected_count.map(count))
    .bind(count(fact.instances_count))
    .bind(partial)
    .bind(series)
    .execute(&mut *connection)
    .await?;
    sqlx::query("delete from open_series where series_instance_uid = $1")
        .bind(series)
        .execute(connection)
        .await?;
    Ok(())
}
