//! The catalogue in one SQLite file: `connect/` opens, guards, copies and looks at the file, `write/` has what the
//! indexer writes, `read/` what the API reads. There is no SQL outside this folder.

#[cfg(test)]
mod added_attributes;
mod bookmark;
mod columns;
mod connect;
mod error;
mod filings;
mod identities;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use connect::inspection::{Inspected, Inspection, inspect};
pub use connect::lock::{Lock, is_locked, lock};
pub use connect::reader::CatalogReader;
pub use connect::rebuild::NewCatalog;
pub use connect::restore::{RestoredBackup, restore_backup};
pub use connect::writer::{CatalogWriter, Disk};

use sqlx::migrate::Migrator;
use std::time::Duration;

static MIGRATIONS: Migrator = sqlx::migrate!("src/sqlite/migrations");

/// How long a statement waits for another writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
