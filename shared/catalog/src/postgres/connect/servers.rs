//! Which server is connected to: of several, the first that does what is asked of it.

use super::location::Location;
use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long one server has to answer before the next one is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What holds in each session. A transaction whose client is gone ends by itself, and who waits for a lock tries again
/// later. What is committed is on disk: a server that is told otherwise for all its databases is told so for this one.
/// To compile a long statement takes longer than to run it.
const SESSION: &str = "
set jit = off;
set idle_in_transaction_session_timeout = '3s';
set lock_timeout = '1s';
select set_config('synchronous_commit', 'on', false)
where current_setting('synchronous_commit') in ('off', 'local')";

/// The servers that the settings name.
#[derive(Debug, Clone)]
pub(in crate::postgres) struct Servers(Arc<Location>);

impl Servers {
    /// # Errors
    /// When the settings name none.
    pub(in crate::postgres) fn of(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        Ok(Self(Arc::new(Location::parse(&settings.database_url)?)))
    }

    /// Connects to the first that takes writes.
    ///
    /// # Errors
    /// When there is none; what the last one says.
    pub(in crate::postgres) async fn writable(&self) -> Result<PgConnection, CatalogError> {
        Ok(self.first(true).await?.1)
    }

    /// Connects to the first that answers, whatever it takes.
    ///
    /// # Errors
    /// When there is none; what the last one says.
    pub(in crate::postgres) async fn any(&self) -> Result<PgConnection, CatalogError> {
        Ok(self.first(false).await?.1)
    }

    /// How the first is connected to that does what the URL asks for.
    ///
    /// # Errors
    /// When there is none; what the last one says.
    pub(in crate::postgres) async fn readable(&self) -> Result<PgConnectOptions, CatalogError> {
        self.0.check_files()?;
        let mut options = self.0.options()?;
        if options.len() == 1 && !self.0.must_write {
            return Ok(options.remove(0));
        }
        let (options, connection) = self.first(self.0.must_write).await?;
        connection.close().await?;
        Ok(options)
    }

    async fn first(
        &self,
        must_write: bool,
    ) -> Result<(PgConnectOptions, PgConnection), CatalogError> {
        self.0.check_files()?;
        let mut refused = None;
        for options in self.0.options()? {
            match timeout(CONNECT_TIMEOUT, connect(&options, must_write)).await {
                Ok(Ok(connection)) => return Ok((options, connection)),
                Ok(Err(error)) => refused = Some(error),
                Err(_elapsed) => refused = Some(silent(&options)),
            }
        }
        Err(refused.unwrap_or_else(|| CatalogError::Settings("DATABASE_URL names no host".into())))
    }
}

async fn connect(
    options: &PgConnectOptions,
    must_write: bool,
) -> Result<PgConnection, CatalogError> {
    let mut connection = options.connect().await.map_err(|error| refused(options, error))?;
    prepare(&mut connection).await?;
    if must_write {
        let read_only: String =
            sqlx::query_scalar("show transaction_read_only").fetch_one(&mut connection).await?;
        if read_only == "on" {
            let (host, port) = (options.get_host(), options.get_port());
            let says = format!("PostgreSQL on {host}:{port} is a stand-by, or takes no writes");
            return Err(CatalogError::Unavailable(says.into()));
        }
    }
    Ok(connection)
}

/// Sets what holds in a session.
pub(in crate::postgres) async fn prepare(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection.execute(sqlx::raw_sql(SESSION)).await?;
    Ok(())
}

/// What it means that a connection is not made. A certificate that is not taken is no better later.
fn refused(options: &PgConnectOptions, error: sqlx::Error) -> CatalogError {
    match error {
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            let (host, port) = (options.get_host(), options.get_port());
            CatalogError::Settings(format!(
                "PostgreSQL on {host}:{port} is not trusted (see sslmode and sslrootcert in DATABASE_URL): {error}"
            ))
        }
        other => other.into(),
    }
}

fn silent(options: &PgConnectOptions) -> CatalogError {
    let (host, port) = (options.get_host(), options.get_port());
    let says = format!("PostgreSQL on {host}:{port} does not answer within {CONNECT_TIMEOUT:?}");
    CatalogError::Unavailable(says.into())
}
