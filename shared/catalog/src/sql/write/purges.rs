//! Series whose files leave the instance store: their rows name none any more, and that is announced.

use super::database::CatalogWriter;
use super::database::dialect::{Connection, release};
use super::outbox::announce;
use crate::batch::Restored;
use crate::encoding::{count, nanoseconds};
use crate::error::CatalogError;
use crate::purges::{INSTANCES_AT_ONCE, PURGED_AT_ONCE, PurgedSeries, ToPurge};
use contract::event::SeriesPurged;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

impl CatalogWriter {
    pub(crate) async fn store_bytes(&self) -> Result<u64, CatalogError> {
        let mut connection = self.acquire().await?;
        let query = "select cast(coalesce(sum(store_bytes), 0) as bigint) from series where store_bytes > 0";
        let bytes: i64 = sqlx::query_scalar(query).fetch_one(&mut *connection).await?;
        release(connection);
        Ok(bytes.unsigned_abs())
    }

    pub(crate) async fn purge(
        &self,
        which: ToPurge,
        now: Timestamp,
    ) -> Result<Vec<SeriesPurged>, CatalogError> {
        let before = match which {
            ToPurge::CompletedBefore(before) => nanoseconds(before),
            ToPurge::Bytes(_) => i64::MAX,
        };
        let mut transaction = self.begin_write().await?;
        // One that waits to be kept, or whose completion waits to be announced or for a person, is not done with.
        let rows: Vec<PurgedSeries> = sqlx::query_as(concat!(
            "select series_instance_uid, study_instance_uid, modality, revision,
                    coalesce((select last_sequence from bookmark where ",
            our_row!(),
            "), 0) as last_sequence
             from series
             where store_bytes > 0 and completed_at < $1 and state = 'complete' and not held
                 and not exists (select 1 from series_to_keep
                     where series_to_keep.series_instance_uid = series.series_instance_uid)
                 and not exists (select 1 from outbox
                     where message_id = series.series_instance_uid || ':' || series.revision)
             order by completed_at limit $2"
        ))
        .bind(before)
        .bind(PURGED_AT_ONCE)
        .fetch_all(&mut *transaction)
        .await?;
        let (mut events, mut instances, mut bytes) = (Vec::with_capacity(rows.len()), 0, 0);
        for row in rows {
            let files = files(&mut transaction, &row.series_instance_uid).await?;
            let event = row.into_event(which.reason(), files, now)?;
            let reason = event.reason.as_str();
            self.clear(&mut transaction, &event, reason).await?;
            announce(&mut transaction, &event).await?;
            instances += event.instances_purged;
            bytes += event.bytes;
            events.push(event);
            let is_enough = matches!(which, ToPurge::Bytes(excess) if bytes >= excess);
            if is_enough || instances >= INSTANCES_AT_ONCE {
                break;
            }
        }
        transaction.commit().await?;
        Ok(events)
    }

    pub(crate) async fn has_purge(&self, fact: &SeriesPurged) -> Result<bool, CatalogError> {
        let mut connection = self.acquire().await?;
        let has = is_purged(&mut connection, &fact.series_instance_uid, fact.revision).await?;
        release(connection);
        Ok(has)
    }

    pub(crate) async fn restore_purge(
        &self,
        fact: &SeriesPurged,
    ) -> Result<Restored, CatalogError> {
        let mut transaction = self.begin_write().await?;
        if is_purged(&mut transaction, &fact.series_instance_uid, fact.revision).await? {
            transaction.rollback().await?;
            return Ok(Restored::Known);
        }
        self.clear(&mut transaction, fact, fact.reason.as_str()).await?;
        sqlx::query("delete from series_to_keep where series_instance_uid = $1 and revision <= $2")
            .bind(fact.series_instance_uid.as_str())
            .bind(i64::from(fact.revision))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Restored::Whole)
    }

    /// The instances of a series that came by the event's sequence have no files any more.
    async fn clear(
        &self,
        connection: &mut Connection,
        event: &SeriesPurged,
        reason: &str,
    ) -> Result<(), CatalogError> {
        let (series, up_to) = (&event.series_instance_uid, count(event.instances_sequence));
        self.remove_files(connection, series, event.revision, up_to, reason, event.purged_at)
            .await?;
        sqlx::query(
            "update instances set object_key = null, object_bytes = null, object_blake3 = null
             where series_instance_uid = $1 and stream_sequence <= $2 and object_key is not null",
        )
        .bind(series.as_str())
        .bind(up_to)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "update series set store_bytes = (select sum(object_bytes) from instances
                 where instances.series_instance_uid = $1 and object_key is not null)
             where series_instance_uid = $1",
        )
        .bind(series.as_str())
        .execute(&mut *connection)
        .await?;
        // Also where this catalogue has no store: it is known by this.
        sqlx::query(
            "update revisions set removed_at = $3
             where series_instance_uid = $1 and revision <= $2 and removed_at is null",
        )
        .bind(series.as_str())
        .bind(i64::from(event.revision))
        .bind(nanoseconds(event.purged_at))
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// How many instances of a series have files, and their length.
async fn files(connection: &mut Connection, series: &str) -> Result<(u64, u64), CatalogError> {
    let (instances, bytes): (i64, i64) = sqlx::query_as(
        "select count(*), cast(coalesce(sum(object_bytes), 0) as bigint) from instances
         where series_instance_uid = $1 and object_key is not null",
    )
    .bind(series)
    .fetch_one(connection)
    .await?;
    Ok((instances.unsigned_abs(), bytes.unsigned_abs()))
}

/// Whether the files of a revision are gone by the history.
async fn is_purged(
    connection: &mut Connection,
    series: &SeriesInstanceUid,
    revision: u32,
) -> Result<bool, CatalogError> {
    let query = "select exists (select 1 from revisions
        where series_instance_uid = $1 and revision = $2 and removed_at is not null)";
    let query = sqlx::query_scalar(query).bind(series.as_str()).bind(i64::from(revision));
    Ok(query.fetch_one(connection).await?)
}
