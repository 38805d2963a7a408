//! The catalogue: all that is known of patients, studies, series and instances, in one SQLite
//! file. There is no SQL outside this crate.
//!
//! The indexer owns the catalogue: it alone migrates, decides and announces. The api reads it.

mod attributes;
mod comparison;
mod completions;
mod deletions;
mod details;
mod facts;
mod filings;
mod fingerprints;
mod identities;
mod inspection;
mod instance_rows;
mod instances;
mod location;
mod losses;
mod matching;
mod names;
mod open;
mod outbox;
mod own_file;
mod paging;
mod qido;
mod registrations;
mod renumbering;
mod restoring;
mod series;
mod sources;
mod statistics;
mod studies;
mod study_completions;
#[cfg(feature = "synthetic")]
mod synthetic;
mod taken_up;
mod upserts;
mod webhooks;
mod write_back;

pub use attributes::{ATTRIBUTES, Attribute, Kind, Level, keyword};
pub use completions::RevisionRecord;
pub use details::{Details, InstanceRecord};
pub use facts::Restored;
pub use inspection::Inspection;
pub use instances::{Batch, Bookmark, Committed, EventMark, Received, Recorded};
pub use location::{beside, remove_database};
pub use losses::{Contradicted, Loss, LossCause, Witness};
pub use matching::Matching;
pub use outbox::{Announcement, Held};
pub use paging::{Page, Position};
pub use qido::{LevelSearch, attributes_of};
pub use registrations::{Registration, RegistrationOutcome};
pub use restoring::RestoredBackup;
pub use series::{Listed, SeriesOrder, SeriesRecord, SeriesSearch};
pub use sources::SourceRecord;
pub use statistics::Statistics;
pub use studies::{StudyRecord, StudySearch};
pub use study_completions::StudiesDecided;
pub use taken_up::SeriesBookmark;
pub use webhooks::Delivered;

use clap::Args;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use own_file::OwnFile;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite, Transaction};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use write_back::WriteBack;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long a statement waits for another writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections of a process that reads. SQLite has one writer whatever this is.
const READERS: u32 = 4;

/// How many of them may do what can take seconds in a large catalogue: a search through all of it, a
/// count, a part of a list without end. What looks something up finds another.
const LONG_READS: usize = 2;

/// How long such a one waits for its turn.
const LONG_WAIT: Duration = Duration::from_secs(30);

/// Memory of the owner's page cache. The index by SOP Instance UID is written all over where senders
/// give out random UIDs: this is what a batch touches of it.
const OWNER_CACHE: &str = "-16384"; // in KiB

/// Pages of 4 KiB after which the owner itself writes the log back into the file, at the end of a commit.
/// While it writes all the time nobody else gets to the end of the log, which then could only grow.
const CHECKPOINT_AFTER: &str = "32000";

/// How long a reader keeps a connection: a file that was put in the place of the catalogue is read
/// from then on.
const READ_LIFETIME: Duration = Duration::from_secs(60);

/// How a write begins: with the write lock. A transaction that reads first and writes later can be
/// refused in the middle, whatever the busy time-out.
const BEGIN_WRITE: &str = "begin immediate";

/// Where the catalogue is.
#[derive(Debug, Clone, Args)]
pub struct CatalogSettings {
    /// The catalogue: `sqlite://` and the path of a file, with `%25` for `%`, `%3F` for `?`
    #[arg(long, env = "DATABASE_URL", default_value = "sqlite://data/catalog.db")]
    pub database_url: String,
}

