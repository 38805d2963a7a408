//! What statements call by other words in PostgreSQL than elsewhere.

use super::connect::owned::Owned;

pub(in crate::postgres) type Database = sqlx::Postgres;
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

/// The order in which the rows of a table came.
macro_rules! arrival {
    ($table:literal) => {
        concat!($table, ".arrival")
    };
}

/// Of a series or a study: that its instances agree on whose they are.
macro_rules! agrees {
    ($table:literal) => {
        concat!("not ", $table, ".disagrees")
    };
}

/// That they do not. Those few have an index by this expression.
macro_rules! disagrees {
    ($table:literal) => {
        concat!($table, ".disagrees")
    };
}

/// The beginning of a condition: that there is a row.
macro_rules! any_from {
    () => {
        "exists (select 1 from "
    };
}

/// The end of that condition.
macro_rules! any_end {
    () => {
        ")"
    };
}

/// A text as an integer. What is none, or has more than 12 digits, comes after all others.
macro_rules! integer {
    ($text:literal) => {
        concat!(
            "(case when length(btrim(",
            $text,
            ")) <= 12 and btrim(",
            $text,
            ") ~ '^[+-]?[0-9]+$'
             then cast(btrim(",
            $text,
            ") as bigint) else 9223372036854775807 end)"
        )
    };
}

/// The function that finds a text in another one: where it is from 1, or 0.
macro_rules! instr {
    () => {
        "strpos"
    };
}

/// A list as JSON, before its values in brackets.
macro_rules! json_list {
    () => {
        "json_build_array"
    };
}

/// Rows in a group as a JSON list of lists, each of these values, in the order of their SOP Instance UIDs.
macro_rules! rows_as_list {
    ($values:literal) => {
        concat!("json_agg(json_build_array", $values, " order by sop_instance_uid)")
    };
}

/// The values of a parameter that is a JSON list, as rows of a column `value`.
macro_rules! each_of {
    ($parameter:expr) => {
        concat!("json_array_elements(cast(", $parameter, " as json)) as each (value)")
    };
}

/// After a table: the index by which its rows are found. PostgreSQL chooses by itself.
macro_rules! by_index {
    ($index:literal) => {
        ""
    };
}

/// After a table: that its rows are read in their order. PostgreSQL chooses by itself.
macro_rules! in_order {
    () => {
        ""
    };
}

/// Before a value: that no index is used for it. PostgreSQL chooses by itself.
macro_rules! no_index {
    () => {
        ""
    };
}

/// A join that begins with the table on its left. PostgreSQL chooses by itself.
macro_rules! then_join {
    () => {
        " join "
    };
}

/// All went well on a connection: the next one may use it.
pub(in crate::postgres) fn release(connection: Owned) {
    connection.release();
}
