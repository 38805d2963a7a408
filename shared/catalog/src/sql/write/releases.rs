//! Announcements that were held back, and that a person lets go out.

use super::database::dialect::Connection;
use super::database::values::text;
use crate::announcements::can_be_announced;
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use contract::event::ReleaseRequested;

/// Announces what was held back: a person has looked at it. Asked for again, it is once.
pub(crate) async fn release(
    connection: &mut Connection,
    releases: &[Box<ReleaseRequested>],
) -> Result<(), CatalogError> {
    for release in releases.iter().filter(|release| can_be_announced(release)) {
        let message_id = text(&release.message_id);
        let series = message_id.split(':').next();
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
        for statement in [
            "update series set held = false
             where series_instance_uid = $1 and series_instance_uid || ':' || revision = $2",
            "update series_to_keep set held = false
             where series_instance_uid = $1 and series_instance_uid || ':' || revision = $2",
        ] {
            let update = sqlx::query(statement).bind(series).bind(&message_id);
            update.execute(&mut *connection).await?;
        }
    }
    Ok(())
}
