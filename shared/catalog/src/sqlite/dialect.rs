//! What SQLite has under another name than the statements of `sql/`.

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;

pub(in crate::sqlite) type Connection = sqlx::SqliteConnection;

/// The greater of two values.
macro_rules! greatest {
    ($one:expr, $other:expr) => {
        concat!("max(", $one, ", ", $other, ")")
    };
}

/// The lesser of two values.
macro_rules! least {
    ($one:expr, $other:expr) => {
        concat!("min(", $one, ", ", $other, ")")
    };
}

/// After a column: that it has one of the values of a parameter, which is a [`list`](super::values::list).
macro_rules! one_of {
    ($parameter:expr) => {
        concat!("in (select value from json_each(", $parameter, "))")
    };
}

/// Of the rows of a bookmark: that it is the one of this catalogue.
macro_rules! our_row {
    () => {
        "id = 1"
    };
}

/// All went well on a connection: the next one may use it. Here it may in any case.
pub(in crate::sqlite) fn release(connection: PoolConnection<Sqlite>) {
    drop(connection);
}
