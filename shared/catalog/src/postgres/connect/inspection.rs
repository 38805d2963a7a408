//! What a catalogue is like, for somebody who wants to know and must change nothing.

use super::servers::Servers;
use crate::error::CatalogError;
use crate::postgres::MIGRATIONS;
use crate::postgres::write::losses;
use crate::settings::CatalogSettings;
use crate::sqlite::{Inspected, Inspection};
use sqlx::{Connection as _, Row as _};

/// Looks at the catalogue without writing anything. Whether it is damaged is PostgreSQL's own business.
///
/// # Errors
/// When it can't be read.
pub(crate) async fn inspect(settings: &CatalogSettings) -> Result<Inspected, CatalogError> {
    let mut connection = Servers::of(settings)?.any().await?;
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let mut inspection = Inspection {
        damage: Vec::new(),
        version: None,
        known,
        is_other: false,
        is_readable_meanwhile: true,
        losses: Vec::new(),
    };
    let (ours, counts_losses): (bool, bool) = sqlx::query_as(
        "select to_regclass('_sqlx_migrations') is not null, to_regclass('losses') is not null",
    )
    .fetch_one(&mut connection)
    .await?;
    if !ours {
        connection.close().await?;
        return Ok(Inspected::Absent);
    }
    let applied = "select version, checksum from _sqlx_migrations where success";
    for row in sqlx::query(applied).fetch_all(&mut connection).await? {
        let (version, checksum): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        let ours = MIGRATIONS.iter().find(|migration| migration.version == version);
        inspection.is_other |= ours.is_some_and(|ours| *ours.checksum != checksum[..]);
        inspection.version = inspection.version.max(Some(version));
    }
    if counts_losses {
        inspection.losses = losses::all(&mut connection).await?;
    }
    connection.close().await?;
    Ok(Inspected::Seen(inspection))
}
