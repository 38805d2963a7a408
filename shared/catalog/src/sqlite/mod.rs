//! The catalogue in one SQLite file: `connect/` opens, guards, copies and looks at the file. The statements are in
//! `sql/`, what SQLite has of its own for them is here.

// First, for their macros.
#[macro_use]
mod dialect;
#[macro_use]
#[allow(clippy::duplicate_mod, reason = "compiled for each database")]
#[path = "../sql/mod.rs"]
mod sql;

#[cfg(test)]
mod added_attributes;
mod bookmark;
mod connect;
mod copying;
pub(crate) mod error;
mod identities;
mod patients;
mod read;
#[cfg(test)]
mod tests;
mod values;
mod write;

pub(crate) use connect::inspection::inspect;
pub(crate) use connect::location::name;
pub use connect::lock::Lock;
pub(crate) use connect::lock::{is_locked, lock};
pub(crate) use connect::reader::CatalogReader;
pub(crate) use connect::rebuild::NewFile;
pub use connect::restore::RestoredBackup;
pub(crate) use connect::restore::restore_backup;
pub(crate) use connect::writer::CatalogWriter;
pub use connect::writer::Disk;
pub(crate) use sql::copying::{Insert, Snapshot};

use sqlx::migrate::Migrator;
use std::time::Duration;

static MIGRATIONS: Migrator = sqlx::migrate!("src/sqlite/migrations");

/// How long a statement waits for another writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
