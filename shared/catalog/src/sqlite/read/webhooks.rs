//! How far each webhook is in SERIES: the broker knows it by the webhook's consumer, and this outlives that.

use crate::announcements::Delivered;
use crate::encoding::{json, nanoseconds};
use crate::error::CatalogError;
use crate::sqlite::CatalogReader;

impl CatalogReader {
    pub(crate) async fn delivered(&self, webhook: &str) -> Result<Option<Delivered>, CatalogError> {
        let row: Option<(i64, i64)> =
            sqlx::query_as("select series_created, delivered from webhooks where name = ?")
                .bind(webhook.to_owned())
                .fetch_optional(&self.pool)
                .await?;
        row.map(|row| Delivered::of(webhook, row)).transpose()
    }

    pub(crate) async fn keep_delivered(
        &self,
        webhook: &str,
        delivered: Delivered,
    ) -> Result<(), CatalogError> {
        sqlx::query(
            "insert into webhooks (name, series_created, delivered) values (?, ?, ?)
             on conflict (name) do update
             set series_created = excluded.series_created, delivered = excluded.delivered",
        )
        .bind(webhook.to_owned())
        .bind(nanoseconds(delivered.series_created))
        .bind(i64::try_from(delivered.up_to).unwrap_or(i64::MAX))
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    pub(crate) async fn forget_other_webhooks(&self, names: &[&str]) -> Result<(), CatalogError> {
        sqlx::query("delete from webhooks where name not in (select value from json_each(?))")
            .bind(json(names))
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}
