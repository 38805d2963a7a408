//! What SQLite's errors mean to a caller.

use crate::error::CatalogError;
use sqlx::migrate::MigrateError;

/// Primary result codes of SQLite that pass: SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR, SQLITE_FULL.
const PASSING: [i32; 4] = [SQLITE_BUSY, 6, 10, 13];
const SQLITE_BUSY: i32 = 5;

/// The primary result code of SQLite, which is the lowest byte of an extended one.
fn code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

fn is_passing(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| PASSING.contains(&code))
}

/// Whether somebody else has the file.
pub(in crate::sqlite) fn is_busy(error: &sqlx::Error) -> bool {
    code(error) == Some(SQLITE_BUSY)
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
            MigrateError::Execute(cause) if is_passing(cause) => Self::Unavailable(error.into()),
            _ => Self::OtherVersion(error.into()),
        }
    }
}
