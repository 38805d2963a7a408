//! Announcements that were held back, and that a person lets go out.

use crate::announcements::can_be_announced;
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use contract::event::ReleaseRequested;
use sqlx::SqliteConnection;

/// Announces what was held back: a person has looked at it. Asked for again, it is once.
pub(in crate::sqlite) async fn release(
    connection: &mut SqliteConnection,
    releases: &[Box<ReleaseRequested>],
) -> Result<(), CatalogError> {
    for release in releases.iter().filter(|release| can_be_announced(release)) {
        sqlx::query(
            "insert into outbox (subject, message_id, time, payload) values (?, ?, ?, ?)
             on conflict do nothing",
        )
        .bind(&release.subject)
        .bind(&release.message_id)
        .bind(nanoseconds(release.decided_at))
        .bind(&release.announcement)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "update series set held = 0
             where series_instance_uid || ':' || revision = ?1
                 and series_instance_uid = substr(?1, 1, instr(?1, ':') - 1)",
        )
        .bind(&release.message_id)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
