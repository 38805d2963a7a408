//! What SQLite's errors mean to a caller.

use sqlx::error::DatabaseError as _;
use sqlx::sqlite::SqliteError;

/// Primary result codes of SQLite that pass: SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR, SQLITE_FULL.
const PASSING: [i32; 4] = [SQLITE_BUSY, 6, 10, 13];
const SQLITE_BUSY: i32 = 5;

/// Primary result code of a statement that can't be prepared.
const SQLITE_ERROR: i32 = 1;

/// The primary result code of SQLite, which is the lowest byte of an extended one.
fn code(error: &sqlx::Error) -> Option<i32> {
    let error = error.as_database_error()?.try_downcast_ref::<SqliteError>()?;
    let code: i32 = error.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Whether a later try may succeed.
pub(crate) fn is_passing(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| PASSING.contains(&code))
}

/// Whether somebody else has the file.
pub(in crate::sqlite) fn is_busy(error: &sqlx::Error) -> bool {
    code(error) == Some(SQLITE_BUSY)
}

/// Whether the tables are missing.
pub(in crate::sqlite) fn has_no_tables(error: &sqlx::Error) -> bool {
    code(error) == Some(SQLITE_ERROR)
        && error
            .as_database_error()
            .is_some_and(|error| error.message().starts_with("no such table"))
}
