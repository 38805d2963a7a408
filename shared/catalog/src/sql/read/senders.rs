//! Who sends, and what the evidence of each is worth.

use super::database::CatalogReader;
use super::database::dialect::Connection;
use crate::error::CatalogError;
use crate::records::{SenderRecord, SenderRow};

impl CatalogReader {
    pub(crate) async fn senders(&self) -> Result<Vec<SenderRecord>, CatalogError> {
        all(&mut *self.connection().await?).await
    }
}

/// All of them, by AE title.
pub(crate) async fn all(connection: &mut Connection) -> Result<Vec<SenderRecord>, CatalogError> {
    let rows: Vec<SenderRow> = sqlx::query_as(
        "select calling_ae_title, last_seen_at, released_disproved_at, released_disproved_by,
                expected_disproved_at, expected_disproved_by, confirmed_disproved_at, confirmed_disproved_by,
                performed_disproved_at, performed_disproved_by, available_disproved_at, available_disproved_by,
                pauses
         from sources order by calling_ae_title",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(SenderRecord::of).collect()
}
