//! Senders, by their calling AE title: when they were last heard of, and which evidence of theirs
//! has proved wrong.

use crate::batch::Received;
use crate::encoding::{json, nanoseconds};
use crate::error::CatalogError;
use crate::records::disproved;
use crate::sqlite::CatalogWriter;
use crate::sqlite::read::senders;
use completion::Lesson;
use contract::event::Reason;
use sqlx::SqliteConnection;
use std::collections::HashMap;

impl CatalogWriter {
    pub(crate) async fn disproved(&self) -> Result<Vec<(String, Reason)>, CatalogError> {
        let senders = senders::all(&self.pool).await?;
        Ok(disproved(senders))
    }
}

/// Takes note of who sent the instances of a batch.
pub(in crate::sqlite) async fn see(
    connection: &mut SqliteConnection,
    instances: &[Received],
) -> Result<(), CatalogError> {
    if instances.is_empty() {
        return Ok(());
    }
    let seen: HashMap<&str, i64> = instances
        .iter()
        .map(|instance| (instance.event.calling_ae_title.as_str(), nanoseconds(instance.at)))
        .collect();
    sqlx::query(
        "insert into sources (calling_ae_title, last_seen_at)
         select key, value from json_each(?) where true
         on conflict (calling_ae_title) do update set last_seen_at = excluded.last_seen_at",
    )
    .bind(json(&seen))
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps what was learned, in order.
pub(in crate::sqlite) async fn learn(
    connection: &mut SqliteConnection,
    lessons: &[Lesson],
) -> Result<(), CatalogError> {
    for lesson in lessons {
        match lesson {
            Lesson::Disproved(disproof) => {
                let statement = match disproof.rule {
                    Reason::Expected => {
                        "update sources set expected_disproved_at = ?, expected_disproved_by = ?
                         where calling_ae_title = ?"
                    }
                    _ => {
                        "update sources set released_disproved_at = ?, released_disproved_by = ?
                         where calling_ae_title = ?"
                    }
                };
                sqlx::query(statement)
                    .bind(nanoseconds(disproof.at))
                    .bind(disproof.series.as_str())
                    .bind(&disproof.sender)
                    .execute(&mut *connection)
                    .await?;
            }
            Lesson::Trusted { sender } => {
                sqlx::query(
                    "update sources set released_disproved_at = null, released_disproved_by = null,
                                        expected_disproved_at = null, expected_disproved_by = null
                     where calling_ae_title = ?",
                )
                .bind(sender)
                .execute(&mut *connection)
                .await?;
            }
        }
    }
    Ok(())
}
