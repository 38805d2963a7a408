//! Conditions on text, dates and numbers, as PostgreSQL has them.

use crate::names::like;
use crate::postgres::sql::read::matching::Indexed;
use contract::attributes::Kind;
use sqlx::{Postgres, QueryBuilder};

/// How many characters of a text its index has: an entry of an index has a bound, and the text has none.
const INDEXED: usize = 128;

pub(in crate::postgres) const PATIENT_ID: Indexed =
    Indexed { table: "patients", key: "id", column: "patient_id", odd: "patients" };

pub(in crate::postgres) const ACCESSION_NUMBER: Indexed = Indexed {
    table: "studies",
    key: "study_instance_uid",
    column: "accession_number",
    odd: "studies",
};

/// The span of the index in which a text is that begins with a certain one.
pub(in crate::postgres) fn push_beginning(
    query: &mut QueryBuilder<Postgres>,
    column: &str,
    begins: &str,
) {
    let beginning: String = begins.chars().take(INDEXED).collect();
    if let Some(beyond) = beyond(&beginning) {
        query.push(format_args!("left({column}, {INDEXED}) < ")).push_bind(beyond).push(" and ");
    }
    query.push(format_args!("left({column}, {INDEXED}) >= ")).push_bind(beginning).push(" and ");
}

/// The first text after all those that begin with a certain one, in the order of code points; `None` if there is none.
fn beyond(beginning: &str) -> Option<String> {
    let mut beyond = beginning.to_owned();
    while let Some(last) = beyond.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            beyond.push(next);
            return Some(beyond);
        }
    }
    None
}

/// Adds the condition that a value is as a pattern says.
pub(in crate::postgres) fn push_pattern(
    query: &mut QueryBuilder<Postgres>,
    value: &str,
    pattern: &str,
) {
    query.push(value).push(" like ").push_bind(like(pattern));
}

/// Adds the condition that a column has one of these values.
pub(in crate::postgres) fn push_one_of(
    query: &mut QueryBuilder<Postgres>,
    column: &str,
    values: Vec<String>,
) {
    query.push(column).push(" = any(").push_bind(values).push(")");
}

/// The values of a text, as the rows of a table.
pub(in crate::postgres) fn values(column: &str) -> String {
    format!(r"unnest(string_to_array({column}, '\')) as one(value)")
}

/// A date or a time without the delimiters that ACR-NEMA puts into it, and whether it is one.
pub(in crate::postgres) fn moment(column: &str, kind: Kind) -> (String, String) {
    if kind == Kind::Time {
        let time = format!("replace({column}, ':', '')");
        let is_one = format!("{column} ~ '^[0-2][0-9]' and {time} !~ '[^0-9.]'");
        return (time, is_one);
    }
    let day = day(column);
    let is_one = format!(
        "{day} ~ '^[0-9]{{4}}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$'
         and ({column} like '________' or {column} like '____.__.__')"
    );
    (day, is_one)
}

/// A date without the points that ACR-NEMA puts into it. The index of dates is of this expression: an entry has a
/// bound, and what is longer is no date.
fn day(column: &str) -> String {
    format!("replace(left({column}, 32), '.', '')")
}

/// Whether a number, kept as text or as an integer, is this one. What is no integer is none, and a number may have
/// any length.
pub(in crate::postgres) fn push_number(
    query: &mut QueryBuilder<Postgres>,
    column: &str,
    number: &str,
) {
    let text = format!("btrim({column}::text)");
    let signs = match number {
        "0" => "+-",
        _ if number.starts_with('-') => "-",
        _ => "+",
    };
    // Below zero there has to be one.
    let otherwise = if signs == "-" { "null" } else { &text };
    let unsigned = format!(
        "case when strpos('{signs}', left({text}, 1)) > 0 then substr({text}, 2) else {otherwise} end"
    );
    query.push(format_args!("({unsigned} ~ '^[0-9]+$' and ltrim({unsigned}, '0') = "));
    query.push_bind(number.trim_start_matches(['-', '0']).to_owned()).push(")");
}

/// The day of a study as a number, by which studies are sorted: the digits that a date begins with, as a number: a date has eight, but any text may have come as one.
pub(in crate::postgres) const DAY_NUMBER: &str = r"coalesce(least(greatest(
    substring(replace(studies.study_date, '.', '') from '^[ \t\n\v\f\r]*([+-]?[0-9]+)')::numeric,
    -9223372036854775808), 9223372036854775807)::bigint, 0)";

/// The items of a sequence, which is a JSON list, as the rows `item` of a table.
pub(in crate::postgres) fn items(list: &str) -> String {
    format!("json_array_elements({list}) as item(value)")
}

/// That a study has a series: those that instances have moved out of are left without one.
pub(in crate::postgres) const HAS_SERIES: &str = " and (exists (select 1 from series
        where series.study_instance_uid = studies.study_instance_uid)
    or exists (select 1 from identities
        join instances on instances.identity = identities.id
        where identities.study_instance_uid = studies.study_instance_uid))";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_ends_where_the_next_text_begins() {
        for (beginning, expected) in [
            ("7", Some("8")),
            ("ab", Some("ac")),
            ("a\u{d7ff}", Some("a\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(beyond(beginning).as_deref(), expected, "{beginning:?}");
        }
    }
}
