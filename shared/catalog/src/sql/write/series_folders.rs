//! Revisions that are to be folders of the instance store: listed with their completion, and taken off the list with the
//! announcement that they are.

use super::database::CatalogWriter;
use super::database::dialect::{Connection, release};
use super::database::values::{key, optional, text};
use super::{outbox, removals};
use crate::batch::Restored;
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use crate::kept_series::{SeriesToKeep, ToKeepRow, WaitingRevision};
use contract::event::{SeriesCompleted, SeriesKept};
use contract::uid::SeriesInstanceUid;

impl CatalogWriter {
    pub(crate) async fn waiting_to_be_kept(
        &self,
        after: Option<&WaitingRevision>,
        limit: u32,
    ) -> Result<Vec<WaitingRevision>, CatalogError> {
        let (series, revision, completed_at) = match after {
            Some(after) => {
                (after.series_instance_uid.as_str(), after.revision.into(), after.completed_at)
            }
            None => ("", 0, i64::MIN),
        };
        let mut connection = self.acquire().await?;
        // Until a completion is announced it may get another number.
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "select series_instance_uid, revision, completed_at from series_to_keep
             where not held
                 and (completed_at, series_instance_uid, revision) > ($1, $2, $3)
                 and not exists (select 1 from outbox
                     where message_id = series_instance_uid || ':' || revision)
             order by completed_at, series_instance_uid, revision limit $4",
        )
        .bind(completed_at)
        .bind(series)
        .bind::<i64>(revision)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
        release(connection);
        rows.into_iter().map(WaitingRevision::of).collect()
    }

    pub(crate) async fn count_waiting_to_be_kept(&self) -> Result<i64, CatalogError> {
        let mut connection = self.acquire().await?;
        let count = sqlx::query_scalar("select count(*) from series_to_keep where not held");
        let count = count.fetch_one(&mut *connection).await?;
        release(connection);
        Ok(count)
    }

    pub(crate) async fn series_to_keep(
        &self,
        waiting: &WaitingRevision,
    ) -> Result<Option<SeriesToKeep>, CatalogError> {
        let mut connection = self.acquire().await?;
        let row: Option<ToKeepRow> = sqlx::query_as(
            "select study_instance_uid, modality, reason, completed_at, instances_without_file,
                    objects
             from series_to_keep where series_instance_uid = $1 and revision = $2",
        )
        .bind(waiting.series_instance_uid.as_str())
        .bind(i64::from(waiting.revision))
        .fetch_optional(&mut *connection)
        .await?;
        release(connection);
        row.map(SeriesToKeep::try_from).transpose()
    }

    pub(crate) async fn kept(&self, event: &SeriesKept) -> Result<bool, CatalogError> {
        let mut transaction = self.begin_write().await?;
        if !take_off(&mut transaction, event).await? {
            // Its series was deleted meanwhile, so its folder goes too.
            if self.lists_to_remove() {
                removals::list_folder(&mut transaction, event).await?;
            }
            transaction.commit().await?;
            return Ok(false);
        }
        write_down(&mut transaction, event).await?;
        outbox::announce(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    pub(crate) async fn forget_earlier_to_keep(&self) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query(
            "delete from series_to_keep where exists (select 1 from series
                 where series.series_instance_uid = series_to_keep.series_instance_uid
                     and series.revision > series_to_keep.revision)",
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn restore_kept(&self, fact: &SeriesKept) -> Result<Restored, CatalogError> {
        let mut transaction = self.begin_write().await?;
        let was_listed = take_off(&mut transaction, fact).await?;
        if !write_down(&mut transaction, fact).await? && !was_listed {
            transaction.rollback().await?;
            return Ok(Restored::Known);
        }
        transaction.commit().await?;
        Ok(Restored::Whole)
    }
}

/// Lists a revision that was just written down, with the files that it has, if it has any. Of one of which instances are
/// missing from the catalogue half would be kept.
pub(crate) async fn list(
    connection: &mut Connection,
    completed: &SeriesCompleted,
    is_held: bool,
) -> Result<(), CatalogError> {
    sqlx::query(
        "update series set store_bytes = (select sum(object_bytes) from instances
             where instances.series_instance_uid = $1 and object_key is not null)
         where series_instance_uid = $1",
    )
    .bind(completed.series_instance_uid.as_str())
    .execute(&mut *connection)
    .await?;
    if completed.partial {
        return Ok(());
    }
    sqlx::query(concat!(
        "insert into series_to_keep
            (series_instance_uid, revision, study_instance_uid, modality, reason, completed_at,
             held, instances_without_file, objects)
         select $1, $2, $3, $4, $5, $6, $7, counted - with_file, objects
         from (select count(*) as counted, count(object_key) as with_file, cast(",
        rows_as_list!("(sop_instance_uid, object_key, object_bytes, object_blake3)"),
        " filter (where object_key is not null) as text) as objects
             from instances where series_instance_uid = $1) as listed
         where with_file > 0"
    ))
    .bind(completed.series_instance_uid.as_str())
    .bind(i64::from(completed.revision))
    .bind(key(&completed.study_instance_uid))
    .bind(optional(&completed.modality))
    .bind(completed.reason.as_str())
    .bind(nanoseconds(completed.completed_at))
    .bind(is_held)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether there is the file of any instance of a series.
pub(crate) async fn has_files(
    connection: &mut Connection,
    series: &SeriesInstanceUid,
) -> Result<bool, CatalogError> {
    let has_files = sqlx::query_scalar(
        "select exists (select 1 from instances
             where series_instance_uid = $1 and object_key is not null)",
    );
    Ok(has_files.bind(series.as_str()).fetch_one(connection).await?)
}

/// Takes a revision off the list; `false` if it is not there.
async fn take_off(connection: &mut Connection, kept: &SeriesKept) -> Result<bool, CatalogError> {
    let done =
        sqlx::query("delete from series_to_keep where series_instance_uid = $1 and revision = $2")
            .bind(kept.series_instance_uid.as_str())
            .bind(i64::from(kept.revision))
            .execute(connection)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Writes into the history where a revision is; `false` if it has that, or not the revision.
async fn write_down(connection: &mut Connection, kept: &SeriesKept) -> Result<bool, CatalogError> {
    let written = sqlx::query(
        "update revisions set kept_at = $3, kept_place = $4
         where series_instance_uid = $1 and revision = $2 and kept_at is null",
    )
    .bind(kept.series_instance_uid.as_str())
    .bind(i64::from(kept.revision))
    .bind(nanoseconds(kept.kept_at))
    .bind(text(&kept.place))
    .execute(connection)
    .await?;
    Ok(written.rows_affected() > 0)
}
