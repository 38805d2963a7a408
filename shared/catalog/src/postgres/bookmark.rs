//! How far INSTANCES is in the catalogue.

use crate::batch::{Bookmark, EventMark};
use crate::encoding::{optional_timestamp, timestamp};
use crate::error::CatalogError;
use sqlx::PgConnection;

/// What it is made of.
type BookmarkRow = (i64, i64, Option<i64>, Option<String>, Option<i64>);

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
    row.map(|(created, last, at, message_id, latest)| {
        let event = optional_timestamp(at)?
            .zip(message_id)
            .map(|(at, message_id)| EventMark { at, message_id });
        let stream_created = timestamp(created)?;
        let (last_sequence, latest) = (last.unsigned_abs(), optional_timestamp(latest)?);
        Ok(Bookmark { stream_created, last_sequence, event, latest })
    })
    .transpose()
}
