//! What a catalogue's file is like, for somebody who wants to know and must change nothing: it may be
//! in use, left by a process that was killed, of another version, or no catalogue at all.

use crate::error::CatalogError;
use crate::inspection::{APPLIED, Inspected, Inspection};
use crate::settings::CatalogSettings;
use crate::sqlite::connect::location::{beside, refused};
use crate::sqlite::sql::losses;
use crate::sqlite::{BUSY_TIMEOUT, MIGRATIONS};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Looks at the catalogue without writing anything. SQLite reads all of it.
///
/// # Errors
/// When it can't be read, or is no SQLite file.
pub(crate) async fn inspect(settings: &CatalogSettings) -> Result<Inspected, CatalogError> {
    let path = settings.path()?;
    if !path.exists() {
        return Ok(Inspected::Absent);
    }
    let Some(at_rest) = is_at_rest(&path)? else { return Ok(Inspected::Unreadable) };
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .read_only(true)
        .immutable(at_rest)
        .busy_timeout(BUSY_TIMEOUT);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let mut damage: Vec<String> =
        sqlx::query_scalar("pragma quick_check(10)").fetch_all(&mut connection).await?;
    damage.retain(|line| line != "ok");
    let ours: bool = sqlx::query_scalar(
        "select exists(select 1 from sqlite_schema where name = '_sqlx_migrations')",
    )
    .fetch_one(&mut connection)
    .await?;
    let applied = match ours {
        true => sqlx::query_as(APPLIED).fetch_all(&mut connection).await?,
        false => Vec::new(),
    };
    let mut inspection = Inspection::of(&MIGRATIONS, &applied);
    inspection.damage = damage;
    inspection.is_readable_meanwhile = is_wal(&path)?;
    let counts_losses: bool =
        sqlx::query_scalar("select exists(select 1 from sqlite_schema where name = 'losses')")
            .fetch_one(&mut connection)
            .await?;
    if counts_losses {
        inspection.losses = losses::all(&mut connection).await?;
    }
    connection.close().await?;
    Ok(Inspected::Seen(inspection))
}

/// Whether nobody writes the file, so that it can be read without its log. With a log that nobody has
/// open any more SQLite makes an index of it beside the file; `None` is where that index, which would be
/// ours, would keep the file's owner from it.
fn is_at_rest(path: &Path) -> Result<Option<bool>, CatalogError> {
    let has = |end: &str| beside(path, end).exists();
    if !has("-wal") {
        return Ok(Some(true));
    }
    let owner = std::fs::metadata(path).map_err(refused)?.uid();
    let is_owner = owner == rustix::process::geteuid().as_raw();
    Ok((has("-shm") || is_owner).then_some(false))
}

/// Whether it has a write-ahead log, by the read version in its header (SQLite's file format, section
/// 1.3.3).
fn is_wal(path: &Path) -> Result<bool, CatalogError> {
    let mut header = [0; 20];
    File::open(path).and_then(|mut file| file.read_exact(&mut header)).map_err(refused)?;
    Ok(header[19] == 2)
}
