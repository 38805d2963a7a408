//! A connection with one user at a time, so that what is written on it is written in order. It is used again only after
//! everything went well: after any error, and when a caller goes away in the middle, it is closed, which rolls back
//! what was begun, and the next use finds a server anew.

use super::lease::RowLease;
use super::servers::Servers;
use crate::error::CatalogError;
use crate::lease::RENEW_EVERY;
use sqlx::{Executor as _, PgConnection};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The connection, and where it leads.
#[derive(Debug, Clone)]
pub(in crate::postgres) struct OwnConnection {
    servers: Servers,
    idle: Arc<Mutex<Option<PgConnection>>>,
    /// How often a server was connected to.
    connects: Arc<AtomicU64>,
}

impl OwnConnection {
    /// Not connected yet.
    pub(in crate::postgres) fn new(servers: Servers) -> Self {
        Self { servers, idle: Arc::default(), connects: Arc::default() }
    }

    /// The connection, once nobody else has it.
    ///
    /// # Errors
    /// When no server takes writes.
    pub(in crate::postgres) async fn acquire(&self) -> Result<Owned, CatalogError> {
        let mut idle = self.idle.clone().lock_owned().await;
        let connection = match idle.take() {
            Some(connection) => connection,
            None => {
                let connection = self.servers.writable().await?;
                self.connects.fetch_add(1, Ordering::Relaxed);
                connection
            }
        };
        // There is one at a time.
        Ok(Owned { connection, idle, number: self.connects(), lease: None })
    }

    /// How often a server was connected to, which is the number of the connection that there is.
    pub(in crate::postgres) fn connects(&self) -> u64 {
        self.connects.load(Ordering::Relaxed)
    }

    /// Closes it, once what runs on it has ended.
    pub(in crate::postgres) async fn close(&self) {
        use sqlx::Connection as _;
        if let Some(connection) = self.idle.lock().await.take() {
            // It is gone either way.
            let _ = connection.close().await;
        }
    }
}

/// The connection in use.
#[derive(Debug)]
pub(in crate::postgres) struct Owned {
    connection: PgConnection,
    idle: OwnedMutexGuard<Option<PgConnection>>,
    /// Which connection it is: what another one has read may be of another server.
    pub(in crate::postgres) number: u64,
    /// What has been renewed in its transaction, and when.
    lease: Option<(Arc<RowLease>, Instant)>,
}

impl Owned {
    /// Renews the lease, and again before the commit if that is much later: whoever waits for the end of a long
    /// transaction would find a lease that has ended.
    ///
    /// # Errors
    /// [`CatalogError::Superseded`] when another writer has it.
    pub(in crate::postgres) async fn renew(
        &mut self,
        lease: &Arc<RowLease>,
    ) -> Result<(), CatalogError> {
        lease.renew(&mut self.connection).await?;
        self.lease = Some((Arc::clone(lease), Instant::now()));
        Ok(())
    }

    /// Commits what was begun. Where the connection is lost meanwhile nobody knows whether it was committed: the
    /// bookmark tells, to whoever begins again from it.
    ///
    /// # Errors
    /// When it is not committed, or that is not known.
    pub(in crate::postgres) async fn commit(mut self) -> Result<(), CatalogError> {
        if let Some((lease, renewed)) = &self.lease
            && renewed.elapsed() > RENEW_EVERY
        {
            lease.renew(&mut self.connection).await?;
        }
        self.connection.execute("commit").await?;
        self.release();
        Ok(())
    }

    /// Undoes what was begun.
    ///
    /// # Errors
    /// When the connection is lost; it is undone all the same.
    pub(in crate::postgres) async fn rollback(mut self) -> Result<(), CatalogError> {
        self.connection.execute("rollback").await?;
        self.release();
        Ok(())
    }

    /// All went well: the next one may use it.
    pub(in crate::postgres) fn release(mut self) {
        *self.idle = Some(self.connection);
    }
}

impl Deref for Owned {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Owned {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
