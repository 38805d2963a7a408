//! How far INSTANCES is in the catalogue.

use crate::batch::{Bookmark, BookmarkRow};
use crate::error::CatalogError;
use sqlx::SqlitePool;

/// How far the stream has been read, if it ever was.
pub(in crate::sqlite) async fn read(pool: &SqlitePool) -> Result<Option<Bookmark>, CatalogError> {
    let row: Option<BookmarkRow> = sqlx::query_as(
        "select stream_created, last_sequence, last_at, last_message_id, latest_at from bookmark",
    )
    .fetch_optional(pool)
    .await?;
    row.map(Bookmark::of).transpose()
}
