//! Who sends, and what the evidence of each is worth.

use crate::encoding::{optional_timestamp, timestamp};
use crate::error::CatalogError;
use crate::records::SenderRecord;
use crate::sqlite::CatalogReader;
use sqlx::SqlitePool;

type Row = (String, i64, Option<i64>, Option<String>, Option<i64>, Option<String>);

impl CatalogReader {
    /// The senders that were heard of, by AE title.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn senders(&self) -> Result<Vec<SenderRecord>, CatalogError> {
        all(&self.pool).await
    }
}

/// All of them, by AE title.
pub(in crate::sqlite) async fn all(pool: &SqlitePool) -> Result<Vec<SenderRecord>, CatalogError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select calling_ae_title, last_seen_at, released_disproved_at, released_disproved_by,
                    expected_disproved_at, expected_disproved_by
             from sources order by calling_ae_title",
    )
    .fetch_all(pool)
    .await?;
    let disproved = |at, by| Ok::<_, CatalogError>(optional_timestamp(at)?.zip(by));
    rows.into_iter()
        .map(|(calling_ae_title, seen, released_at, released_by, expected_at, expected_by)| {
            Ok(SenderRecord {
                calling_ae_title,
                last_seen_at: timestamp(seen)?,
                released_disproved: disproved(released_at, released_by)?,
                expected_disproved: disproved(expected_at, expected_by)?,
            })
        })
        .collect()
}
