//! Lists in pages. A page begins after a position, so that its cost does not depend on how many
//! there were before, and what comes meanwhile is neither skipped nor told twice: all that completes or stores takes
//! one lock, so that positions are committed in their order.

use super::database::CatalogReader;
use super::database::dialect::Database;
use crate::error::CatalogError;
use crate::search::Page;
use serde::de::DeserializeOwned;
use sqlx::QueryBuilder;

impl CatalogReader {
    /// Runs a statement that gives JSON lists of key, id and record, one more than the limit if
    /// there are.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        rows: QueryBuilder<Database>,
        limit: u32,
    ) -> Result<Page<T>, CatalogError> {
        Ok(Page::of(self.collect(rows).await?, limit))
    }
}
