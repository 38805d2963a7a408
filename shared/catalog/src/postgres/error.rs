//! What PostgreSQL's errors mean to a caller.

use crate::error::CatalogError;
use sqlx::postgres::PgDatabaseError;

/// Beginnings of the SQLSTATE codes of what passes (PostgreSQL, appendix A): lost connections, rollbacks that another
/// transaction caused, full disks and too many connections, a server that stops or starts, a time-out, a disk that
/// does not answer.
const PASSING_CLASSES: [&str; 5] = ["08", "40", "53", "57", "58"];

/// The same of single codes: a lock that somebody else holds, a server that has become a stand-by, and a transaction
/// that was idle for too long.
const PASSING: [&str; 3] = [LOCK_NOT_AVAILABLE, "25006", "25P03"];

/// Somebody else holds the lock for longer than `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// No table of that name.
const UNDEFINED_TABLE: &str = "42P01";

fn code(error: &sqlx::Error) -> Option<&str> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    Some(error.code())
}

/// Whether a later try may succeed.
pub(crate) fn is_passing(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| {
        PASSING_CLASSES.iter().any(|class| code.starts_with(class)) || PASSING.contains(&code)
    })
}

/// Whether somebody else has locked what is written. The session is as good as before.
pub(in crate::postgres) fn is_locked(error: &CatalogError) -> bool {
    let CatalogError::Unavailable(cause) = error else { return false };
    cause.downcast_ref().and_then(code) == Some(LOCK_NOT_AVAILABLE)
}

/// Whether the tables are missing.
pub(in crate::postgres) fn has_no_tables(error: &sqlx::Error) -> bool {
    code(error) == Some(UNDEFINED_TABLE)
}
