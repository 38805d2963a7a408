//! Completions of studies, written down with their announcement.

use super::database::CatalogWriter;
use super::database::dialect::{Connection, release};
use super::database::identities::identities_of_study;
use super::database::values::key;
use super::database::write::many_rows;
use super::outbox::{announce, hold};
use crate::batch::{Restored, StudiesDecided};
use crate::completed_study::{HAS_HELD_SERIES, SeriesRow, State, StudyRow};
use crate::encoding::{count, nanoseconds, optional_timestamp};
use crate::error::CatalogError;
use completion::StudyCompletion;
use contract::event::{SeriesCompleted, Source, StudyCompleted};
use jiff::Timestamp;

impl CatalogWriter {
    pub(crate) async fn open_studies(
        &self,
    ) -> Result<Vec<(String, Option<Timestamp>)>, CatalogError> {
        let mut connection = self.acquire().await?;
        let rows: Vec<(String, Option<i64>)> =
            sqlx::query_as("select study_instance_uid, last_completed_at from open_studies")
                .fetch_all(&mut *connection)
                .await?;
        release(connection);
        rows.into_iter().map(|(study, at)| Ok((study, optional_timestamp(at)?))).collect()
    }

    pub(crate) async fn move_open_studies(
        &self,
        studies: &[(String, Timestamp)],
    ) -> Result<(), CatalogError> {
        if studies.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin_write().await?;
        many_rows::move_open_studies(&mut transaction, studies).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn forget_open_studies(&self) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query("delete from open_studies").execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
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
            transaction.rollback().await?;
            return Ok(Restored::Known);
        }
        close(&mut transaction, &fact.study_instance_uid).await?;
        transaction.commit().await?;
        Ok(Restored::Whole)
    }
}

/// A series is complete: so its study is not yet, or not any more, and where its instances disagree each
/// that they name.
pub(crate) async fn open(
    connection: &mut Connection,
    event: &SeriesCompleted,
) -> Result<(), CatalogError> {
    let by_broker = (event.source == Source::Dicom).then(|| nanoseconds(event.completed_at));
    for study in event.studies() {
        sqlx::query(
            "insert into open_studies values ($1, $2) on conflict (study_instance_uid) do update
             set last_completed_at = excluded.last_completed_at",
        )
        .bind(key(study))
        .bind(by_broker)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The study is no longer expected to be complete.
pub(crate) async fn close(connection: &mut Connection, study: &str) -> Result<(), CatalogError> {
    let statement = "delete from open_studies where study_instance_uid = $1";
    sqlx::query(statement).bind(key(study)).execute(connection).await?;
    Ok(())
}

async fn state(connection: &mut Connection, study: &str) -> Result<State, CatalogError> {
    let (is_open, is_receiving): (bool, bool) = sqlx::query_as(
        "select exists (select 1 from open_studies where study_instance_uid = $1),
                exists (select 1 from series
                    where study_instance_uid = $1 and state = 'receiving')
                or exists (select 1 from identities
                    join series on series.series_instance_uid = identities.series_instance_uid
                    where identities.study_instance_uid = $1 and state = 'receiving')",
    )
    .bind(key(study))
    .fetch_one(connection)
    .await?;
    Ok(State::of(is_open, is_receiving))
}

/// The completion of a study, and whether one of its series is held back; `None` where no series is left that could be told.
async fn completed(
    connection: &mut Connection,
    completion: &StudyCompletion,
) -> Result<Option<(StudyCompleted, bool)>, CatalogError> {
    let study = key(&completion.study);
    let row: Option<StudyRow> = sqlx::query_as(concat!(
        "select patient_id, issuer_of_patient_id, patient_name, study_date, study_description, accession_number,
                1 + coalesce((select max(revision) from study_revisions
                    where study_revisions.study_instance_uid = studies.study_instance_uid), 0)
                    as revision,
                coalesce((select last_sequence from bookmark where ",
        our_row!(),
        "), 0) as last_sequence,
                case when studies.disagrees or exists (select 1 from identities
                        where identities.study_instance_uid = studies.study_instance_uid) then
                    cast(",
        identities_of_study!(),
        " as text) end as identities
         from studies join patients on patients.id = studies.patient
         where study_instance_uid = $1"
    ))
    .bind(&study)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    // As GET /series has them: one that is emptied by moves is not told.
    // Of one that is in several studies the instances count that name this one.
    let series: Vec<SeriesRow> = sqlx::query_as(concat!(
        "select series_instance_uid, revision, modality, held, cast(sum(",
        completed_instances_of_filing!(),
        ") as bigint) as instances_count from ",
        filings_in!("$1"),
        " where revision > 0 and (instances_count > 0 or source = 'api')
         group by series_instance_uid, revision, modality, held, first_completed_at, arrival
         order by first_completed_at, arrival"
    ))
    .bind(&study)
    .fetch_all(connection)
    .await?;
    row.completed(series, completion)
}

/// Adds a completion to the history of its study; `false` if it is there already.
pub(crate) async fn write_down(
    connection: &mut Connection,
    event: &StudyCompleted,
) -> Result<bool, CatalogError> {
    let written = sqlx::query(
        "insert into study_revisions values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
    )
    .bind(key(&event.study_instance_uid))
    .bind(i64::from(event.revision))
    .bind(event.reason.as_str())
    .bind(count(event.number_of_study_related_series))
    .bind(count(event.number_of_study_related_instances))
    .bind(nanoseconds(event.completed_at))
    .bind(count(event.instances_sequence))
    .execute(connection)
    .await?;
    Ok(written.rows_affected() > 0)
}
