//! Lists in pages. A page begins after a position, so that its cost does not depend on how many
//! there were before, and what comes meanwhile is neither skipped nor told twice.

use crate::error::CatalogError;
use crate::search::Page;
use crate::sqlite::CatalogReader;
use serde::de::DeserializeOwned;
use sqlx::{QueryBuilder, Sqlite};

impl CatalogReader {
    /// Runs a statement that gives JSON lists of key, id and record, one more than the limit if
    /// there are.
    pub(in crate::sqlite) async fn page<T: DeserializeOwned>(
        &self,
        rows: QueryBuilder<Sqlite>,
        limit: u32,
    ) -> Result<Page<T>, CatalogError> {
        Ok(Page::of(self.collect(rows).await?, limit))
    }

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
}

/// The beginning of a statement for [`CatalogReader::collect`]; what follows has a JSON column `row`.
pub(in crate::sqlite) const COLLECT: &str =
    "select '[' || coalesce(group_concat(row, ','), '') || ']' from (";
