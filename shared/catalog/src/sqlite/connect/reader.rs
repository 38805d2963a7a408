//! The API's end of the catalogue.

use super::location::{as_file, not_utf8};
use super::pool::{connections, options};
use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use crate::sqlite::{BUSY_TIMEOUT, MIGRATIONS};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqlitePool;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Connections of a process that reads. SQLite has one writer whatever this is.
pub(in crate::sqlite) const READERS: u32 = 4;

/// How many of them may do what can take seconds in a large catalogue: a search through all of it, a
/// count, a part of a list without end. What looks something up finds another.
pub(in crate::sqlite) const LONG_READS: usize = 2;

/// How long such a one waits for its turn.
const LONG_WAIT: Duration = Duration::from_secs(30);

/// How long a reader keeps a connection: a file that was put in the place of the catalogue is read
/// from then on.
const READ_LIFETIME: Duration = Duration::from_secs(60);

/// The catalogue as the API has it, which reads it, and writes how far its webhooks are. Clones share its
/// connections.
#[derive(Debug, Clone)]
pub struct CatalogReader {
    pub(in crate::sqlite) pool: SqlitePool,
    /// For what is written: readers can't hold it up.
    pub(in crate::sqlite) writer: SqlitePool,
    /// Room for what may take long, so that it leaves connections to the rest.
    long: Arc<Semaphore>,
}

impl CatalogReader {
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
        Ok(Self { pool: open(READERS), writer: open(1), long })
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

    /// Copies the catalogue as it is at this moment into a file that must not exist. Others go on
    /// writing meanwhile.
    ///
    /// # Errors
    /// When the file can't be written, or is there.
    pub async fn backup(&self, into: &Path) -> Result<(), CatalogError> {
        let into = as_file(into.to_owned());
        let into = into.to_str().ok_or_else(|| not_utf8(&into))?;
        sqlx::query("vacuum into ?").bind(into.to_owned()).execute(&self.pool).await?;
        Ok(())
    }

    /// Waits for the turn of something that may look at all there is.
    pub(in crate::sqlite) async fn long_read(&self) -> Result<SemaphorePermit<'_>, CatalogError> {
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
