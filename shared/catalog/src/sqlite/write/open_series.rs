//! Series that are arriving: what the completion rules know of each, kept from one start of the
//! indexer to the next.

use crate::encoding::{json, nanoseconds, open_series};
use crate::error::CatalogError;
use crate::sqlite::CatalogWriter;
use completion::OpenSeries;
use contract::uid::SeriesInstanceUid;
use sqlx::SqliteConnection;

impl CatalogWriter {
    pub(crate) async fn open_series(
        &self,
    ) -> Result<Vec<(SeriesInstanceUid, OpenSeries)>, CatalogError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("select series_instance_uid, state from open_series")
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter().map(open_series).collect()
    }
}

/// Keeps what has changed of the series that are arriving.
pub(in crate::sqlite) async fn keep(
    connection: &mut SqliteConnection,
    changed: &[(SeriesInstanceUid, OpenSeries)],
) -> Result<(), CatalogError> {
    if changed.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = changed
        .iter()
        .map(|(series, open)| (series.as_str(), nanoseconds(open.last_activity), json(open)))
        .collect();
    let rows = json(&rows);
    sqlx::query(
        "insert into open_series (series_instance_uid, state)
         select value ->> 0, value ->> 2 from json_each(?) where true
         on conflict (series_instance_uid) do update set state = excluded.state",
    )
    .bind(&rows)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "update series set state = 'receiving', last_activity_at = changed.value ->> 1
         from json_each(?) as changed where series_instance_uid = changed.value ->> 0",
    )
    .bind(&rows)
    .execute(connection)
    .await?;
    Ok(())
}
