//! The catalogue in a PostgreSQL database, for more than one machine: `connect/` finds and opens it. The statements are
//! in `sql/`, what PostgreSQL has of its own for them is here.

// First, for their macros.
#[macro_use]
mod dialect;
#[macro_use]
#[allow(clippy::duplicate_mod, reason = "compiled for each database")]
#[path = "../sql/mod.rs"]
mod sql;

mod bookmark;
mod connect;
mod copying;
pub(crate) mod error;
mod identities;
mod patients;
mod read;
mod values;
mod write;

pub(crate) use connect::inspection::inspect;
pub(crate) use connect::location::{is_postgres, name};
pub(crate) use connect::reader::CatalogReader;
pub(crate) use connect::writer::CatalogWriter;
pub(crate) use sql::copying::{Insert, Snapshot};

use crate::error::CatalogError;
use sqlx::migrate::Migrator;
use std::time::Duration;
use tokio::time::timeout;

static MIGRATIONS: Migrator = sqlx::migrate!("src/postgres/migrations");

/// How long anything may take. A server that is cut off without a word would be waited for without end.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits for what the server does, but not without end.
///
/// # Errors
/// What it ends with, or that it has not ended.
pub(crate) async fn within<T>(
    work: impl Future<Output = Result<T, CatalogError>>,
) -> Result<T, CatalogError> {
    match timeout(LIMIT, work).await {
        Ok(done) => done,
        Err(_elapsed) => {
            let says = format!("PostgreSQL has not answered within {LIMIT:?}");
            Err(CatalogError::Unavailable(says.into()))
        }
    }
}
