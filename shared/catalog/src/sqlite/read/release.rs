//! Announcements that were held back, and that a person lets go out.

use crate::announcements::Held;
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use crate::sqlite::CatalogReader;
use crate::sqlite::connect::pool::BEGIN_WRITE;

impl CatalogReader {
    /// Announces what was held back: a person has looked at it. Asked for again, it is once.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn release(&self, held: &Held<'_>) -> Result<(), CatalogError> {
        let mut transaction = self.writer.begin_with(BEGIN_WRITE).await?;
        sqlx::query(
            "insert into outbox (subject, message_id, time, payload) values (?, ?, ?, ?)
             on conflict do nothing",
        )
        .bind(held.subject.to_string())
        .bind(held.message_id)
        .bind(nanoseconds(held.time))
        .bind(held.payload)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "update series set held = 0
             where series_instance_uid || ':' || revision = ?1
                 and series_instance_uid = substr(?1, 1, instr(?1, ':') - 1)",
        )
        .bind(held.message_id)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }
}
