//! What a catalogue is like, for somebody who wants to know and must change nothing.

use super::lease::is_unfinished;
use super::servers::Servers;
use crate::error::CatalogError;
use crate::inspection::{APPLIED, Inspected, Inspection};
use crate::postgres::MIGRATIONS;
use crate::postgres::sql::losses;
use crate::settings::CatalogSettings;
use sqlx::Connection as _;

/// Looks at the catalogue without writing anything. Whether it is damaged is PostgreSQL's own business.
///
/// # Errors
/// When it can't be read.
pub(crate) async fn inspect(settings: &CatalogSettings) -> Result<Inspected, CatalogError> {
    let mut connection = Servers::of(settings)?.any().await?;
    let (ours, has_tables): (bool, bool) = sqlx::query_as(
        "select to_regclass('_sqlx_migrations') is not null, to_regclass('losses') is not null",
    )
    .fetch_one(&mut connection)
    .await?;
    if !ours {
        connection.close().await?;
        return Ok(Inspected::Absent);
    }
    let applied: Vec<_> = sqlx::query_as(APPLIED).fetch_all(&mut connection).await?;
    let mut inspection = Inspection::of(&MIGRATIONS, &applied);
    if has_tables {
        inspection.losses = losses::all(&mut connection).await?;
        inspection.is_unfinished = is_unfinished(&mut connection).await?;
    }
    connection.close().await?;
    Ok(Inspected::Seen(inspection))
}
