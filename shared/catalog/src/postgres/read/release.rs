//! Announcements that were held back, and that a person lets go out.

use crate::announcements::Held;
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use crate::postgres::CatalogReader;

impl CatalogReader {
    /// Announces what was held back: a person has looked at it. Asked for again, it is once.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub(crate) async fn release(&self, held: &Held<'_>) -> Result<(), CatalogError> {
        let mut transaction = self.writer.begin().await?;
        sqlx::query(
            "insert into outbox (subject, message_id, time, payload) values ($1, $2, $3, $4)
             on conflict do nothing",
        )
        .bind(held.subject.to_string())
        .bind(held.message_id)
        .bind(nanoseconds(held.time))
        .bind(held.payload)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "update series set held = false
             where series_instance_uid || ':' || revision = $1
                 and series_instance_uid = split_part($1, ':', 1)",
        )
        .bind(held.message_id)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }
}
