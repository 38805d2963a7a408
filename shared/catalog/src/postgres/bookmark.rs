//! How far INSTANCES is in the catalogue.

use crate::batch::{Bookmark, BookmarkRow};
use crate::error::CatalogError;
use sqlx::PgConnection;

/// How far the stream has been read, if it ever was.
pub(in crate::postgres) async fn read(
    connection: &mut PgConnection,
) -> Result<Option<Bookmark>, CatalogError> {
    let row: Option<BookmarkRow> = sqlx::query_as(
        "select stream_created, last_sequence, last_at, last_message_id, latest_at from bookmark
         where shard = 0 and stream_created is not null",
    )
    .fetch_optional(connection)
    .await?;
    row.map(Bookmark::of).transpose()
}
