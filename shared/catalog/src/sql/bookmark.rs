//! How far INSTANCES is in the catalogue.

use super::database::CatalogWriter;
use super::database::bookmark::KEEP_BOOKMARK;
use super::database::dialect::{Connection, release};
use super::database::values::text;
use crate::batch::{Bookmark, BookmarkRow};
use crate::encoding::{count, nanoseconds};
use crate::error::CatalogError;

impl CatalogWriter {
    pub(crate) async fn bookmark(&self) -> Result<Option<Bookmark>, CatalogError> {
        let mut connection = self.acquire().await?;
        let bookmark = read(&mut connection).await?;
        release(connection);
        Ok(bookmark)
    }
}

/// How far the stream has been read, if it ever was.
pub(crate) async fn read(connection: &mut Connection) -> Result<Option<Bookmark>, CatalogError> {
    let row: Option<BookmarkRow> = sqlx::query_as(concat!(
        "select stream_created, last_sequence, last_at, last_message_id, latest_at from bookmark
         where stream_created is not null and ",
        our_row!()
    ))
    .fetch_optional(connection)
    .await?;
    row.map(Bookmark::of).transpose()
}

/// Keeps how far it has been read.
pub(crate) async fn keep(
    connection: &mut Connection,
    bookmark: &Bookmark,
) -> Result<(), CatalogError> {
    let event = bookmark.event.as_ref();
    sqlx::query(KEEP_BOOKMARK)
        .bind(nanoseconds(bookmark.stream_created))
        .bind(count(bookmark.last_sequence))
        .bind(event.map(|event| nanoseconds(event.at)))
        .bind(event.map(|event| text(&event.message_id)))
        .bind(bookmark.latest.map(nanoseconds))
        .execute(connection)
        .await?;
    Ok(())
}
