//! How rows are read from PostgreSQL, and how it merges the halves of a list.

use crate::error::CatalogError;
use crate::postgres::CatalogReader;
use serde::de::DeserializeOwned;
use sqlx::{Postgres, QueryBuilder};

impl CatalogReader {
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

/// The beginning of a statement for [`CatalogReader::collect`]; what follows has a JSON column `row`, the first.
pub(in crate::postgres) const ROWS: &str = "";

/// How each half of a list begins: of what agrees, and of what does not.
pub(in crate::postgres) const HALVES: [&str; 2] = ["(", ") union all ("];

/// What stands after both.
pub(in crate::postgres) const HALVES_END: &str = ")";

/// Ends a half, which has an order and a limit by itself, so that no record is made that is not on the page.
pub(in crate::postgres) fn push_end_of_half(
    query: &mut QueryBuilder<Postgres>,
    order: &str,
    limit: i64,
) {
    query.push(format_args!(" order by {order} limit ")).push_bind(limit);
}
