//! Who sends, and what the evidence of each is worth.

use crate::encoding::{optional_timestamp, timestamp};
use crate::error::CatalogError;
use crate::records::SourceRecord;
use sqlx::PgConnection;

type Row = (String, i64, Option<i64>, Option<String>, Option<i64>, Option<String>);

/// All of them, by AE title.
pub(in crate::postgres) async fn all(
    connection: &mut PgConnection,
) -> Result<Vec<SourceRecord>, CatalogError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select calling_ae_title, last_seen_at, released_disproved_at, released_disproved_by,
                    expected_disproved_at, expected_disproved_by
             from sources order by calling_ae_title",
    )
    .fetch_all(connection)
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
