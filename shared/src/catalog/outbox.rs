//! The outbox: announcements that were committed with what they announce, until the broker has
//! acknowledged them.

use super::{Catalog, CatalogError, nanoseconds, timestamp};
use crate::event::Event;
use crate::subject::{Subject, UnknownSubject};
use jiff::Timestamp;
use sqlx::SqliteConnection;

/// An announcement that waits for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Its place in the outbox; announcements go out in this order.
    pub id: i64,
    /// Where it is published.
    pub subject: Subject,
    /// `SeriesInstanceUID:Revision` of a completion: published twice, it is still one.
    pub message_id: String,
    /// When it was decided.
    pub time: Timestamp,
    /// The event as JSON.
    pub payload: String,
}

impl Catalog {
    /// The oldest announcements that wait, `limit` at most.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn waiting_announcements(
        &self,
        limit: u32,
    ) -> Result<Vec<Announcement>, CatalogError> {
        let rows: Vec<(i64, String, String, i64, String)> = sqlx::query_as(
            "select id, subject, message_id, time, payload from outbox order by id limit ?",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(id, subject, message_id, time, payload)| {
                let time = timestamp(time)?;
                let subject = subject
                    .parse()
                    .map_err(|error: UnknownSubject| CatalogError::Unreadable(error.to_string()))?;
                Ok(Announcement { id, subject, message_id, time, payload })
            })
            .collect()
    }

    /// How many announcements wait.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn count_waiting_announcements(&self) -> Result<i64, CatalogError> {
        Ok(sqlx::query_scalar("select count(*) from outbox").fetch_one(&self.pool).await?)
    }

    /// Forgets the announcements up to and with `id`: the broker has them.
    ///
    /// # Errors
    /// When the catalogue can't be written; they will then be announced again.
    pub async fn announced(&self, id: i64) -> Result<(), CatalogError> {
        sqlx::query("delete from outbox where id <= ?").bind(id).execute(&self.pool).await?;
        Ok(())
    }
}

/// Puts an event into the outbox.
pub(super) async fn announce<E: Event>(
    connection: &mut SqliteConnection,
    event: &E,
) -> Result<(), CatalogError> {
    let id = event.id();
    let payload = serde_json::to_string(event)
        .map_err(|error| CatalogError::Unreadable(format!("announcement {id}: {error}")))?;
    sqlx::query("insert into outbox (subject, message_id, time, payload) values (?, ?, ?, ?)")
        .bind(event.subject().to_string())
        .bind(id)
        .bind(nanoseconds(event.time()))
        .bind(payload)
        .execute(connection)
        .await?;
    Ok(())
}
