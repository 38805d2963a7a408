//! The outbox: announcements that were committed with what they announce, until the broker has
//! acknowledged them.

use super::database::CatalogWriter;
use super::database::dialect::{Connection, release};
use super::database::values::list;
use crate::announcements::{Announcement, AnnouncementRow};
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use contract::event::Event;

impl CatalogWriter {
    pub(crate) async fn waiting_announcements(
        &self,
        limit: u32,
    ) -> Result<Vec<Announcement>, CatalogError> {
        let mut connection = self.acquire().await?;
        let rows: Vec<AnnouncementRow> = sqlx::query_as(
            "select id, subject, message_id, time, payload, held from outbox order by id limit $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
        self.announces(&connection);
        release(connection);
        rows.into_iter().map(Announcement::of).collect()
    }

    pub(crate) async fn count_waiting_announcements(&self) -> Result<i64, CatalogError> {
        let mut connection = self.acquire().await?;
        let count = sqlx::query_scalar("select count(*) from outbox");
        let count = count.fetch_one(&mut *connection).await?;
        release(connection);
        Ok(count)
    }

    pub(crate) async fn announced(&self, ids: &[i64]) -> Result<(), CatalogError> {
        let mut transaction = self.begin_announced().await?;
        sqlx::query(concat!("delete from outbox where id ", one_of!("$1")))
            .bind(list(ids))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Puts an event into the outbox.
pub(crate) async fn announce<E: Event>(
    connection: &mut Connection,
    event: &E,
) -> Result<(), CatalogError> {
    put(connection, event, None).await
}

/// Puts an event into the outbox that becomes a dead letter, and why.
pub(crate) async fn hold<E: Event>(
    connection: &mut Connection,
    event: &E,
    why: &str,
) -> Result<(), CatalogError> {
    put(connection, event, Some(why)).await
}

async fn put<E: Event>(
    connection: &mut Connection,
    event: &E,
    held: Option<&str>,
) -> Result<(), CatalogError> {
    let id = event.id();
    let payload = serde_json::to_string(event)
        .map_err(|error| CatalogError::Unreadable(format!("announcement {id}: {error}")))?;
    sqlx::query(
        "insert into outbox (subject, message_id, time, payload, held) values ($1, $2, $3, $4, $5)",
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