/// The catalogue can't do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// SQLite says no.
    #[error("catalogue: {0}")]
    Sqlite(#[from] sqlx::Error),
    /// SQLite takes names in UTF-8 only.
    #[error("the catalogue's file {} has a name that is not in UTF-8; name another one", .0.display())]
    Name(PathBuf),
    /// The file was made by a later version, or is damaged in its migrations.
    #[error("catalogue: {0}")]
    Migration(#[from] MigrateError),
    /// The url names no SQLite file.
    #[error("DATABASE_URL must be `sqlite://` and the path of a file, not {0:?}")]
    Url(String),
    /// The indexer has not made or brought up the file yet.
    #[error("the catalogue is not there yet; start the indexer, which makes it")]
    NotMigrated,
    /// What it holds is not what this version writes.
    #[error("catalogue: unreadable value: {0}")]
    Unreadable(String),
    /// Somebody put another file in its place, or took it away.
    #[error("the catalogue's file {} was replaced or removed", .0.display())]
    Replaced(PathBuf),
}

impl CatalogError {
    /// Whether a later try may succeed where this one failed: the file is locked by another writer,
    /// the disk is full or does not answer.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        /// Primary result codes of SQLite: SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR, SQLITE_FULL.
        const PASSING: [i32; 4] = [5, 6, 10, 13];
        self.code().is_some_and(|code| PASSING.contains(&code))
    }

    /// Whether somebody else has the file.
    fn is_busy(&self) -> bool {
        const SQLITE_BUSY: i32 = 5;
        self.code() == Some(SQLITE_BUSY)
    }

    /// The primary result code of SQLite.
    fn code(&self) -> Option<i32> {
        let error = match self {
            Self::Sqlite(error) | Self::Migration(MigrateError::Execute(error)) => error,
            _ => return None,
        };
        let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
        // The primary code is the lowest byte of an extended one.
        Some(code & 0xff)
    }
}

/// The catalogue. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Catalog {
    pool: SqlitePool,
    /// For what is written: its owner's one connection, or one of its own beside the readers, which
    /// can't hold it up.
    writer: SqlitePool,
    /// Of readers: room for what may take long, so that it leaves connections to the rest.
    long: Arc<Semaphore>,
    /// Of its owner: the file that it writes.
    file: Option<Arc<OwnFile>>,
    /// Of its owner.
    write_back: Option<WriteBack>,
}

impl Catalog {
    /// Opens the catalogue as its owner: makes the file and its folder where they are missing, and
    /// brings its tables up to this version.
    ///
    /// # Errors
    /// When the file can't be made, opened or migrated.
    pub async fn own(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        let options = options(settings)?
            .create_if_missing(true)
            .pragma("cache_size", OWNER_CACHE)
            .pragma("wal_autocheckpoint", CHECKPOINT_AFTER);
        if let Some(folder) = options.get_filename().parent() {
            std::fs::create_dir_all(folder).map_err(sqlx::Error::Io)?;
        }
        let path = options.get_filename().to_owned();
        // One connection: what the owner writes is written in order.
        let pool = connections(1).connect_with(options.clone()).await?;
        MIGRATIONS.run(&pool).await?;
        let (writer, long) = (pool.clone(), Arc::new(Semaphore::new(LONG_READS)));
        let (file, write_back) = (Arc::new(OwnFile::opened(path)), WriteBack::new(options));
        Ok(Self { pool, writer, long, file: Some(file), write_back: Some(write_back) })
    }

    /// Goes on with the file that is in the catalogue's place now, if that is another one than was
    /// opened: a restored backup, for instance.
    ///
    /// # Errors
    /// As [`Catalog::own`].
    pub async fn reopen_if_replaced(&self) -> Result<(), CatalogError> {
        let Some(file) = self.file.as_ref().filter(|file| file.is_replaced()) else {
            return Ok(());
        };
        tracing::warn!(path = %file.path().display(), "the catalogue's file was replaced");
        self.pool.acquire().await?.close().await?;
        MIGRATIONS.run(&self.pool).await?;
        file.reopened();
        Ok(())
    }

