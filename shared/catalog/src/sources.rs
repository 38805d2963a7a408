//! Senders, by their calling AE title: when they were last heard of, and which evidence of theirs
//! has proved wrong.

use super::{Catalog, CatalogError, Received, json, nanoseconds, optional_timestamp, timestamp};
use completion::Lesson;
use contract::event::Reason;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use std::collections::HashMap;

/// A sender as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRecord {
    /// Its AE title, as it calls itself.
    pub calling_ae_title: String,
    /// Broker's time of its latest instance.
    pub last_seen_at: Timestamp,
    /// When and by which series it was shown that its releases prove nothing.
    pub released_disproved: Option<(Timestamp, String)>,
    /// When and by which series it was shown that its expected counts prove nothing.
    pub expected_disproved: Option<(Timestamp, String)>,
}

type Row = (String, i64, Option<i64>, Option<String>, Option<i64>, Option<String>);

impl Catalog {
    /// The senders that were heard of, by AE title.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn sources(&self) -> Result<Vec<SourceRecord>, CatalogError> {
        let rows: Vec<Row> = sqlx::query_as(
            "select calling_ae_title, last_seen_at, released_disproved_at, released_disproved_by,
                    expected_disproved_at, expected_disproved_by
             from sources order by calling_ae_title",
        )
        .fetch_all(&self.pool)
        .await?;
        let disproved = |at, by| Ok::<_, CatalogError>(optional_timestamp(at)?.zip(by));
        rows.into_iter()
            .map(|(calling_ae_title, seen, released_at, released_by, expected_at, expected_by)| {
                Ok(SourceRecord {
                    calling_ae_title,
                    last_seen_at: timestamp(seen)?,
                    released_disproved: disproved(released_at, released_by)?,
                    expected_disproved: disproved(expected_at, expected_by)?,
                })
            })
            .collect()
    }

    /// Which evidence of which sender is not believed: its AE title and the rule.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn disproved(&self) -> Result<Vec<(String, Reason)>, CatalogError> {
        let sources = self.sources().await?;
        let rules = sources.into_iter().flat_map(|source| {
            let released = source.released_disproved.map(|_| Reason::Released);
            let expected = source.expected_disproved.map(|_| Reason::Expected);
            let name = source.calling_ae_title;
            released.into_iter().chain(expected).map(move |rule| (name.clone(), rule))
        });
        Ok(rules.collect())
    }
}

/// Takes note of who sent the instances of a batch.
pub(super) async fn see(
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
pub(super) async fn learn(
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
                    .bind(&disproof.source)
                    .execute(&mut *connection)
                    .await?;
            }
            Lesson::Trusted { source } => {
                sqlx::query(
                    "update sources set released_disproved_at = null, released_disproved_by = null,
                                        expected_disproved_at = null, expected_disproved_by = null
                     where calling_ae_title = ?",
                )
                .bind(source)
                .execute(&mut *connection)
                .await?;
            }
        }
    }
    Ok(())
}
