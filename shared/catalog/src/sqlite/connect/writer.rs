//! The indexer's end of the catalogue.

use super::lease::{Claim, FileLease};
use super::location::{has_log, refused};
use super::lock::LockFile;
use super::own_file::OwnFile;
use super::pool::{BEGIN_WRITE, connections, options};
use super::wal_checkpoint::WriteBack;
use crate::error::CatalogError;
use crate::lease::Lease;
use crate::settings::CatalogSettings;
use crate::sqlite::MIGRATIONS;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
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
    lease: Arc<FileLease>,
    write_back: WriteBack,
    lists_to_keep: bool,
    lists_to_remove: bool,
    /// The DICOMweb service that has the files of this catalogue's instances, if that is known.
    served_by: Option<Arc<str>>,
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
    pub(crate) async fn own(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        let (pool, options) = open(settings).await?;
        let lease = FileLease::new(None, "a command");
        loop {
            let claim = lease.claim(&pool).await?;
            if take(&pool, &lease, claim).await? {
                return Ok(Self::of(pool, options, lease));
            }
        }
    }

    pub(crate) async fn take(
        settings: &CatalogSettings,
        holder: &str,
    ) -> Result<Option<Self>, CatalogError> {
        let path = settings.path()?;
        let file = LockFile::beside(&path)?;
        if FileLease::is_taken(&file)? || !file.is_locked() && !path.exists() {
            return Ok(None);
        }
        let (pool, options) = open(settings).await?;
        let lease = FileLease::new(Some(file), holder);
        let claim = lease.claim(&pool).await?;
        if take(&pool, &lease, claim).await? {
            return Ok(Some(Self::of(pool, options, lease)));
        }
        pool.close().await;
        Ok(None)
    }

    fn of(pool: SqlitePool, options: SqliteConnectOptions, lease: FileLease) -> Self {
        let file = OwnFile::opened(options.get_filename().to_owned());
        let write_back = WriteBack::new(options);
        Self {
            pool,
            file: Arc::new(file),
            lease: Arc::new(lease),
            write_back,
            lists_to_keep: false,
            lists_to_remove: false,
            served_by: None,
        }
    }

    #[must_use]
    pub(crate) fn listing_to_keep(self, lists_to_keep: bool) -> Self {
        Self { lists_to_keep, ..self }
    }

    #[must_use]
    pub(crate) fn listing_to_remove(self, lists_to_remove: bool) -> Self {
        Self { lists_to_remove, ..self }
    }

    pub(crate) fn with_files_at(self, service: Option<&str>) -> Self {
        Self { served_by: service.map(Arc::from), ..self }
    }

    /// The DICOMweb service that has the files of its instances.
    pub(in crate::sqlite) fn served_by(&self) -> Option<&str> {
        self.served_by.as_deref()
    }

    /// Whether a revision that is complete is listed for a keeper.
    pub(in crate::sqlite) fn lists_to_keep(&self) -> bool {
        self.lists_to_keep
    }

    /// Whether files that nothing names any more are listed to be removed.
    pub(in crate::sqlite) fn lists_to_remove(&self) -> bool {
        self.lists_to_remove
    }

    #[must_use]
    pub(crate) fn lease(&self) -> Lease {
        self.lease.lease(self.file.path())
    }

    pub(crate) async fn renew(&self) -> Result<(), CatalogError> {
        self.lease.renew(&self.pool).await
    }

    pub(crate) async fn begin_again(&self) -> Result<(), CatalogError> {
        if !self.file.is_replaced() {
            return Ok(());
        }
        let path = self.file.path();
        tracing::warn!(path = %path.display(), "the catalogue's file was replaced");
        self.pool.acquire().await?.close().await?;
        let claim = self.lease.claim_anyway(&self.pool).await?;
        take(&self.pool, &self.lease, claim).await?;
        self.file.reopened();
        Ok(())
    }

    /// The connection, for what is read.
    pub(in crate::sqlite) async fn acquire(&self) -> Result<PoolConnection<Sqlite>, CatalogError> {
        Ok(self.pool.acquire().await?)
    }

    /// A transaction that writes, with the write lock from its beginning. Nobody can take the lease while it runs.
    ///
    /// # Errors
    /// [`CatalogError::Superseded`] when another indexer has taken the lease.
    pub(in crate::sqlite) async fn begin_write(
        &self,
    ) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        // What is written to a file that nobody will ever open again is lost.
        if self.file.is_replaced() {
            return Err(CatalogError::Replaced(self.file.path().display().to_string()));
        }
        let mut transaction = self.pool.begin_with(BEGIN_WRITE).await?;
        self.lease.check(&mut transaction).await?;
        Ok(transaction)
    }

    /// The announcements that are read now are under way. Their ids are those of this file.
    pub(in crate::sqlite) fn announces(&self, _connection: &PoolConnection<Sqlite>) {}

    /// A transaction that writes to the outbox by what was read of it.
    ///
    /// # Errors
    /// As [`CatalogWriter::begin_write`].
    pub(in crate::sqlite) async fn begin_announced(
        &self,
    ) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        self.begin_write().await
    }

    /// So many more instances are committed.
    pub(in crate::sqlite) fn has_committed(&self, instances: usize) {
        self.write_back.committed(instances);
    }

    pub(crate) async fn disk(&self) -> io::Result<Option<Disk>> {
        let folder = self.file.path().parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        let disk = spawn_blocking(move || rustix::fs::statvfs(folder)).await??;
        Ok(Some(Disk {
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
            size: disk.f_blocks.saturating_mul(disk.f_frsize),
        }))
    }

    /// The catalogue that was made is whole: all of it is in the file, and nothing in the log beside it, which would
    /// not be renamed with the file.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] when somebody else has the file open and keeps the log from being written back.
    pub(crate) async fn finish(&self) -> Result<(), CatalogError> {
        let _none_begins = self.write_back.ended().await;
        let query = "pragma wal_checkpoint(truncate)";
        let busy: bool = sqlx::query_scalar(query).fetch_one(&self.pool).await?;
        match busy {
            false => Ok(()),
            true => Err(has_log(self.file.path())),
        }
    }

    /// Closes all connections, also the one of a write-back that is under way: the last one to be closed removes the
    /// log.
    pub(crate) async fn close(&self) {
        self.lease.give_up(&self.pool).await;
        let _none_begins = self.write_back.ended().await;
        self.pool.close().await;
    }
}

