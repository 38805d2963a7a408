//! The lease on a catalogue in a file. A free lock proves that the process that had it is gone, so that an indexer that
//! was killed is replaced at once. Without the lock the lease is taken once its holder has not touched the lock's file
//! for a while: it is stopped, or hangs.

use super::location::refused;
use super::lock::LockFile;
use crate::error::CatalogError;
use crate::lease::{Lease, RENEW_EVERY};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqlitePool;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::time::timeout;

/// The lease of a catalogue's writer.
#[derive(Debug)]
pub(in crate::sqlite) struct FileLease {
    /// `None` of a writer that is alone by itself: a rebuilt catalogue, a test.
    file: Option<LockFile>,
    holder: String,
    epoch: AtomicI64,
}

/// The lease as it is written down.
#[derive(Debug, sqlx::FromRow)]
struct Row {
    epoch: i64,
    locked: bool,
}

impl Row {
    /// `None` where nobody ever had it, or the tables are of a version before it.
    async fn read(pool: &SqlitePool) -> Result<Option<Self>, CatalogError> {
        let has_table = "select exists(select 1 from sqlite_schema where name = 'lease')";
        match sqlx::query_scalar(has_table).fetch_one(pool).await? {
            true => {
                let lease = "select epoch, locked from lease where shard = 0";
                Ok(sqlx::query_as(lease).fetch_optional(pool).await?)
            }
            false => Ok(None),
        }
    }
}

/// Who may have the lease.
#[derive(Debug)]
pub(in crate::sqlite) enum Claim {
    /// Another indexer has it.
    Taken,
    /// We may, and it is the first.
    First,
    /// We may, after this epoch.
    After(i64),
}

impl Claim {
    fn after(row: Option<Row>) -> Self {
        row.map_or(Self::First, |row| Self::After(row.epoch))
    }
}

impl FileLease {
    pub(in crate::sqlite) fn new(file: Option<LockFile>, holder: &str) -> Self {
        Self { file, holder: holder.to_owned(), epoch: AtomicI64::new(0) }
    }

    /// Whether somebody else holds the lock and has touched it lately: then nothing has to be opened to know.
    pub(in crate::sqlite) fn is_taken(file: &LockFile) -> Result<bool, CatalogError> {
        Ok(!file.is_locked() && is_fresh(file)?)
    }

    /// Who may have it.
    pub(in crate::sqlite) async fn claim(&self, pool: &SqlitePool) -> Result<Claim, CatalogError> {
        let row = Row::read(pool).await?;
        let Some(file) = &self.file else { return Ok(Claim::after(row)) };
        match (file.is_locked(), &row) {
            // An earlier version, which knew the lock alone, or nobody yet.
            (false, None) => Ok(Claim::Taken),
            (true, None) => Ok(Claim::after(row)),
            // It had the lock, so it is gone.
            (true, Some(Row { locked: true, .. })) => Ok(Claim::after(row)),
            _ if is_fresh(file)? => Ok(Claim::Taken),
            _ => Ok(Claim::after(row)),
        }
    }

    /// The same where the file was replaced under its writer, which goes on with the other one.
    pub(in crate::sqlite) async fn claim_anyway(
        &self,
        pool: &SqlitePool,
    ) -> Result<Claim, CatalogError> {
        Ok(Claim::after(Row::read(pool).await?))
    }

    /// Takes the lease after this epoch. `false` when another indexer was faster.
    pub(in crate::sqlite) async fn take(
        &self,
        connection: &mut SqliteConnection,
        after: i64,
    ) -> Result<bool, CatalogError> {
        let epoch: Option<i64> = sqlx::query_scalar(
            "insert into lease (shard, epoch, holder, locked) values (0, 1, ?1, ?2)
             on conflict (shard) do update
             set epoch = epoch + 1, holder = excluded.holder, locked = excluded.locked
             where epoch = ?3
             returning epoch",
        )
        .bind(&self.holder)
        .bind(self.is_locked())
        .bind(after)
        .fetch_optional(connection)
        .await?;
        let Some(epoch) = epoch else { return Ok(false) };
        self.epoch.store(epoch, Ordering::Relaxed);
        if let Some(file) = &self.file {
            file.touch().map_err(refused)?;
        }
        Ok(true)
    }

    /// Whether it is still ours, as this connection sees it.
    ///
    /// # Errors
    /// [`CatalogError::Superseded`] when it is not.
    pub(in crate::sqlite) async fn check(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<(), CatalogError> {
        let (epoch, holder): (i64, String) =
            sqlx::query_as("select epoch, holder from lease where shard = 0")
                .fetch_one(connection)
                .await?;
        match epoch == self.epoch.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(CatalogError::Superseded(holder)),
        }
    }

    /// Renews it, which writes nothing to the catalogue.
    ///
    /// # Errors
    /// [`CatalogError::Superseded`] when another indexer has it, and what the file's disk says.
    pub(in crate::sqlite) async fn renew(&self, pool: &SqlitePool) -> Result<(), CatalogError> {
        let Some(file) = &self.file else { return Ok(()) };
        file.touch().map_err(refused)?;
        // A write that takes longer has looked before it began.
        let Ok(connection) = timeout(RENEW_EVERY, pool.acquire()).await else { return Ok(()) };
        let mut connection = connection?;
        self.check(&mut connection).await?;
        if !file.lock_later().map_err(refused)? {
            return Ok(());
        }
        // Whoever had it is gone.
        sqlx::query("update lease set locked = true where shard = 0 and epoch = ?")
            .bind(self.epoch.load(Ordering::Relaxed))
            .execute(&mut *connection)
            .await?;
        Ok(())
    }

    /// Gives it back, if it is still ours, and the lock in any case.
    pub(in crate::sqlite) async fn give_up(&self, pool: &SqlitePool) {
        let Some(file) = &self.file else { return };
        let ours = async {
            let mut connection = pool.acquire().await?;
            self.check(&mut connection).await
        };
        let given_up = match ours.await {
            Ok(()) => file.give_up(),
            Err(_) => file.unlock(),
        };
        if let Err(error) = given_up {
            tracing::debug!(%error, "the catalogue's lock is freed when the process ends");
        }
    }

    /// What others are told of it.
    pub(in crate::sqlite) fn lease(&self, catalogue: &Path) -> Lease {
        let path = std::path::absolute(catalogue).unwrap_or_else(|_| catalogue.to_owned());
        let catalog = path.display().to_string();
        let catalog_id = match &self.file {
            Some(file) => file.identity.clone(),
            None => catalog.clone(),
        };
        let epoch = self.epoch.load(Ordering::Relaxed).unsigned_abs();
        Lease { catalog_id, catalog, epoch, locked: self.is_locked() }
    }

    fn is_locked(&self) -> bool {
        self.file.as_ref().is_some_and(LockFile::is_locked)
    }
}

fn is_fresh(file: &LockFile) -> Result<bool, CatalogError> {
    file.is_fresh().map_err(refused)
}
