//! The API's end of the catalogue.

use super::location::{as_file, not_utf8};
use super::pool::{connections, options};
use crate::error::CatalogError;
use crate::long_reads::LongReads;
use crate::settings::CatalogSettings;
use crate::sqlite::error::has_no_tables;
use crate::sqlite::{BUSY_TIMEOUT, MIGRATIONS};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePool;
use sqlx::{ConnectOptions as _, Sqlite};
use std::path::Path;
use std::time::Duration;

/// Connections of a process that reads. SQLite has one writer whatever this is.
pub(in crate::sqlite) const READERS: u32 = 4;

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
    pub(in crate::sqlite) long_reads: LongReads,
}

impl CatalogReader {
    pub(crate) fn open(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        // A long read is what somebody asked for: nothing to warn of.
        let options = options(settings)?.disable_statement_logging();
        let open = |most| {
            connections(most)
                .acquire_timeout(BUSY_TIMEOUT)
                .max_lifetime(READ_LIFETIME)
                .connect_lazy_with(options.clone())
        };
        Ok(Self { pool: open(READERS), writer: open(1), long_reads: LongReads::new() })
    }

    /// A connection to read on.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub(in crate::sqlite) async fn connection(
        &self,
    ) -> Result<PoolConnection<Sqlite>, CatalogError> {
        Ok(self.pool.acquire().await?)
    }

    pub(crate) async fn check(&self) -> Result<(), CatalogError> {
        let wanted = MIGRATIONS.iter().map(|migration| migration.version).max();
        let query = "select max(version) from _sqlx_migrations where success";
        let applied: Result<Option<i64>, _> = sqlx::query_scalar(query).fetch_one(&self.pool).await;
        match applied {
            Ok(applied) if applied == wanted => Ok(()),
            Ok(_) => Err(CatalogError::NotMigrated),
            Err(error) if has_no_tables(&error) => Err(CatalogError::NotMigrated),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn backup(&self, into: &Path) -> Result<(), CatalogError> {
        let into = as_file(into.to_owned());
        let into = into.to_str().ok_or_else(|| not_utf8(&into))?;
        sqlx::query("vacuum into ?").bind(into.to_owned()).execute(&self.pool).await?;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.writer.close().await;
        self.pool.close().await;
    }
}
