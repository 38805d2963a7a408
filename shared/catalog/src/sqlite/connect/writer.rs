//! The indexer's end of the catalogue.

use super::own_file::OwnFile;
use super::pool::{BEGIN_WRITE, connections, options};
use super::wal_checkpoint::WriteBack;
use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use crate::sqlite::MIGRATIONS;
use sqlx::sqlite::SqlitePool;
use sqlx::{Sqlite, Transaction};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Memory of the owner's page cache. The index by SOP Instance UID is written all over where senders
/// give out random UIDs: this is what a batch touches of it.
const OWNER_CACHE: &str = "-16384"; // in KiB

/// Pages of 4 KiB after which the owner itself writes the log back into the file, at the end of a commit.
/// While it writes all the time nobody else gets to the end of the log, which then could only grow.
const CHECKPOINT_AFTER: &str = "32000";

/// The catalogue as the indexer has it, which owns it: it alone migrates, decides and announces. Clones share its
/// one connection, so that what is written is written in order.
#[derive(Debug, Clone)]
pub struct CatalogWriter {
    pub(in crate::sqlite) pool: SqlitePool,
    file: Arc<OwnFile>,
    pub(in crate::sqlite) write_back: WriteBack,
}

/// The disk that the catalogue is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// What is free for us, in bytes.
    pub free: u64,
    /// How large it is, in bytes.
    pub size: u64,
}

impl CatalogWriter {
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
        let (file, write_back) = (Arc::new(OwnFile::opened(path)), WriteBack::new(options));
        Ok(Self { pool, file, write_back })
    }

    /// Goes on with the file that is in the catalogue's place now, if that is another one than was
    /// opened: a restored backup, for instance.
    ///
    /// # Errors
    /// As [`CatalogWriter::own`].
    pub async fn reopen_if_replaced(&self) -> Result<(), CatalogError> {
        if !self.file.is_replaced() {
            return Ok(());
        }
        let path = self.file.path();
        tracing::warn!(path = %path.display(), "the catalogue's file was replaced");
        self.pool.acquire().await?.close().await?;
        MIGRATIONS.run(&self.pool).await?;
        self.file.reopened();
        Ok(())
    }

    /// A transaction that writes, with the write lock from its beginning.
    pub(in crate::sqlite) async fn begin_write(
        &self,
    ) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        // What is written to a file that nobody will ever open again is lost.
        if self.file.is_replaced() {
            return Err(CatalogError::Replaced(self.file.path().display().to_string()));
        }
        Ok(self.pool.begin_with(BEGIN_WRITE).await?)
    }

    /// The disk that the catalogue is on; `None` where that is another machine's.
    ///
    /// # Errors
    /// When the disk does not answer.
    pub async fn disk(&self) -> io::Result<Option<Disk>> {
        let folder = self.file.path().parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        let disk = spawn_blocking(move || rustix::fs::statvfs(folder)).await??;
        Ok(Some(Disk {
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
            size: disk.f_blocks.saturating_mul(disk.f_frsize),
        }))
    }

    /// Closes all connections, once what runs on them has ended.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
