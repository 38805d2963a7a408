//! How rows are read from SQLite, and how it merges the halves of a list.

use crate::error::CatalogError;
use crate::sqlite::CatalogReader;
use serde::de::DeserializeOwned;
use sqlx::{QueryBuilder, Sqlite};

impl CatalogReader {
    /// Runs a statement whose rows are JSON in a column `row`, and reads them.
    ///
    /// They come as one value: sqlx hands each row from its thread to ours, and copies each column
    /// on its own, which for a page costs several times what SQLite needs to find it.
    pub(in crate::sqlite) async fn collect<T: DeserializeOwned>(
        &self,
        rows: QueryBuilder<Sqlite>,
    ) -> Result<Vec<T>, CatalogError> {
        let mut rows = rows;
        rows.push(")");
        let collected: String = rows.build_query_scalar().fetch_one(&self.pool).await?;
        serde_json::from_str(&collected)
            .map_err(|error| CatalogError::Unreadable(format!("a page of a list: {error}")))
    }

    /// Runs a statement that counts.
    pub(in crate::sqlite) async fn count(
        &self,
        mut query: QueryBuilder<Sqlite>,
    ) -> Result<u64, CatalogError> {
        let count: i64 = query.build_query_scalar().fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }
}

/// The beginning of a statement for [`CatalogReader::collect`]; what follows has a JSON column `row`.
pub(in crate::sqlite) const ROWS: &str =
    "select '[' || coalesce(group_concat(row, ','), '') || ']' from (";

/// How each half of a list begins: of what agrees, and of what does not.
pub(in crate::sqlite) const HALVES: [&str; 2] = ["", " union all "];

/// What stands after both.
pub(in crate::sqlite) const HALVES_END: &str = "";

/// Ends a half: here only the whole has an order and a limit.
pub(in crate::sqlite) fn push_end_of_half(_: &mut QueryBuilder<Sqlite>, _order: &str, _limit: i64) {
}
