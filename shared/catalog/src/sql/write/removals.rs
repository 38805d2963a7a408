//! What is to be removed from the instance store: listed in the transaction after which nothing names it, and taken off
//! the list once it is gone.

use super::database::CatalogWriter;
use super::database::dialect::{Connection, release};
use super::database::values::{list as values, text};
use crate::encoding::{json, nanoseconds};
use crate::error::CatalogError;
use crate::removals::{ListedUpTo, ToRemove, ToRemoveRow, of_deletion};
use crate::rows_to_write::Left;
use contract::event::{DeletionReason, SeriesKept};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

impl CatalogWriter {
    pub(crate) async fn listed_to_remove(&self) -> Result<Option<ListedUpTo>, CatalogError> {
        let mut connection = self.acquire().await?;
        let (last, announcement): (Option<i64>, i64) = sqlx::query_as(
            "select (select max(id) from objects_to_remove), coalesce((select max(id) from outbox), 0)",
        )
        .fetch_one(&mut *connection)
        .await?;
        release(connection);
        Ok(last.map(|last| ListedUpTo { last, announcement }))
    }

    pub(crate) async fn has_announced(&self, listed: ListedUpTo) -> Result<bool, CatalogError> {
        let mut connection = self.acquire().await?;
        let query = "select not exists (select 1 from outbox where id <= $1)";
        let query = sqlx::query_scalar(query).bind(listed.announcement);
        let has: bool = query.fetch_one(&mut *connection).await?;
        release(connection);
        Ok(has)
    }

    pub(crate) async fn to_remove(
        &self,
        after: i64,
        up_to: ListedUpTo,
        limit: u32,
    ) -> Result<Vec<ToRemove>, CatalogError> {
        let mut connection = self.acquire().await?;
        // A revision that waits to be kept needs its files, of which the list of its row has the keys.
        let rows: Vec<ToRemoveRow> = sqlx::query_as(concat!(
            "select listed.id, listed.place, listed.folder, listed.bytes, listed.reason,
                    instances.object_key, instances.object_bytes,
                    case when listed.folder then exists (select 1 from revisions
                            where revisions.series_instance_uid = listed.series_instance_uid
                                and kept_place = listed.place and removed_at is null)
                        else coalesce(instances.object_key = listed.place, false) end as is_named
             from objects_to_remove as listed
             left join instances on instances.sop_instance_uid = listed.sop_instance_uid
             where listed.id > $1 and listed.id <= $2
                 and (listed.folder or not exists (select 1 from series_to_keep
                     where series_to_keep.series_instance_uid = listed.series_instance_uid
                         and ",
            instr!(),
            "(series_to_keep.objects, listed.place) > 0))
             order by listed.id limit $3"
        ))
        .bind(after)
        .bind(up_to.last)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
        release(connection);
        Ok(rows.into_iter().map(ToRemove::from).collect())
    }

    pub(crate) async fn count_to_remove(&self) -> Result<i64, CatalogError> {
        let mut connection = self.acquire().await?;
        let count = sqlx::query_scalar("select count(*) from objects_to_remove");
        let count = count.fetch_one(&mut *connection).await?;
        release(connection);
        Ok(count)
    }

    pub(crate) async fn removed(&self, ids: &[i64]) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query(concat!("delete from objects_to_remove where id ", one_of!("$1")))
            .bind(values(ids))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What a series had in the store up to a revision and a sequence is no longer there: lists its files and folders, as far as this
    /// catalogue lists any, and says so in its history.
    pub(crate) async fn remove_files(
        &self,
        connection: &mut Connection,
        series: &SeriesInstanceUid,
        last: u32,
        up_to: i64,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), CatalogError> {
        if self.lists_to_remove() {
            let (last, at) = (i64::from(last), nanoseconds(at));
            for (bound, statement) in [
                (
                    up_to,
                    "insert into objects_to_remove (place, folder, sop_instance_uid,
                         series_instance_uid, bytes, reason, listed_at)
                     select object_key, false, sop_instance_uid, series_instance_uid,
                         object_bytes, $2, $3
                     from instances
                     where series_instance_uid = $1 and stream_sequence <= $4
                         and (object_key like 'spool/%' or object_key like 'objects/%')
                         and length(object_key) <= 1024
                     on conflict do nothing",
                ),
                (
                    last,
                    "insert into objects_to_remove (place, folder, sop_instance_uid,
                         series_instance_uid, reason, listed_at)
                     select kept_place, true, '', series_instance_uid, $2, $3 from revisions
                     where series_instance_uid = $1 and revision <= $4
                         and kept_place is not null and removed_at is null
                     on conflict do nothing",
                ),
            ] {
                sqlx::query(statement)
                    .bind(series.as_str())
                    .bind(reason)
                    .bind(at)
                    .bind(bound)
                    .execute(&mut *connection)
                    .await?;
            }
        }
        if self.lists_to_keep() {
            sqlx::query(
                "update revisions set removed_at = $3
                 where series_instance_uid = $1 and revision <= $2 and removed_at is null",
            )
            .bind(series.as_str())
            .bind(i64::from(last))
            .bind(nanoseconds(at))
            .execute(connection)
            .await?;
        }
        Ok(())
    }
}

/// Lists files that no row names any more.
pub(crate) async fn list(
    connection: &mut Connection,
    left: &[Left<'_>],
) -> Result<(), CatalogError> {
    if left.is_empty() {
        return Ok(());
    }
    sqlx::query(concat!(
        "insert into objects_to_remove
            (place, folder, sop_instance_uid, series_instance_uid, bytes, reason, listed_at)
         select value ->> 0, false, value ->> 1, value ->> 2, cast(value ->> 3 as bigint),
                value ->> 4, cast(value ->> 5 as bigint)
         from ",
        each_of!("$1"),
        " where true on conflict do nothing"
    ))
    .bind(json(left))
    .execute(connection)
    .await?;
    Ok(())
}

/// Lists the folder of a revision that is not in the history as kept.
pub(crate) async fn list_folder(
    connection: &mut Connection,
    kept: &SeriesKept,
) -> Result<(), CatalogError> {
    sqlx::query(
        "insert into objects_to_remove
            (place, folder, sop_instance_uid, series_instance_uid, reason, listed_at)
         select $1, true, '', $2, $3, $4
         where not exists (select 1 from revisions
             where series_instance_uid = $2 and kept_place = $1 and removed_at is null)
         on conflict do nothing",
    )
    .bind(text(&kept.place))
    .bind(kept.series_instance_uid.as_str())
    .bind(of_deletion(DeletionReason::Requested))
    .bind(nanoseconds(kept.kept_at))
    .execute(connection)
    .await?;
    Ok(())
}
