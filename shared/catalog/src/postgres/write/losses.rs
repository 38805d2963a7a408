//! What INSTANCES has lost.

use crate::encoding::{timestamp, word};
use crate::error::CatalogError;
use crate::losses::Loss;
use sqlx::PgConnection;

/// What was lost, the latest first.
pub(in crate::postgres) async fn all(
    connection: &mut PgConnection,
) -> Result<Vec<Loss>, CatalogError> {
    let rows: Vec<(i64, i64, String, i64)> = sqlx::query_as(
        "select first_sequence, last_sequence, cause, noticed_at from losses
         order by noticed_at desc",
    )
    .fetch_all(connection)
    .await?;
    let loss = |(first, last, cause, noticed_at): (i64, i64, String, i64)| {
        Ok(Loss {
            first: first.unsigned_abs(),
            last: last.unsigned_abs(),
            cause: word(&cause)?,
            noticed_at: timestamp(noticed_at)?,
        })
    };
    rows.into_iter().map(loss).collect()
}
