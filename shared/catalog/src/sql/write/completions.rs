//! Completions: what is decided of series, written down with its announcement and its place in
//! the series' history.

use super::database::CatalogWriter;
use super::database::dialect::Connection;
use super::database::identities::identities_of_series;
use super::database::values::optional;
use super::database::write::many_rows;
use super::deletions::last_revision;
use super::{asking, lists, outbox, pauses, series_folders, study_completions};
use crate::completed_series::{Changes, CompletedSeries};
use crate::encoding::{count, nanoseconds};
use crate::error::CatalogError;
use completion::{Completion, Consequences, MAX_NAMED, Question};
use contract::event::{Disagreement, SeriesCompleted};
use contract::uid::SeriesInstanceUid;

impl CatalogWriter {
    pub(crate) async fn decide(
        &self,
        completions: &[Completion],
        questions: &[Question],
        kept: &Consequences,
    ) -> Result<Vec<SeriesCompleted>, CatalogError> {
        let mut events = Vec::with_capacity(completions.len());
        let mut transaction = self.begin_write().await?;
        many_rows::keep_open_series(&mut transaction, &kept.open).await?;
        asking::keep_sources(&mut transaction, &kept.sources).await?;
        lists::keep(&mut transaction, &kept.lists).await?;
        pauses::keep(&mut transaction, &kept.pauses).await?;
        for question in questions {
            asking::ask(&mut transaction, question).await?;
        }
        for completion in completions {
            let Some(mut changes) = close(&mut transaction, completion).await? else { continue };
            if changes.retrieve_from.is_none()
                && let Some(service) = self.served_by()
                && series_folders::has_files(&mut transaction, &completion.series).await?
            {
                changes.retrieve_from = Some(service);
            }
            let event = announce(&mut transaction, &completion.series, changes).await?;
            if self.lists_to_keep() {
                let is_held = is_held(&event, completion.hold_disagreeing);
                series_folders::list(&mut transaction, &event, is_held).await?;
            }
            events.push(event);
        }
        transaction.commit().await?;
        Ok(events)
    }
}

/// Closes an open series; `None` when it is not open. Counts are counts of rows, always.
async fn close<'a>(
    connection: &mut Connection,
    completion: &'a Completion,
) -> Result<Option<Changes<'a>>, CatalogError> {
    let series = completion.series.as_str();
    let changes: Option<(i64, i64)> = sqlx::query_as(
        "select
            (select count(*) from instances where series_instance_uid = series.series_instance_uid
                and added_sequence > completed_sequence),
            (select count(*) from instances where series_instance_uid = series.series_instance_uid
                and added_sequence <= completed_sequence and stream_sequence > completed_sequence)
         from series where series_instance_uid = $1 and state = 'receiving'",
    )
    .bind(series)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((added, corrected)) = changes else { return Ok(None) };
    // Before it was deleted a series had revisions too.
    let expected: Option<i64> = sqlx::query_scalar(concat!(
        "update series set
            state = 'complete', held = false, revision = 1 + ",
        greatest!("revision", last_revision!("series.series_instance_uid")),
        ", reason = $1, completed_at = $2,
            first_completed_at = coalesce(first_completed_at, $2),
            completed_sequence = (select last_sequence from bookmark where ",
        our_row!(),
        "),
            (instances_count, expected_count) = (
                select count(*), case when $5 = 0 then $3 else ",
        greatest!("count(*) + $5", "coalesce($3, 0)"),
        " end
                from instances where series_instance_uid = series.series_instance_uid)
         where series_instance_uid = $4
         returning expected_count"
    ))
    .bind(completion.reason.as_str())
    .bind(nanoseconds(completion.decided_at))
    .bind(completion.expected.max(completion.at_source).max(completion.listed).map(count))
    .bind(series)
    .bind(count(completion.missing))
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query("delete from open_series where series_instance_uid = $1")
        .bind(series)
        .execute(&mut *connection)
        .await?;
    let mut absent = asking::absent(connection, &completion.series, &completion.absent).await?;
    absent.truncate(MAX_NAMED);
    // Counted by what is here: whatever was sent twice, or came by itself meanwhile, is one instance.
    let not_fetched = asking::absent(connection, &completion.series, &completion.fetched).await?;
    Ok(Some(Changes {
        fetched: (completion.fetched.len() - not_fetched.len()) as u64,
        absent,
        evidence: &completion.evidence,
        added: added.unsigned_abs(),
        corrected: corrected.unsigned_abs(),
        expected: expected.map(i64::unsigned_abs),
        retrieve_from: completion.retrieve_from.as_deref(),
        hold_disagreeing: completion.hold_disagreeing,
    }))
}

/// Puts the announcement of a series that has just been completed into the outbox, and the
/// completion into its history; its study is then open.
pub(crate) async fn announce(
    connection: &mut Connection,
    series: &SeriesInstanceUid,
    changes: Changes<'_>,
) -> Result<SeriesCompleted, CatalogError> {
    let row: CompletedSeries = sqlx::query_as(concat!(
        "select revision, reason, source, instances_count, series.study_instance_uid, patient_id,
                issuer_of_patient_id, patient_name, modality, series_number, series_description, study_date,
                study_description, accession_number, calling_ae_title, first_received_at,
                last_received_at, completed_at, completed_sequence, partial,
                case when series.disagrees then cast(",
        identities_of_series!(),
        " as text) end as identities
         from series",
        join_owners!(),
        "where series_instance_uid = $1"
    ))
    .bind(series.as_str())
    .fetch_one(&mut *connection)
    .await?;
    let hold = changes.hold_disagreeing;
    let event = row.into_event(series, changes)?;
    match is_held(&event, hold) {
        true => hold_back(connection, &event).await?,
        false => outbox::announce(connection, &event).await?,
    }
    write_down(connection, &event).await?;
    study_completions::open(connection, &event).await?;
    Ok(event)
}

/// Whether a person decides on a completion, where that is wanted of instances that disagree.
fn is_held(event: &SeriesCompleted, hold_disagreeing: bool) -> bool {
    hold_disagreeing && !event.disagrees.is_empty()
}

/// Leaves it to a person whether a completion is announced.
async fn hold_back(
    connection: &mut Connection,
    event: &SeriesCompleted,
) -> Result<(), CatalogError> {
    sqlx::query("update series set held = true where series_instance_uid = $1")
        .bind(event.series_instance_uid.as_str())
        .execute(&mut *connection)
        .await?;
    outbox::hold(connection, event, &Disagreement::summary(&event.disagrees)).await
}

/// Adds a completion to the history of its series.
pub(crate) async fn write_down(
    connection: &mut Connection,
    event: &SeriesCompleted,
) -> Result<(), CatalogError> {
    sqlx::query(
        "insert into revisions
            (series_instance_uid, revision, reason, instances_count, instances_added,
             instances_corrected, expected_count, calling_ae_title, completed_at,
             completed_sequence)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(event.series_instance_uid.as_str())
    .bind(i64::from(event.revision))
    .bind(event.reason.as_str())
    .bind(count(event.instances_count))
    .bind(count(event.instances_added))
    .bind(count(event.instances_corrected))
    .bind(event.expected_count.map(count))
    .bind(optional(&event.calling_ae_title))
    .bind(nanoseconds(event.completed_at))
    .bind(count(event.instances_sequence.unwrap_or(0)))
    .execute(connection)
    .await?;
    Ok(())
}
