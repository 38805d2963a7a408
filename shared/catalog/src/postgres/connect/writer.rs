//! The indexer's end of the catalogue.

use super::lease::RowLease;
use super::owned::{OwnConnection, Owned};
use super::servers::Servers;
use crate::error::CatalogError;
use crate::lease::{LEASE, Lease};
use crate::postgres::error::is_locked;
use crate::postgres::{MIGRATIONS, name, within};
use crate::settings::CatalogSettings;
use sqlx::Executor as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What no other catalogue has: the cluster, which a stand-by shares with its primary, and the database in it.
const ID: &str = "select (select system_identifier from pg_control_system()) || ':' || oid
    from pg_database where datname = current_database()";

/// The catalogue as the indexer has it. Clones share its one connection.
#[derive(Debug, Clone)]
pub struct CatalogWriter {
    connection: OwnConnection,
    /// For the lease alone: a read that takes long can't hold up its renewal.
    renewal: OwnConnection,
    lease: Arc<RowLease>,
    /// The connection on which the indexer has begun from the bookmark.
    begun: Arc<AtomicU64>,
    /// The connection on which the announcements that are under way were read.
    announcing: Arc<AtomicU64>,
    id: Arc<str>,
    name: Arc<str>,
    lists_to_keep: bool,
    lists_to_remove: bool,
    /// The DICOMweb service that has the files of this catalogue's instances, if that is known.
    served_by: Option<Arc<str>>,
}

/// For what a catalogue is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To index, once no other indexer has it.
    Index,
    /// Whoever has it.
    Anyway,
    /// To make it.
    Make,
}

impl CatalogWriter {
    pub(crate) async fn own(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        let owned = Self::open(settings, "a command", Purpose::Anyway).await?;
        owned.ok_or(CatalogError::NotMigrated)
    }

    /// Opens a catalogue that is being made, and begins it anew. It is nobody's until [`CatalogWriter::finish`]. `None`
    /// where there is one already.
    pub(crate) async fn make(settings: &CatalogSettings) -> Result<Option<Self>, CatalogError> {
        let Some(made) = Self::open(settings, "a command that makes it", Purpose::Make).await?
        else {
            return Ok(None);
        };
        made.empty().await?;
        Ok(Some(made))
    }

    pub(crate) async fn take(
        settings: &CatalogSettings,
        holder: &str,
    ) -> Result<Option<Self>, CatalogError> {
        Self::open(settings, holder, Purpose::Index).await
    }

    async fn open(
        settings: &CatalogSettings,
        holder: &str,
        purpose: Purpose,
    ) -> Result<Option<Self>, CatalogError> {
        let servers = Servers::of(settings)?;
        let connection = OwnConnection::new(servers.clone());
        let renewal = OwnConnection::new(servers);
        let mut owned = within(connection.acquire()).await?;
        // Of several that come here at a time one goes on, by the advisory lock that sqlx takes. No migration has a
        // limit: how long it takes depends on the rows that there are.
        if !within(RowLease::has_row(&mut owned)).await? {
            MIGRATIONS.run(&mut *owned).await?;
        }
        if purpose != Purpose::Make {
            within(RowLease::check_whole(&mut owned)).await?;
        }
        // The tables are left to whoever has the lease: another writer may be in the middle of what they are now.
        let lease = match purpose {
            Purpose::Make => within(RowLease::take_new(&mut owned, holder)).await?,
            _ => {
                let anyway = purpose == Purpose::Anyway;
                within(RowLease::take(&mut owned, holder, anyway)).await?
            }
        };
        let Some(lease) = lease else { return Ok(None) };
        MIGRATIONS.run(&mut *owned).await?;
        let id = async { Ok(sqlx::query_scalar::<_, String>(ID).fetch_one(&mut *owned).await?) };
        let id = within(id).await?;
        let begun = Arc::new(AtomicU64::new(owned.number));
        owned.release();
        let name = name(&settings.database_url)?;
        let (lease, id, name) = (Arc::new(lease), id.into(), name.into());
        let (announcing, lists_to_keep) = (Arc::default(), false);
        let served_by = None;
        Ok(Some(Self {
            connection,
            renewal,
            lease,
            begun,
            announcing,
            id,
            name,
            lists_to_keep,
            lists_to_remove: false,
            served_by,
        }))
    }

