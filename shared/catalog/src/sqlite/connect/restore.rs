//! A backup put in the place of the catalogue: looked through before, swapped in at once, and what was
//! there before is kept beside it.

use crate::inspection::{Inspected, Inspection};
use crate::settings::CatalogSettings;
use crate::sqlite::BUSY_TIMEOUT;
use crate::sqlite::connect::inspection::inspect;
use crate::sqlite::connect::location::{ENDS, as_file, beside, remove_database, rename_database};
use crate::sqlite::error::is_busy;
use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredBackup {
    /// Where the catalogue that was there is now, if there was one.
    pub kept: Option<PathBuf>,
    /// Sequence of INSTANCES up to which the backup goes; 0 where it has nothing yet.
    pub last_sequence: u64,
}

/// Puts a copy of the backup at `backup` in the place of the catalogue. The caller holds the lock of
/// the catalogue, so that no indexer has it.
///
/// # Errors
/// When the backup is damaged or not one of this version, somebody has the catalogue open, or the file
/// can't be written. Nothing has changed then.
pub(crate) async fn restore_backup(
    settings: &CatalogSettings,
    backup: &Path,
) -> anyhow::Result<RestoredBackup> {
    let path = settings.path()?;
    let named = backup.display();
    ensure!(backup.is_file(), "{named} is no file");
    if let (Ok(one), Ok(other)) = (backup.canonicalize(), path.canonicalize()) {
        ensure!(one != other, "{named} is the catalogue itself");
    }
    is_good(backup).await?;
    let part = beside(&path, ".restoring");
    remove_database(&part)?;
    // Through SQLite, so that what a backup still has in a log of its own comes with it.
    copy(backup, &part).await.with_context(|| format!("cannot copy {named}"))?;
    let last_sequence = match is_good(&part).await {
        Ok(()) => last_sequence(&part).await?,
        Err(error) => {
            remove_database(&part)?;
            return Err(error);
        }
    };
    File::open(&part)?.sync_all()?;
    if let Err(error) = is_free(&path).await {
        remove_database(&part)?;
        return Err(error);
    }
    let what = || format!("cannot write {}", path.display());
    let kept = swap(&path, &part).with_context(what)?;
    Ok(RestoredBackup { kept, last_sequence })
}
/// Whether the file is a whole catalogue that this version can use.
async fn is_good(path: &Path) -> anyhow::Result<()> {
    let named = path.display();
    let inspection = inspect(&CatalogSettings::at(path)).await;
    let inspection = inspection.with_context(|| format!("{named} can't be restored"))?;
    let Inspected::Seen(Inspection { damage, version, known, is_other, .. }) = inspection else {
        bail!("{named} has a log that belongs to another user; run this as the user who made it");
    };
    if let Some(first) = damage.first() {
        bail!("{named} is damaged: {first}");
    }
    let Some(version) = version else { bail!("{named} is not a backup of a catalogue") };
    ensure!(
        version <= known,
        "{named} is of a newer Collimator: version {version}, here is {known}"
    );
    ensure!(!is_other, "{named} was made by another Collimator of the same version");
    let mut connection = SqliteConnection::connect_with(&reading(path)).await?;
    let found: Vec<String> =
        sqlx::query_scalar("pragma integrity_check(1)").fetch_all(&mut connection).await?;
    connection.close().await?;
    match found.into_iter().find(|line| line != "ok") {
        Some(damage) => bail!("{named} is damaged: {damage}"),
        None => Ok(()),
    }
}

fn reading(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(as_file(path.to_owned()));
    // Without a log beside it nothing has to be made there either.
    let at_rest = !beside(path, "-wal").exists();
    options.read_only(true).immutable(at_rest).busy_timeout(BUSY_TIMEOUT)
}

async fn copy(backup: &Path, into: &Path) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnection::connect_with(&reading(backup)).await?;
    let into = as_file(into.to_owned()).to_string_lossy().into_owned();
    sqlx::query("vacuum into ?").bind(into).execute(&mut connection).await?;
    connection.close().await
}

async fn last_sequence(path: &Path) -> Result<u64, sqlx::Error> {
    let mut connection = SqliteConnection::connect_with(&reading(path)).await?;
    let last: Option<i64> = sqlx::query_scalar("select last_sequence from bookmark")
        .fetch_optional(&mut connection)
        .await?;
    connection.close().await?;
    Ok(last.unwrap_or(0).unsigned_abs())
}

/// Whether nobody has the catalogue open. One who has goes on in the old file, and what is written there is
/// lost. A file that SQLite can't read is in nobody's use.
async fn is_free(path: &Path) -> anyhow::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let options = SqliteConnectOptions::new()
        .filename(as_file(path.to_owned()))
        .busy_timeout(Duration::ZERO)
        // Of a file with a write-ahead log only this asks whether others have it open.
        .locking_mode(sqlx::sqlite::SqliteLockingMode::Exclusive);
    let tried = async {
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let begun = sqlx::raw_sql("begin exclusive; rollback").execute(&mut connection).await;
        connection.close().await?;
        begun
    }
    .await;
    match tried {
        Err(error) if is_busy(&error) => {
            bail!("somebody has {} open; stop the indexer and the API first", path.display())
        }
        _ => Ok(()),
    }
}

/// Puts the file at `part` in the place of the one at `path`, which is kept with what is beside it.
fn swap(path: &Path, part: &Path) -> io::Result<Option<PathBuf>> {
    let kept = match path.exists() {
        true => {
            let kept = beside(path, &format!(".before-{}", Timestamp::now().as_millisecond()));
            // There is one at `path` all the time.
            fs::hard_link(path, &kept)?;
            Some(kept)
        }
        false => None,
    };
    if let Some(kept) = &kept {
        for end in &ENDS[1..] {
            match fs::rename(beside(path, end), beside(kept, end)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    rename_database(part, path)?;
    Ok(kept)
}
