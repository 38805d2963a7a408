//! The API's end of the catalogue.

use super::lease::RowLease;
use super::owned::OwnConnection;
use super::servers::{Servers, prepare};
use crate::error::CatalogError;
use crate::long_reads::LongReads;
use crate::postgres::MIGRATIONS;
use crate::postgres::error::has_no_tables;
use crate::settings::CatalogSettings;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Executor as _, Postgres};
use std::time::Duration;

/// Connections of a process that reads.
const READERS: u32 = 4;

/// How long a connection is waited for.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// What holds in a session that reads. A statement whose client is gone ends by itself, a little before
/// [`crate::postgres::LIMIT`].
const READING: &str = "set statement_timeout = '55s'";

/// The catalogue as the API has it, which reads it, and writes how far its webhooks are. Clones share its
/// connections.
#[derive(Debug, Clone)]
pub struct CatalogReader {
    pool: PgPool,
    servers: Servers,
    /// For what is written: readers can't hold it up.
    pub(in crate::postgres) writer: OwnConnection,
    pub(in crate::postgres) long_reads: LongReads,
}

impl CatalogReader {
    pub(crate) fn open(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        let servers = Servers::of(settings)?;
        let pool = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    prepare(connection).await?;
                    connection.execute(READING).await?;
                    Ok(())
                })
            })
            // Where it leads is found when it is first used.
            .connect_lazy_with(PgConnectOptions::new_without_pgpass());
        let writer = OwnConnection::new(servers.clone());
        Ok(Self { pool, servers, writer, long_reads: LongReads::new() })
    }

    /// A connection to read on.
    ///
    /// # Errors
    /// When no server answers.
    pub(in crate::postgres) async fn connection(
        &self,
    ) -> Result<PoolConnection<Postgres>, CatalogError> {
        if self.pool.num_idle() == 0 && self.pool.size() < READERS {
            // A new one is about to be made, to a server that may not be the one of before.
            let options = self.servers.readable().await?;
            // A long read is what somebody asked for: nothing to warn of.
            self.pool.set_connect_options(options.disable_statement_logging());
        }
        Ok(self.pool.acquire().await?)
    }

    pub(crate) async fn check(&self) -> Result<(), CatalogError> {
        let wanted = MIGRATIONS.iter().map(|migration| migration.version).max();
        let query = "select max(version) from _sqlx_migrations where success";
        let mut connection = self.connection().await?;
        let applied: Result<Option<i64>, _> =
            sqlx::query_scalar(query).fetch_one(&mut *connection).await;
        match applied {
            Ok(applied) if applied == wanted => RowLease::check_whole(&mut connection).await,
            Ok(_) => Err(CatalogError::NotMigrated),
            Err(error) if has_no_tables(&error) => Err(CatalogError::NotMigrated),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn close(&self) {
        self.writer.close().await;
        self.pool.close().await;
    }
}
