//! Series that are deleted: their rows go, and with the last series of a study or a patient those
//! too. What stays is the history, and that it was deleted.

use super::database::CatalogWriter;
use super::database::dialect::Connection;
use super::database::identities::identities_of_series;
use super::outbox::announce;
use super::study_completions;
use crate::batch::Restored;
use crate::deleted_series::{DeletedSeries, EXPIRED_AT_ONCE, expiring};
use crate::encoding::{count, nanoseconds};
use crate::error::CatalogError;
use crate::removals;
use completion::Deletion;
use contract::event::SeriesDeleted;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

/// The last revision that a series had before, in whatever life: the next one follows it.
macro_rules! last_revision {
    ($series:literal) => {
        greatest!(
            concat!(
                "coalesce((select max(revision) from revisions
                     where revisions.series_instance_uid = ",
                $series,
                "), 0)"
            ),
            concat!(
                "coalesce((select max(revision) from deletions
                     where deletions.series_instance_uid = ",
                $series,
                "), 0)"
            )
        )
    };
}

pub(crate) use last_revision;

impl CatalogWriter {
    pub(crate) async fn expire(
        &self,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<SeriesDeleted>, CatalogError> {
        let mut transaction = self.begin_write().await?;
        let expired: Vec<(String, i64)> = sqlx::query_as(concat!(
            "select series_instance_uid, ",
            count_instances!(),
            " from series where revision > 0 and completed_at < $1 and state = 'complete'
             order by completed_at limit $2"
        ))
        .bind(nanoseconds(before))
        .bind(EXPIRED_AT_ONCE)
        .fetch_all(&mut *transaction)
        .await?;
        let deletions = expiring(expired, now)?;
        let deleted = self.delete(&mut transaction, &deletions).await?;
        transaction.commit().await?;
        Ok(deleted)
    }

    pub(crate) async fn restore_deletion(
        &self,
        fact: &SeriesDeleted,
    ) -> Result<Restored, CatalogError> {
        let mut transaction = self.begin_write().await?;
        if !trace(&mut transaction, fact).await? {
            transaction.rollback().await?;
            return Ok(Restored::Known);
        }
        self.leave_store(&mut transaction, fact).await?;
        erase(&mut transaction, &fact.series_instance_uid).await?;
        transaction.commit().await?;
        Ok(Restored::Whole)
    }

    /// Deletes series, each with its announcement; those that are not there are passed over. The
    /// bookmark says up to where it was decided. Gives what will be announced.
    pub(crate) async fn delete(
        &self,
        connection: &mut Connection,
        deletions: &[Deletion],
    ) -> Result<Vec<SeriesDeleted>, CatalogError> {
        let mut events = Vec::with_capacity(deletions.len());
        for deletion in deletions {
            let Some(row) = find(connection, &deletion.series).await? else { continue };
            let event = row.into_event(deletion)?;
            trace(connection, &event).await?;
            self.leave_store(connection, &event).await?;
            erase(connection, &event.series_instance_uid).await?;
            announce(connection, &event).await?;
            events.push(event);
        }
        Ok(events)
    }

    /// What a deleted series has in the instance store goes with it.
    async fn leave_store(
        &self,
        connection: &mut Connection,
        event: &SeriesDeleted,
    ) -> Result<(), CatalogError> {
        let (series, last) = (&event.series_instance_uid, event.revision);
        let reason = removals::of_deletion(event.reason);
        let (all, at) = (i64::MAX, event.deleted_at);
        self.remove_files(connection, series, last, all, reason, at).await
    }
}

async fn find(
    connection: &mut Connection,
    series: &SeriesInstanceUid,
) -> Result<Option<DeletedSeries>, CatalogError> {
    let row = sqlx::query_as(concat!(
        "select study_instance_uid, modality, ",
        greatest!("revision", last_revision!("series.series_instance_uid")),
        " as revision,
            case when source = 'api' then instances_count else ",
        count_instances!(),
        " end as instances_count,
            coalesce((select last_sequence from bookmark where ",
        our_row!(),
        "), 0) as last_sequence, case when series.disagrees then cast(",
        identities_of_series!(),
        " as text) end as identities
         from series where series_instance_uid = $1"
    ));
    Ok(row.bind(series.as_str()).fetch_optional(connection).await?)
}

/// Leaves the trace of a deletion; `false` if it is there already.
pub(crate) async fn trace(
    connection: &mut Connection,
    event: &SeriesDeleted,
) -> Result<bool, CatalogError> {
    let written = sqlx::query(
        "insert into deletions (series_instance_uid, revision, deleted_sequence, reason,
             instances_count, deleted_at)
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
    )
    .bind(event.series_instance_uid.as_str())
    .bind(i64::from(event.revision))
    .bind(count(event.instances_sequence))
    .bind(event.reason.as_str())
    .bind(count(event.instances_count))
    .bind(nanoseconds(event.deleted_at))
    .execute(connection)
    .await?;
    Ok(written.rows_affected() > 0)
}

/// Takes a series out of the catalogue, and its study and patient with it if they have no other.
async fn erase(
    connection: &mut Connection,
    series: &SeriesInstanceUid,
) -> Result<(), CatalogError> {
    let named: Vec<(String, i64)> = sqlx::query_as(
        "select study_instance_uid, patient from series where series_instance_uid = $1
         union
         select study_instance_uid, patient from identities where series_instance_uid = $1",
    )
    .bind(series.as_str())
    .fetch_all(&mut *connection)
    .await?;
    for statement in [
        "delete from identities where series_instance_uid = $1",
        "delete from instances where series_instance_uid = $1",
        "delete from open_series where series_instance_uid = $1",
        "delete from series_to_keep where series_instance_uid = $1",
        "delete from series where series_instance_uid = $1",
    ] {
        sqlx::query(statement).bind(series.as_str()).execute(&mut *connection).await?;
    }
    for (study, patient) in named {
        let of_study = erase_study(connection, &study).await?;
        // A study may be of another patient than a series of it, where instances disagree.
        for patient in [Some(patient), of_study].into_iter().flatten() {
            erase_patient(connection, patient).await?;
        }
    }
    Ok(())
}

/// Takes away a study that is left without a series; gives its patient.
async fn erase_study(
    connection: &mut Connection,
    study: &str,
) -> Result<Option<i64>, CatalogError> {
    let of_study: Option<i64> = sqlx::query_scalar(
        "delete from studies where study_instance_uid = $1
             and not exists (select 1 from series where series.study_instance_uid = $1)
             and not exists (select 1 from identities where identities.study_instance_uid = $1)
         returning patient",
    )
    .bind(study)
    .fetch_optional(&mut *connection)
    .await?;
    if of_study.is_some() {
        study_completions::close(connection, study).await?;
    }
    Ok(of_study)
}

/// Takes away a patient who is left without a series.
async fn erase_patient(connection: &mut Connection, patient: i64) -> Result<(), CatalogError> {
    sqlx::query(
        "delete from patients where id = $1
             and not exists (select 1 from series where series.patient = $1)
             and not exists (select 1 from identities where identities.patient = $1)
             and not exists (select 1 from studies where studies.patient = $1)",
    )
    .bind(patient)
    .execute(connection)
    .await?;
    Ok(())
}
