//! What statements call by other words in SQLite than elsewhere.

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;

pub(in crate::sqlite) type Database = sqlx::Sqlite;
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

/// The order in which the rows of a table came.
macro_rules! arrival {
    ($table:literal) => {
        concat!($table, ".rowid")
    };
}

/// Of a series or a study: that its instances agree on whose they are.
macro_rules! agrees {
    ($table:literal) => {
        concat!($table, ".disagrees = 0")
    };
}

/// That they do not. Those few have an index by this expression.
macro_rules! disagrees {
    ($table:literal) => {
        concat!($table, ".disagrees = 1")
    };
}

/// The beginning of a condition: that there is a row. This is no `exists`: SQLite 3.51 makes a join of that, and then
/// counts a study for `offset` once for each of its series.
macro_rules! any_from {
    () => {
        "(select 1 from "
    };
}

/// The end of that condition.
macro_rules! any_end {
    () => {
        " limit 1) is not null"
    };
}

/// A text as an integer. What is none, or has more than 12 digits, comes after all others.
macro_rules! integer {
    ($text:literal) => {
        concat!(
            "(case when length(trim(",
            $text,
            ")) between 1 and 12
                 and ltrim(trim(",
            $text,
            "), '+-') not glob '*[^0-9]*'
                 and length(trim(",
            $text,
            ")) - length(ltrim(trim(",
            $text,
            "), '+-')) <= 1
                 and ltrim(trim(",
            $text,
            "), '+-') <> ''
             then cast(trim(",
            $text,
            ") as integer) else 9223372036854775807 end)"
        )
    };
}

/// The function that finds a text in another one: where it is from 1, or 0.
macro_rules! instr {
    () => {
        "instr"
    };
}

/// A list as JSON, before its values in brackets.
macro_rules! json_list {
    () => {
        "json_array"
    };
}

/// Rows in a group as a JSON list of lists, each of these values, in the order of their SOP Instance UIDs.
macro_rules! rows_as_list {
    ($values:literal) => {
        concat!("json_group_array(json_array", $values, " order by sop_instance_uid)")
    };
}

/// The values of a parameter that is a JSON list, as rows of a column `value`.
macro_rules! each_of {
    ($parameter:expr) => {
        concat!("json_each(", $parameter, ")")
    };
}

/// After a table: the index by which its rows are found.
macro_rules! by_index {
    ($index:literal) => {
        concat!(" indexed by ", $index)
    };
}

/// After a table: that its rows are read in their order, whatever an index finds sooner.
macro_rules! in_order {
    () => {
        " not indexed"
    };
}

/// Before a value: that no index is used for it.
macro_rules! no_index {
    () => {
        "+"
    };
}

/// A join that begins with the table on its left.
macro_rules! then_join {
    () => {
        " cross join "
    };
}

/// All went well on a connection: the next one may use it. Here it may in any case.
pub(in crate::sqlite) fn release(connection: PoolConnection<Sqlite>) {
    drop(connection);
}
