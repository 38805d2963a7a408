//! The indexer's end of the catalogue.

use super::lease::RowLease;
use super::owned::{OwnConnection, Owned};
use super::servers::Servers;
use crate::error::CatalogError;
use crate::lease::Lease;
use crate::postgres::{MIGRATIONS, name, within};
use crate::settings::CatalogSettings;
use std::sync::Arc;

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
    id: Arc<str>,
    name: Arc<str>,
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
        owned.release();
        let name = name(&settings.database_url)?;
        let (lease, id, name) = (Arc::new(lease), id.into(), name.into());
        Ok(Some(Self { connection, renewal, lease, id, name }))
    }

    #[must_use]
    pub(crate) fn lease(&self) -> Lease {
        let (catalog_id, catalog) = (self.id.to_string(), self.name.to_string());
        Lease { catalog_id, catalog, epoch: self.lease.epoch(), locked: false }
    }

    /// Renews the lease, at once or right after a write that is under way.
    pub(crate) async fn renew(&self) -> Result<(), CatalogError> {
        let mut owned = self.renewal.acquire().await?;
        self.lease.renew(&mut owned).await?;
        owned.release();
        Ok(())
    }

    /// The connection, for what is read.
    pub(in crate::postgres) async fn acquire(&self) -> Result<Owned, CatalogError> {
        self.connection.acquire().await
    }

    /// A transaction that writes, with the lock on the bookmark's row from its beginning. Nobody can take the lease
    /// while it runs.
    ///
    /// # Errors
    /// [`CatalogError::Superseded`] when another indexer has taken the lease.
    pub(in crate::postgres) async fn begin_write(&self) -> Result<Owned, CatalogError> {
        let mut owned = self.connection.begin().await?;
        self.lease.renew(&mut owned).await?;
        Ok(owned)
    }

    /// So many more instances are committed: the server writes its log back by itself.
    pub(in crate::postgres) fn has_committed(&self, _instances: usize) {}

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
