//! The pauses inside series that were learnt of each sender: one row is written for each sender of which a series was
//! complete, none for an instance.

use super::database::CatalogWriter;
use super::database::dialect::{Connection, release};
use super::database::values::key;
use crate::encoding::{json, pauses};
use crate::error::CatalogError;
use completion::Pauses;

impl CatalogWriter {
    pub(crate) async fn pauses(&self) -> Result<Vec<(String, Pauses)>, CatalogError> {
        let mut connection = self.acquire().await?;
        let rows: Vec<(String, String)> =
            sqlx::query_as("select calling_ae_title, pauses from sources where pauses is not null")
                .fetch_all(&mut *connection)
                .await?;
        release(connection);
        let read = |(sender, known): (String, String)| Ok((sender, pauses(&known)?));
        rows.into_iter().map(read).collect()
    }
}

/// Keeps the pauses of senders. Each has sent an instance, so there is a row of it.
pub(crate) async fn keep(
    connection: &mut Connection,
    changed: &[(String, Pauses)],
) -> Result<(), CatalogError> {
    for (sender, pauses) in changed {
        sqlx::query("update sources set pauses = $1 where calling_ae_title = $2")
            .bind(json(pauses))
            .bind(key(sender))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