/// Opens the file, which is made if it is missing.
async fn open(
    settings: &CatalogSettings,
) -> Result<(SqlitePool, SqliteConnectOptions), CatalogError> {
    let options = options(settings)?
        .create_if_missing(true)
        .pragma("cache_size", OWNER_CACHE)
        .pragma("wal_autocheckpoint", CHECKPOINT_AFTER);
    if let Some(folder) = options.get_filename().parent() {
        std::fs::create_dir_all(folder).map_err(refused)?;
    }
    // One connection: what the owner writes is written in order.
    Ok((connections(1).connect_with(options.clone()).await?, options))
}

/// Takes the lease and brings the tables up to this version, in this order: an indexer that was slow must not write to
/// tables that it does not know. `false` when another one has the lease.
async fn take(pool: &SqlitePool, lease: &FileLease, claim: Claim) -> Result<bool, CatalogError> {
    let after = match claim {
        Claim::Taken => return Ok(false),
        Claim::First => {
            MIGRATIONS.run(pool).await?;
            0
        }
        Claim::After(epoch) => epoch,
    };
    let mut transaction = pool.begin_with(BEGIN_WRITE).await?;
    let taken = lease.take(&mut transaction, after).await?;
    transaction.commit().await?;
    if taken {
        MIGRATIONS.run(pool).await?;
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn a_write_back_that_is_under_way_ends_before_the_catalogue_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let settings = CatalogSettings::at(&folder.path().join("catalog.db"));
        let writer = CatalogWriter::own(&settings).await.unwrap();
        // More than any limit.
        writer.has_committed(1_000_000);
        writer.close().await;
        assert!(writer.write_back.ended().now_or_never().is_some());
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "the last one to close the file removes its log");
    }
}