    /// A transaction that writes, with the write lock from its beginning.
    async fn begin_write(&self) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        // What is written to a file that nobody will ever open again is lost.
        if let Some(file) = self.file.as_ref().filter(|file| file.is_replaced()) {
            return Err(CatalogError::Replaced(file.path().to_owned()));
        }
        Ok(self.writer.begin_with(BEGIN_WRITE).await?)
    }

    /// Copies the catalogue as it is at this moment into a file that must not exist. Others go on
    /// writing meanwhile.
    ///
    /// # Errors
    /// When the file can't be written, or is there.
    pub async fn backup(&self, into: &Path) -> Result<(), CatalogError> {
        let into = location::as_file(into.to_owned());
        let into = into.to_str().ok_or_else(|| CatalogError::Name(into.clone()))?;
        sqlx::query("vacuum into ?").bind(into.to_owned()).execute(&self.pool).await?;
        Ok(())
    }

    /// Opens the catalogue of somebody else, when it is first used.
    ///
    /// # Errors
    /// When the url names no SQLite file.
    pub fn open(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        // A long read is what somebody asked for: nothing to warn of.
        let options = options(settings)?.disable_statement_logging();
        let open = |most| {
            connections(most)
                .acquire_timeout(BUSY_TIMEOUT)
                .max_lifetime(READ_LIFETIME)
                .connect_lazy_with(options.clone())
        };
        let long = Arc::new(Semaphore::new(LONG_READS));
        Ok(Self { pool: open(READERS), writer: open(1), long, file: None, write_back: None })
    }

    /// Whether the owner has brought the catalogue up to this version.
    ///
    /// # Errors
    /// [`CatalogError::NotMigrated`] when not, or what is wrong with the file.
    pub async fn check(&self) -> Result<(), CatalogError> {
        let wanted = MIGRATIONS.iter().map(|migration| migration.version).max();
        let query = "select max(version) from _sqlx_migrations where success";
        let applied: Result<Option<i64>, _> = sqlx::query_scalar(query).fetch_one(&self.pool).await;
        match applied {
            Ok(applied) if applied == wanted => Ok(()),
            Ok(_) => Err(CatalogError::NotMigrated),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the turn of something that may look at all there is.
    async fn long_read(&self) -> Result<SemaphorePermit<'_>, CatalogError> {
        match timeout(LONG_WAIT, self.long.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_closed)) => Err(sqlx::Error::PoolClosed.into()),
            Err(_elapsed) => Err(sqlx::Error::PoolTimedOut.into()),
        }
    }

    /// Closes all connections, once what runs on them has ended.
    pub async fn close(&self) {
        self.writer.close().await;
        self.pool.close().await;
    }
}

/// So many connections at most, none of them in the middle of a transaction. SQLite ends one by
/// itself when the disk is full, sqlx then can't, and would never begin another on that connection.
fn connections(most: u32) -> SqlitePoolOptions {
    // A file does not go away as a server does, so nobody asks a connection whether it is still there.
    let options = SqlitePoolOptions::new().test_before_acquire(false);
    options.max_connections(most).before_acquire(|connection, _| {
        let usable = !connection.is_in_transaction();
        Box::pin(async move { Ok(usable) })
    })
}

fn options(settings: &CatalogSettings) -> Result<SqliteConnectOptions, CatalogError> {
    let file = settings.file()?;
    if file.get_filename().to_str().is_none() {
        return Err(CatalogError::Name(file.get_filename().to_owned()));
    }
    Ok(file
        .journal_mode(SqliteJournalMode::Wal)
        // With WAL, NORMAL may lose the last commits in a power cut; those were acknowledged.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true))
}

/// A time as the catalogue keeps it: nanoseconds since 1970, UTC. What lies before the year 1677 or
/// after 2262 is the first or last such time.
fn nanoseconds(time: Timestamp) -> i64 {
    let furthest = if time < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX };
    i64::try_from(time.as_nanosecond()).unwrap_or(furthest)
}

fn timestamp(nanoseconds: i64) -> Result<Timestamp, CatalogError> {
    Timestamp::from_nanosecond(nanoseconds.into())
        .map_err(|error| CatalogError::Unreadable(format!("time {nanoseconds}: {error}")))
}

fn optional_timestamp(nanoseconds: Option<i64>) -> Result<Option<Timestamp>, CatalogError> {
    nanoseconds.map(timestamp).transpose()
}

fn series_uid(text: &str) -> Result<SeriesInstanceUid, CatalogError> {
    SeriesInstanceUid::parse(text)
        .map_err(|error| CatalogError::Unreadable(format!("SeriesInstanceUID {text:?} {error}")))
}

/// Reads an enum from its word, by the names that events use.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, CatalogError> {
    serde_json::from_value(text.into())
        .map_err(|error| CatalogError::Unreadable(format!("{text:?}: {error}")))
}

/// JSON for a statement's parameter.
fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    // Strings, numbers and JSON that was parsed before: there is nothing in them that can fail.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
