//! Completions of studies, written down with their announcement.

use crate::batch::{Restored, StudiesDecided};
use crate::completed_study::{HAS_HELD_SERIES, SeriesRow, State, StudyRow};
use crate::encoding::{json, nanoseconds, optional_timestamp};
use crate::error::CatalogError;
use crate::sqlite::CatalogWriter;
use crate::sqlite::filings::{completed_instances_of_filing, filings_in};
use crate::sqlite::identities::identities_of_study;
use crate::sqlite::write::outbox::{announce, hold};
use completion::StudyCompletion;
use contract::event::{SeriesCompleted, Source, StudyCompleted};
use jiff::Timestamp;
use sqlx::SqliteConnection;

impl CatalogWriter {
    pub(crate) async fn open_studies(
        &self,
    ) -> Result<Vec<(String, Option<Timestamp>)>, CatalogError> {
        let rows: Vec<(String, Option<i64>)> =
            sqlx::query_as("select study_instance_uid, last_completed_at from open_studies")
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter().map(|(study, at)| Ok((study, optional_timestamp(at)?))).collect()
    }

    pub(crate) async fn move_open_studies(
        &self,
        studies: &[(String, Timestamp)],
    ) -> Result<(), CatalogError> {
        if studies.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = studies.iter().map(|(study, at)| (study, nanoseconds(*at))).collect();
        let mut transaction = self.begin_write().await?;
        sqlx::query(
            "update open_studies set last_completed_at = moved.value ->> 1
             from json_each(?) as moved where study_instance_uid = moved.value ->> 0",
        )
        .bind(json(&rows))
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn forget_open_studies(&self) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query("delete from open_studies").execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn complete_studies(
        &self,
        completions: &[StudyCompletion],
    ) -> Result<StudiesDecided, CatalogError> {
        let mut decided = StudiesDecided::default();
        let mut transaction = self.begin_write().await?;
        for completion in completions {
            let study = completion.study.as_str();
            match state(&mut transaction, study).await? {
                State::NoNews => continue,
                State::Receiving => {
                    decided.waiting.push(study.to_owned());
                    continue;
                }
                State::Complete => {}
            }
            if let Some((event, is_held)) = completed(&mut transaction, completion).await? {
                write_down(&mut transaction, &event).await?;
                match is_held {
                    true => hold(&mut transaction, &event, HAS_HELD_SERIES).await?,
                    false => announce(&mut transaction, &event).await?,
                }
                decided.complete.push(event);
            }
            close(&mut transaction, study).await?;
        }
        transaction.commit().await?;
        Ok(decided)
    }

    pub(crate) async fn restore_study(
        &self,
        fact: &StudyCompleted,
    ) -> Result<Restored, CatalogError> {
        let mut transaction = self.begin_write().await?;
        if !write_down(&mut transaction, fact).await? {
            return Ok(Restored::Known);
        }
        close(&mut transaction, &fact.study_instance_uid).await?;
        transaction.commit().await?;
        Ok(Restored::Whole)
    }
}

/// A series is complete: so its study is not yet, or not any more, and where its instances disagree each
/// that they name.
pub(in crate::sqlite) async fn open(
    connection: &mut SqliteConnection,
    event: &SeriesCompleted,
) -> Result<(), CatalogError> {
    let by_broker = (event.source == Source::Dicom).then(|| nanoseconds(event.completed_at));
    for study in event.studies() {
        sqlx::query(
            "insert into open_studies values (?, ?) on conflict (study_instance_uid) do update
             set last_completed_at = excluded.last_completed_at",
        )
        .bind(study)
        .bind(by_broker)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The study is no longer expected to be complete.
pub(in crate::sqlite) async fn close(
    connection: &mut SqliteConnection,
    study: &str,
) -> Result<(), CatalogError> {
    let statement = "delete from open_studies where study_instance_uid = ?";
    sqlx::query(statement).bind(study).execute(connection).await?;
    Ok(())
}

async fn state(connection: &mut SqliteConnection, study: &str) -> Result<State, CatalogError> {
    let (is_open, is_receiving): (bool, bool) = sqlx::query_as(
        "select exists (select 1 from open_studies where study_instance_uid = ?1),
                exists (select 1 from series
                    where study_instance_uid = ?1 and state = 'receiving')
                or exists (select 1 from identities
                    join series on series.series_instance_uid = identities.series_instance_uid
                    where identities.study_instance_uid = ?1 and state = 'receiving')",
    )
    .bind(study)
    .fetch_one(connection)
    .await?;
    Ok(State::of(is_open, is_receiving))
}

/// The completion of a study, and whether one of its series is held back; `None` where no series is left that could be told.
async fn completed(
    connection: &mut SqliteConnection,
    completion: &StudyCompletion,
) -> Result<Option<(StudyCompleted, bool)>, CatalogError> {
    let study = completion.study.as_str();
    let row: Option<StudyRow> = sqlx::query_as(concat!(
        "select patient_id, issuer_of_patient_id, patient_name, study_date, study_description, accession_number,
                1 + coalesce((select max(revision) from study_revisions
                    where study_revisions.study_instance_uid = studies.study_instance_uid), 0)
                    as revision,
                coalesce((select last_sequence from bookmark), 0) as last_sequence,
                iif(studies.disagrees = 1 or exists (select 1 from identities
                        where identities.study_instance_uid = studies.study_instance_uid),
                    ",
        identities_of_study!(),
        ", null) as identities
         from studies join patients on patients.id = studies.patient
         where study_instance_uid = ?"
    ))
    .bind(study)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    // As GET /series has them: one that is emptied by moves is not told.
    // Of one that is in several studies the instances count that name this one.
    let series: Vec<SeriesRow> = sqlx::query_as(concat!(
        "select series_instance_uid, revision, modality, held, sum(",
        completed_instances_of_filing!(),
        ") as instances_count from ",
        filings_in!("?1"),
        " where revision > 0 and (instances_count > 0 or source = 'api')
         group by series_instance_uid order by first_completed_at, arrival"
    ))
    .bind(study)
    .fetch_all(connection)
    .await?;
    row.completed(series, completion)
}

/// Adds a completion to the history of its study; `false` if it is there already.
pub(in crate::sqlite) async fn write_down(
    connection: &mut SqliteConnection,
    event: &StudyCompleted,
) -> Result<bool, CatalogError> {
    let written = sqlx::query(
        "insert into study_revisions values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
    )
    .bind(&event.study_instance_uid)
    .bind(event.revision)
    .bind(event.reason.as_str())
    .bind(event.number_of_study_related_series as i64)
    .bind(event.number_of_study_related_instances as i64)
    .bind(nanoseconds(event.completed_at))
    .bind(event.instances_sequence as i64)
    .execute(connection)
    .await?;
    Ok(written.rows_affected() > 0)
}
