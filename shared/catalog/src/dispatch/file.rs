//! What is done to a catalogue that is a file. PostgreSQL does it by itself, or has other programs for it.

use crate::error::CatalogError;
use crate::inspection::Inspected;
use crate::postgres;
use crate::settings::CatalogSettings;
use crate::sqlite::{self, Lock, RestoredBackup};
use std::path::Path;

/// Takes the lock on the catalogue's file; `None` while another process has it.
///
/// # Errors
/// When the settings name no catalogue or no file, or the lock can't be made.
pub fn lock(settings: &CatalogSettings) -> Result<Option<Lock>, CatalogError> {
    match settings.is_postgres() {
        true => Err(no_file("restore it with `pg_restore`")),
        false => sqlite::lock(settings),
    }
}

/// Whether an indexer has the catalogue's file; nothing is made to find out.
#[must_use]
pub fn is_locked(settings: &CatalogSettings) -> bool {
    !settings.is_postgres() && sqlite::is_locked(settings)
}

/// Looks at the catalogue without writing anything. SQLite reads all of it.
///
/// # Errors
/// When it can't be read, or is none.
pub async fn inspect(settings: &CatalogSettings) -> Result<Inspected, CatalogError> {
    match settings.is_postgres() {
        true => postgres::inspect(settings).await,
        false => sqlite::inspect(settings).await,
    }
}

/// Puts a copy of the backup at `backup` in the place of the catalogue. The caller holds the lock of
/// the catalogue, so that no indexer has it.
///
/// # Errors
/// When the backup is damaged or not one of this version, somebody has the catalogue open, the file
/// can't be written, or the catalogue is not a file. Nothing has changed then.
pub async fn restore_backup(
    settings: &CatalogSettings,
    backup: &Path,
) -> anyhow::Result<RestoredBackup> {
    match settings.is_postgres() {
        true => Err(no_file("restore it with `pg_restore`").into()),
        false => sqlite::restore_backup(settings, backup).await,
    }
}

/// What to do instead where there is no file.
pub(super) fn no_file(instead: &str) -> CatalogError {
    CatalogError::Settings(format!("the catalogue is in PostgreSQL, not in a file: {instead}"))
}
