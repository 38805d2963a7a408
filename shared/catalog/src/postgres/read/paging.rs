//! Lists in pages. A page begins after a position, so that its cost does not depend on how many
//! there were before, and what comes meanwhile is neither skipped nor told twice: all that completes or stores takes
//! one lock, so that positions are committed in their order.

use crate::error::CatalogError;
use crate::postgres::CatalogReader;
use crate::search::Page;
use serde::de::DeserializeOwned;
use sqlx::{Postgres, QueryBuilder};

impl CatalogReader {
    /// Runs a statement whose first column is a JSON list of key, id and record, one row more than the
    /// limit if there are.
    pub(in crate::postgres) async fn page<T: DeserializeOwned>(
        &self,
        rows: QueryBuilder<Postgres>,
        limit: u32,
    ) -> Result<Page<T>, CatalogError> {
        Ok(Page::of(self.collect(rows).await?, limit))
    }

    /// Runs a statement whose first column is JSON as text, and reads it.
    pub(in crate::postgres) async fn collect<T: DeserializeOwned>(
        &self,
        mut rows: QueryBuilder<Postgres>,
    ) -> Result<Vec<T>, CatalogError> {
        let mut connection = self.connection().await?;
        // Each search is another statement, and most are asked for once.
        let query = rows.build_query_scalar().persistent(false);
        let rows: Vec<String> = query.fetch_all(&mut *connection).await?;
        let read = |row: &String| serde_json::from_str(row);
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|error| CatalogError::Unreadable(format!("a page of a list: {error}")))
    }

    /// Runs a statement that counts.
    pub(in crate::postgres) async fn count(
        &self,
        mut query: QueryBuilder<Postgres>,
    ) -> Result<u64, CatalogError> {
        let mut connection = self.connection().await?;
        let query = query.build_query_scalar().persistent(false);
        let count: i64 = query.fetch_one(&mut *connection).await?;
        Ok(count.unsigned_abs())
    }
}
