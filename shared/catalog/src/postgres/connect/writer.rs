//! The indexer's end of the catalogue.

use super::owned::{OwnConnection, Owned};
use super::servers::Servers;
use crate::error::CatalogError;
use crate::postgres::MIGRATIONS;
use crate::settings::CatalogSettings;

/// The catalogue as the indexer has it. Clones share its one connection.
#[derive(Debug, Clone)]
pub struct CatalogWriter {
    connection: OwnConnection,
}

impl CatalogWriter {
    /// Opens the catalogue as its owner, and brings its tables up to this version. Of several that do so at a time
    /// one goes on, by the advisory lock that sqlx takes.
    ///
    /// # Errors
    /// When no server takes writes, or the tables can't be made.
    pub(crate) async fn own(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        let connection = OwnConnection::new(Servers::of(settings)?);
        let mut owned = connection.acquire().await?;
        MIGRATIONS.run(&mut *owned).await?;
        owned.release();
        Ok(Self { connection })
    }

    /// The connection, for what is read.
    pub(in crate::postgres) async fn acquire(&self) -> Result<Owned, CatalogError> {
        self.connection.acquire().await
    }

    /// A transaction that writes, with the lock that all writes take from its beginning.
    pub(in crate::postgres) async fn begin_write(&self) -> Result<Owned, CatalogError> {
        self.connection.begin_write().await
    }

    /// Closes the connection, once what runs on it has ended.
    pub(crate) async fn close(&self) {
        self.connection.close().await;
    }
}
