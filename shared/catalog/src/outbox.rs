//! The outbox: announcements that were committed with what they announce, until the broker has
//! acknowledged them.

use super::{Catalog, CatalogError, nanoseconds, timestamp};
use contract::event::Event;
use contract::subject::{Subject, UnknownSubject};
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
    /// Why it is not announced but becomes a dead letter, for a person to decide on.
    pub held: Option<String>,
}

/// An announcement that was held back.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// Where it is published.
    pub subject: &'a Subject,
    /// See [`Announcement`].
    pub message_id: &'a str,
    /// When it was decided.
    pub time: Timestamp,
    /// The event as JSON.
    pub payload: &'a str,
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
        let rows: Vec<(i64, String, String, i64, String, Option<String>)> = sqlx::query_as(
            "select id, subject, message_id, time, payload, held from outbox order by id limit ?",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(id, subject, message_id, time, payload, held)| {
                let time = timestamp(time)?;
                let subject = subject
                    .parse()
                    .map_err(|error: UnknownSubject| CatalogError::Unreadable(error.to_string()))?;
                Ok(Announcement { id, subject, message_id, time, payload, held })
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

    /// Announces what was held back: a person has looked at it. Asked for again, it is once.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn release(&self, held: &Held<'_>) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query(
            "insert into outbox (subject, message_id, time, payload) values (?, ?, ?, ?)
             on conflict do nothing",
        )
        .bind(held.subject.to_string())
        .bind(held.message_id)
        .bind(nanoseconds(held.time))
        .bind(held.payload)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "update series set held = 0
             where series_instance_uid || ':' || revision = ?1
                 and series_instance_uid = substr(?1, 1, instr(?1, ':') - 1)",
        )
        .bind(held.message_id)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
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
    put(connection, event, None).await
}

/// Puts an event into the outbox that becomes a dead letter, and why.
pub(super) async fn hold<E: Event>(
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
