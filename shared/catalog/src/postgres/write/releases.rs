//! Announcements that were held back, and that a person lets go out.

use crate::announcements::can_be_announced;
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use crate::postgres::values::text;
use contract::event::ReleaseRequested;
use sqlx::PgConnection;

/// Announces what was held back: a person has looked at it. Asked for again, it is once.
pub(in crate::postgres) async fn release(
    connection: &mut PgConnection,
    releases: &[Box<ReleaseRequested>],
) -> Result<(), CatalogError> {
    for release in releases.iter().filter(|release| can_be_announced(release)) {
        let message_id = text(&release.message_id);
        sqlx::query(
            "insert into outbox (subject, message_id, time, payload) values ($1, $2, $3, $4)
             on conflict do nothing",
        )
        .bind(text(&release.subject))
        .bind(&message_id)
        .bind(nanoseconds(release.decided_at))
        .bind(text(&release.announcement))
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "update series set held = false
             where series_instance_uid || ':' || revision = $1
                 and series_instance_uid = split_part($1, ':', 1)",
        )
        .bind(&message_id)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
