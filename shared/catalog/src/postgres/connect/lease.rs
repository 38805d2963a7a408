//! The lease on a catalogue in PostgreSQL: in the bookmark's row, by the clock of the database. Each transaction that
//! writes updates that row first, if it still has the epoch of the writer.
//!
//! The lease on a catalogue that is being made never ends: nobody else takes it, and what was interrupted is known by it.

use crate::error::CatalogError;
use crate::lease::LEASE;
use sqlx::PgConnection;

/// Takes the lease once it is not renewed any more. Whoever has its row locked is in the middle of a write, however long
/// ago that renewed it.
const TAKE: &str = "
update bookmark set epoch = epoch + 1, holder = $1,
    expires_at = clock_timestamp() + make_interval(secs => $2)
where shard = 0 and expires_at <> 'infinity' and ($3 or exists (select 1 from bookmark
    where shard = 0 and expires_at < clock_timestamp() for update skip locked))
returning epoch";

/// Takes it on a catalogue that is being made: one that nobody ever had, or one that was not finished.
const TAKE_NEW: &str = "
update bookmark set epoch = epoch + 1, holder = $1, expires_at = 'infinity'
where shard = 0 and (epoch = 0 or expires_at = 'infinity')
returning epoch";

/// Renews it, if it is ours.
const RENEW: &str = "
update bookmark set expires_at = case when expires_at = 'infinity' then expires_at
    else clock_timestamp() + make_interval(secs => $1) end
where shard = 0 and epoch = $2";

/// Ends it at once, if it is ours and the catalogue is whole.
const GIVE_UP: &str = "update bookmark set expires_at = '-infinity'
where shard = 0 and epoch = $1 and expires_at <> 'infinity'";

/// Ends that on a catalogue that is whole now.
const FINISH: &str = "update bookmark set expires_at = '-infinity' where shard = 0 and epoch = $1";

/// The lease of a catalogue's writer.
#[derive(Debug)]
pub(in crate::postgres) struct RowLease {
    epoch: i64,
}

impl RowLease {
    /// Takes it for `holder`, in any case where `anyway` says so. `None` while another writer renews it.
    pub(in crate::postgres) async fn take(
        connection: &mut PgConnection,
        holder: &str,
        anyway: bool,
    ) -> Result<Option<Self>, CatalogError> {
        let epoch: Option<i64> = sqlx::query_scalar(TAKE)
            .bind(holder)
            .bind(seconds())
            .bind(anyway)
            .fetch_optional(connection)
            .await?;
        Ok(epoch.map(|epoch| Self { epoch }))
    }

    /// Takes it for `holder`, who makes the catalogue. `None` where there is one.
    pub(in crate::postgres) async fn take_new(
        connection: &mut PgConnection,
        holder: &str,
    ) -> Result<Option<Self>, CatalogError> {
        let epoch: Option<i64> =
            sqlx::query_scalar(TAKE_NEW).bind(holder).fetch_optional(connection).await?;
        Ok(epoch.map(|epoch| Self { epoch }))
    }

    /// Whether there is a row to take it in: the first migration makes it.
    pub(in crate::postgres) async fn has_row(
        connection: &mut PgConnection,
    ) -> Result<bool, CatalogError> {
        let query = "select to_regclass('bookmark') is not null";
        Ok(sqlx::query_scalar(query).fetch_one(connection).await?)
    }

    /// Whether the catalogue is whole. It has that row.
    ///
    /// # Errors
    /// [`CatalogError::Unfinished`] when it is not.
    pub(in crate::postgres) async fn check_whole(
        connection: &mut PgConnection,
    ) -> Result<(), CatalogError> {
        match is_unfinished(connection).await? {
            true => Err(CatalogError::Unfinished),
            false => Ok(()),
        }
    }

    /// Renews it, and within a transaction keeps it until that ends.
    ///
    /// # Errors
    /// [`CatalogError::Superseded`] when another writer has it.
    pub(in crate::postgres) async fn renew(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), CatalogError> {
        let renewed =
            sqlx::query(RENEW).bind(seconds()).bind(self.epoch).execute(&mut *connection).await?;
        if renewed.rows_affected() > 0 {
            return Ok(());
        }
        let holder: Option<String> =
            sqlx::query_scalar("select holder from bookmark where shard = 0")
                .fetch_optional(connection)
                .await?
                .flatten();
        Err(CatalogError::Superseded(holder.unwrap_or_default()))
    }

    /// Gives it back, if it is still ours.
    pub(in crate::postgres) async fn give_up(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), CatalogError> {
        sqlx::query(GIVE_UP).bind(self.epoch).execute(connection).await?;
        Ok(())
    }

    /// Ends it, in a transaction that has renewed it: the catalogue is whole.
    pub(in crate::postgres) async fn finish(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), CatalogError> {
        sqlx::query(FINISH).bind(self.epoch).execute(connection).await?;
        Ok(())
    }

    /// How often the catalogue has changed hands.
    pub(in crate::postgres) fn epoch(&self) -> u64 {
        self.epoch.unsigned_abs()
    }
}

/// Whether the catalogue is being made, or that was interrupted.
pub(in crate::postgres) async fn is_unfinished(
    connection: &mut PgConnection,
) -> Result<bool, CatalogError> {
    let query = "select exists (select from bookmark where expires_at = 'infinity')";
    Ok(sqlx::query_scalar(query).fetch_one(connection).await?)
}

fn seconds() -> f64 {
    LEASE.as_secs_f64()
}
