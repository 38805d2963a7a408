//! Series that are arriving: what the completion rules know of each, kept from one start of the
//! indexer to the next.

use crate::encoding::{json, nanoseconds, open_series};
use crate::error::CatalogError;
use crate::postgres::CatalogWriter;
use completion::OpenSeries;
use contract::uid::SeriesInstanceUid;
use sqlx::PgConnection;
use std::collections::HashMap;

impl CatalogWriter {
    pub(crate) async fn open_series(
        &self,
    ) -> Result<Vec<(SeriesInstanceUid, OpenSeries)>, CatalogError> {
        let mut connection = self.acquire().await?;
        let rows: Vec<(String, String)> =
            sqlx::query_as("select series_instance_uid, state from open_series")
                .fetch_all(&mut *connection)
                .await?;
        connection.release();
        rows.into_iter().map(open_series).collect()
    }
}

/// Keeps what has changed of the series that are arriving.
pub(in crate::postgres) async fn keep(
    connection: &mut PgConnection,
    changed: &[(SeriesInstanceUid, OpenSeries)],
) -> Result<(), CatalogError> {
    if changed.is_empty() {
        return Ok(());
    }
    // The last of each: nothing is written twice by one statement.
    let last: HashMap<&str, &OpenSeries> =
        changed.iter().map(|(series, open)| (series.as_str(), open)).collect();
    let series: Vec<&str> = last.keys().copied().collect();
    sqlx::query(
        "insert into open_series (series_instance_uid, state)
         select * from unnest($1::text[], $2::text[])
         on conflict (series_instance_uid) do update set state = excluded.state",
    )
    .bind(&series)
    .bind(last.values().map(json).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "update series set state = 'receiving', last_activity_at = changed.at
         from unnest($1::text[], $2::bigint[]) as changed (series, at)
         where series_instance_uid = changed.series",
    )
    .bind(&series)
    .bind(last.values().map(|open| nanoseconds(open.last_activity)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
