//! What PostgreSQL has under another name than the statements of `sql/`.

use super::connect::owned::Owned;

pub(in crate::postgres) type Connection = sqlx::PgConnection;

/// The greater of two values.
macro_rules! greatest {
    ($one:expr, $other:expr) => {
        concat!("greatest(", $one, ", ", $other, ")")
    };
}

/// The lesser of two values.
macro_rules! least {
    ($one:expr, $other:expr) => {
        concat!("least(", $one, ", ", $other, ")")
    };
}

/// After a column: that it has one of the values of a parameter, which is a [`list`](super::values::list).
macro_rules! one_of {
    ($parameter:expr) => {
        concat!("= any(", $parameter, ")")
    };
}

/// Of the rows of a bookmark: that it is the one of this catalogue.
macro_rules! our_row {
    () => {
        "shard = 0"
    };
}

/// All went well on a connection: the next one may use it.
pub(in crate::postgres) fn release(connection: Owned) {
    connection.release();
}
