//! The outbox: announcements that were committed with what they announce, until the broker has
//! acknowledged them.

use crate::announcements::{Announcement, AnnouncementRow};
use crate::encoding::{json, nanoseconds};
use crate::error::CatalogError;
use crate::sqlite::CatalogWriter;
use contract::event::Event;
use sqlx::SqliteConnection;

impl CatalogWriter {
    pub(crate) async fn waiting_announcements(
        &self,
        limit: u32,
    ) -> Result<Vec<Announcement>, CatalogError> {
        let rows: Vec<AnnouncementRow> = sqlx::query_as(
            "select id, subject, message_id, time, payload, held from outbox order by id limit ?",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Announcement::of).collect()
    }

    pub(crate) async fn count_waiting_announcements(&self) -> Result<i64, CatalogError> {
        Ok(sqlx::query_scalar("select count(*) from outbox").fetch_one(&self.pool).await?)
    }

    pub(crate) async fn announced(&self, ids: &[i64]) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        let forget = "delete from outbox where id in (select value from json_each(?))";
        sqlx::query(forget).bind(json(ids)).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }
}

/// Puts an event into the outbox.
pub(in crate::sqlite) async fn announce<E: Event>(
    connection: &mut SqliteConnection,
    event: &E,
) -> Result<(), CatalogError> {
    put(connection, event, None).await
}

/// Puts an event into the outbox that becomes a dead letter, and why.
pub(in crate::sqlite) async fn hold<E: Event>(
    connection: &mut SqliteConnection,
    event: &E,
    why: &str,
) -> Result<(), CatalogError> {
    put(connection, event, Some(why)).await
}

async fn put<E: Event>(
    connection: &mut SqliteConnection,
    event: &E,
    held: Option<&str>,
) -> Result<(), CatalogError> {
    let id = event.id();
    let payload = serde_json::to_string(event)
        .map_err(|error| CatalogError::Unreadable(format!("announcement {id}: {error}")))?;
    sqlx::query(
        "insert into outbox (subject, message_id, time, payload, held) values (?, ?, ?, ?, ?)",
    )
    .bind(event.subject().to_string())
    .bind(id)
    .bind(nanoseconds(event.time()))
    .bind(payload)
    .bind(held)
    .execute(connection)
    .await?;
    Ok(())
}
