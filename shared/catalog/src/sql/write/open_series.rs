//! Series that are arriving: what the completion rules know of each, kept from one start of the
//! indexer to the next.

use super::database::CatalogWriter;
use super::database::dialect::release;
use crate::encoding::open_series;
use crate::error::CatalogError;
use completion::OpenSeries;
use contract::uid::SeriesInstanceUid;

impl CatalogWriter {
    pub(crate) async fn open_series(
        &self,
    ) -> Result<Vec<(SeriesInstanceUid, OpenSeries)>, CatalogError> {
        let mut connection = self.acquire().await?;
        let rows: Vec<(String, String)> =
            sqlx::query_as("select series_instance_uid, state from open_series")
                .fetch_all(&mut *connection)
                .await?;
        release(connection);
        rows.into_iter().map(open_series).collect()
    }
}
