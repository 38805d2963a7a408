//! How far each webhook is in SERIES: the broker knows it by the webhook's consumer, and this outlives that.

use super::database::CatalogReader;
use super::database::dialect::release;
use super::database::values::list;
use crate::announcements::Delivered;
use crate::encoding::{count, nanoseconds};
use crate::error::CatalogError;

impl CatalogReader {
    pub(crate) async fn delivered(&self, webhook: &str) -> Result<Option<Delivered>, CatalogError> {
        let mut connection = self.connection().await?;
        let row: Option<(i64, i64)> =
            sqlx::query_as("select series_created, delivered from webhooks where name = $1")
                .bind(webhook)
                .fetch_optional(&mut *connection)
                .await?;
        row.map(|row| Delivered::of(webhook, row)).transpose()
    }

    pub(crate) async fn keep_delivered(
        &self,
        webhook: &str,
        delivered: Delivered,
    ) -> Result<(), CatalogError> {
        let mut connection = self.writer.acquire().await?;
        sqlx::query(
            "insert into webhooks (name, series_created, delivered) values ($1, $2, $3)
             on conflict (name) do update
             set series_created = excluded.series_created, delivered = excluded.delivered",
        )
        .bind(webhook)
        .bind(nanoseconds(delivered.series_created))
        .bind(count(delivered.up_to))
        .execute(&mut *connection)
        .await?;
        release(connection);
        Ok(())
    }

    pub(crate) async fn forget_other_webhooks(&self, names: &[&str]) -> Result<(), CatalogError> {
        let mut connection = self.writer.acquire().await?;
        sqlx::query(concat!("delete from webhooks where not name ", one_of!("$1")))
            .bind(list(names))
            .execute(&mut *connection)
            .await?;
        release(connection);
        Ok(())
    }
}
