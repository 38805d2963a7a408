//! What a catalogue's file is like, for somebody who wants to know and must change nothing: it may be
//! in use, left by a process that was killed, of another version, or no catalogue at all.

use crate::error::CatalogError;
use crate::losses::Loss;
use crate::settings::CatalogSettings;
use crate::sqlite::connect::location::{beside, refused};
use crate::sqlite::write::losses;
use crate::sqlite::{BUSY_TIMEOUT, MIGRATIONS};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Row as _};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What came of looking at a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inspected {
    /// There is none yet.
    Absent,
    /// It can't be read without writing: it was left by a process that was killed, and belongs to another
    /// user.
    Unreadable,
    /// It was read.
    Seen(Inspection),
}

/// What a catalogue is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What SQLite finds wrong in it, up to ten of them; nothing in one that is whole.
    pub damage: Vec<String>,
    /// Version of its tables; `None` where there are none of ours.
    pub version: Option<i64>,
    /// The latest version that this program knows.
    pub known: i64,
    /// Whether its tables were made by other migrations than ours of the same number.
    pub is_other: bool,
    /// Whether others can read while the indexer writes.
    pub is_readable_meanwhile: bool,
    /// What INSTANCES had lost before it was read, the latest first.
    pub losses: Vec<Loss>,
}

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
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .read_only(true)
        .immutable(at_rest)
        .busy_timeout(BUSY_TIMEOUT);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let mut damage: Vec<String> =
        sqlx::query_scalar("pragma quick_check(10)").fetch_all(&mut connection).await?;
    damage.retain(|line| line != "ok");
    let mut inspection = Inspection {
        damage,
        version: None,
        known,
        is_other: false,
        is_readable_meanwhile: is_wal(&path)?,
        losses: Vec::new(),
    };
    let ours: bool = sqlx::query_scalar(
        "select exists(select 1 from sqlite_schema where name = '_sqlx_migrations')",
    )
    .fetch_one(&mut connection)
    .await?;
    if ours {
        let applied = "select version, checksum from _sqlx_migrations where success";
        for row in sqlx::query(applied).fetch_all(&mut connection).await? {
            let (version, checksum): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
            let ours = MIGRATIONS.iter().find(|migration| migration.version == version);
            inspection.is_other |= ours.is_some_and(|ours| *ours.checksum != checksum[..]);
            inspection.version = inspection.version.max(Some(version));
        }
    }
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