    /// Goes on with the server that is connected to now: the indexer begins again from the bookmark.
    ///
    /// # Errors
    /// When no server takes writes.
    pub(crate) async fn begin_again(&self) -> Result<(), CatalogError> {
        let owned = self.connection.acquire().await?;
        self.begun.store(owned.number, Ordering::Relaxed);
        owned.release();
        Ok(())
    }

    /// Whether what was read since the indexer began is still so. The server that is connected to now may be a stand-by
    /// of before that has not all that was committed, whoever has noticed that the other one is gone.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] when the indexer has to begin again.
    pub(crate) fn check_begun(&self) -> Result<(), CatalogError> {
        match self.connection.connects() == self.begun.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(connected_anew()),
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
    pub(in crate::postgres) fn served_by(&self) -> Option<&str> {
        self.served_by.as_deref()
    }

    /// Whether a revision that is complete is listed for a keeper.
    pub(in crate::postgres) fn lists_to_keep(&self) -> bool {
        self.lists_to_keep
    }

    /// Whether files that nothing names any more are listed to be removed.
    pub(in crate::postgres) fn lists_to_remove(&self) -> bool {
        self.lists_to_remove
    }

    #[must_use]
    pub(crate) fn lease(&self) -> Lease {
        let (catalog_id, catalog) = (self.id.to_string(), self.name.to_string());
        Lease { catalog_id, catalog, epoch: self.lease.epoch(), locked: false }
    }

    /// Renews the lease, at once or right after a write that is under way. That one has locked the row, so that nobody
    /// takes the lease meanwhile, and has renewed it.
    pub(crate) async fn renew(&self) -> Result<(), CatalogError> {
        let mut owned = self.renewal.acquire().await?;
        let began = Instant::now();
        loop {
            let renewed = self.lease.renew(&mut owned).await;
            let is_locked = renewed.as_ref().is_err_and(is_locked);
            if is_locked && began.elapsed() < LEASE {
                continue;
            }
            // A session in which something else went wrong is closed.
            if is_locked || renewed.is_ok() {
                owned.release();
            }
            return renewed;
        }
    }

    /// The connection, for what is read.
    pub(in crate::postgres) async fn acquire(&self) -> Result<Owned, CatalogError> {
        self.connection.acquire().await
    }

    /// A transaction that writes, with the lock on the bookmark's row from its beginning. Nobody can take the lease
    /// while it runs.
    ///
    /// # Errors
    /// [`CatalogError::Superseded`] when another indexer has taken the lease, and [`CatalogError::Unavailable`] when the
    /// indexer has to begin again, since the server may be another one.
    pub(in crate::postgres) async fn begin_write(&self) -> Result<Owned, CatalogError> {
        let mut owned = self.connection.acquire().await?;
        if owned.number != self.begun.load(Ordering::Relaxed) {
            owned.release();
            return Err(connected_anew());
        }
        owned.execute("begin").await?;
        owned.renew(&self.lease).await?;
        Ok(owned)
    }

    /// So many more instances are committed: the server writes its log back by itself.
    pub(in crate::postgres) fn has_committed(&self, _instances: usize) {}

    /// The announcements that are read now are under way.
    pub(in crate::postgres) fn announces(&self, owned: &Owned) {
        self.announcing.store(owned.number, Ordering::Relaxed);
    }

    /// A transaction that writes to the outbox by what was read of it. Another server has given the ids to others.
    ///
    /// # Errors
    /// As [`CatalogWriter::begin_write`].
    pub(in crate::postgres) async fn begin_announced(&self) -> Result<Owned, CatalogError> {
        let transaction = self.begin_write().await?;
        if transaction.number != self.announcing.load(Ordering::Relaxed) {
            transaction.rollback().await?;
            return Err(connected_anew());
        }
        Ok(transaction)
    }

    /// The catalogue that was made is whole: an indexer may take it.
    ///
    /// # Errors
    /// [`CatalogError::Superseded`] when it is made by somebody else by now.
    pub(crate) async fn finish(&self) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        self.lease.finish(&mut transaction).await?;
        transaction.commit().await
    }

    pub(crate) async fn close(&self) {
        let closed = async {
            self.renewal.close().await;
            let mut owned = self.connection.acquire().await?;
            self.lease.give_up(&mut owned).await?;
            owned.release();
            self.connection.close().await;
            Ok(())
        };
        if let Err(error) = within(closed).await {
            tracing::debug!(%error, "the lease on the catalogue ends by itself");
        }
    }
}

fn connected_anew() -> CatalogError {
    CatalogError::Unavailable("PostgreSQL was connected to anew".into())
}
