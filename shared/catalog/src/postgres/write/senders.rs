//! Senders, by their calling AE title: when they were last heard of, and which evidence of theirs
//! has proved wrong.

use crate::batch::Received;
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use crate::postgres::CatalogWriter;
use crate::postgres::read::senders;
use crate::postgres::values::key;
use crate::records::disproved;
use completion::Lesson;
use contract::event::Reason;
use sqlx::PgConnection;
use std::borrow::Cow;
use std::collections::HashMap;

impl CatalogWriter {
    pub(crate) async fn disproved(&self) -> Result<Vec<(String, Reason)>, CatalogError> {
        let mut connection = self.acquire().await?;
        let senders = senders::all(&mut connection).await?;
        connection.release();
        Ok(disproved(senders))
    }
}

/// Takes note of who sent the instances of a batch.
pub(in crate::postgres) async fn see(
    connection: &mut PgConnection,
    instances: &[Received],
) -> Result<(), CatalogError> {
    if instances.is_empty() {
        return Ok(());
    }
    let seen: HashMap<Cow<'_, str>, i64> = instances
        .iter()
        .map(|instance| (key(&instance.event.calling_ae_title), nanoseconds(instance.at)))
        .collect();
    sqlx::query(
        "insert into sources (calling_ae_title, last_seen_at)
         select * from unnest($1::text[], $2::bigint[])
         on conflict (calling_ae_title) do update set last_seen_at = excluded.last_seen_at",
    )
    .bind(seen.keys().collect::<Vec<_>>())
    .bind(seen.values().copied().collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps what was learned, in order.
pub(in crate::postgres) async fn learn(
    connection: &mut PgConnection,
    lessons: &[Lesson],
) -> Result<(), CatalogError> {
    for lesson in lessons {
        match lesson {
            Lesson::Disproved(disproof) => {
                let statement = match disproof.rule {
                    Reason::Expected => {
                        "update sources set expected_disproved_at = $1, expected_disproved_by = $2
                         where calling_ae_title = $3"
                    }
                    _ => {
                        "update sources set released_disproved_at = $1, released_disproved_by = $2
                         where calling_ae_title = $3"
                    }
                };
                sqlx::query(statement)
                    .bind(nanoseconds(disproof.at))
                    .bind(disproof.series.as_str())
                    .bind(key(&disproof.sender))
                    .execute(&mut *connection)
                    .await?;
            }
            Lesson::Trusted { sender } => {
                sqlx::query(
                    "update sources set released_disproved_at = null, released_disproved_by = null,
                                        expected_disproved_at = null, expected_disproved_by = null
                     where calling_ae_title = $1",
                )
                .bind(key(sender))
                .execute(&mut *connection)
                .await?;
            }
        }
    }
    Ok(())
}
