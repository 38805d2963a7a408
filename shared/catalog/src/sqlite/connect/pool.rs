//! Connections, and how SQLite is to treat the file.

use super::location::not_utf8;
use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use crate::sqlite::BUSY_TIMEOUT;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

/// How a write begins: with the write lock. A transaction that reads first and writes later can be
/// refused in the middle, whatever the busy time-out.
pub(in crate::sqlite) const BEGIN_WRITE: &str = "begin immediate";

/// So many connections at most, none of them in the middle of a transaction. SQLite ends one by
/// itself when the disk is full, sqlx then can't, and would never begin another on that connection.
pub(in crate::sqlite) fn connections(most: u32) -> SqlitePoolOptions {
    // A file does not go away as a server does, so nobody asks a connection whether it is still there.
    let options = SqlitePoolOptions::new().test_before_acquire(false);
    options.max_connections(most).before_acquire(|connection, _| {
        let usable = !connection.is_in_transaction();
        Box::pin(async move { Ok(usable) })
    })
}

/// How the file is opened.
///
/// # Errors
/// When the settings name no file that SQLite can open.
pub(in crate::sqlite) fn options(
    settings: &CatalogSettings,
) -> Result<SqliteConnectOptions, CatalogError> {
    let file = settings.file()?;
    if file.get_filename().to_str().is_none() {
        return Err(not_utf8(file.get_filename()));
    }
    Ok(file
        .journal_mode(SqliteJournalMode::Wal)
        // With WAL, NORMAL may lose the last commits in a power cut; those were acknowledged.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true))
}
