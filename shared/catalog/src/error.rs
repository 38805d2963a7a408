//! What goes wrong with the catalogue, by what a caller can do about it.

use crate::{postgres, sqlite};
use sqlx::migrate::MigrateError;
use std::error::Error;

/// The catalogue can't do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Not now: somebody else writes to it, its disk is full or does not answer. A later try may succeed.
    #[error("catalogue: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The database refuses, now and later.
    #[error("catalogue: {0}")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// The settings name no catalogue.
    #[error("{0}")]
    Settings(String),
    /// It was made by a later version, or is damaged in its migrations.
    #[error("catalogue: {0}")]
    OtherVersion(#[source] Box<dyn Error + Send + Sync>),
    /// The indexer has not made it or brought it up to this version yet.
    #[error("the catalogue is not there yet; start the indexer, which makes it")]
    NotMigrated,
    /// What it holds is not what this version writes.
    #[error("catalogue: unreadable value: {0}")]
    Unreadable(String),
    /// It is being copied or rebuilt from the record, or that was interrupted.
    #[error(
        "the catalogue is unfinished: it is being copied or rebuilt, or that was interrupted; wait until it is whole, \
         or copy or rebuild it again"
    )]
    Unfinished,
    /// Another indexer, of this name, has taken the lease on it: nothing was written.
    #[error("another indexer has taken over the catalogue: {0}")]
    Superseded(String),
    /// Somebody put another one in its place, or took it away.
    #[error("the catalogue's file {0} was replaced or removed")]
    Replaced(String),
}

impl CatalogError {
    /// Whether a later try may succeed where this one failed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<sqlx::Error> for CatalogError {
    fn from(error: sqlx::Error) -> Self {
        match is_passing(&error) {
            true => Self::Unavailable(error.into()),
            false => Self::Refused(error.into()),
        }
    }
}

impl From<MigrateError> for CatalogError {
    fn from(error: MigrateError) -> Self {
        match &error {
            MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)
                if is_passing(cause) =>
            {
                Self::Unavailable(error.into())
            }
            _ => Self::OtherVersion(error.into()),
        }
    }
}

/// Whether a later try may succeed: by what the database says, or since the connection to it was lost. Where that was
/// in the middle of a commit, nobody knows whether it was made; the bookmark tells.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut => true,
        error => sqlite::error::is_passing(error) || postgres::error::is_passing(error),
    }
}
