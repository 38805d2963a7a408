//! Who sends, and what the evidence of each is worth.

use crate::error::CatalogError;
use crate::records::{SenderRecord, SenderRow};
use crate::sqlite::CatalogReader;
use sqlx::SqlitePool;

impl CatalogReader {
    pub(crate) async fn senders(&self) -> Result<Vec<SenderRecord>, CatalogError> {
        all(&self.pool).await
    }
}

/// All of them, by AE title.
pub(in crate::sqlite) async fn all(pool: &SqlitePool) -> Result<Vec<SenderRecord>, CatalogError> {
    let rows: Vec<SenderRow> = sqlx::query_as(
        "select calling_ae_title, last_seen_at, released_disproved_at, released_disproved_by,
                    expected_disproved_at, expected_disproved_by
             from sources order by calling_ae_title",
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(SenderRecord::of).collect()
}
