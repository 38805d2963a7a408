//! What a search asks of an attribute, and the condition that it becomes (PS3.4 section C.2.2.2). A
//! value is bound to its statement and never part of the text.

use super::columns::expression;
use super::names;
use crate::attributes::MODALITIES_IN_STUDY;
use crate::names::like;
use crate::postgres::filings::filings_of_patient;
use crate::search::Matching;
use contract::attributes::{Attribute, Kind};
use sqlx::{Postgres, QueryBuilder};

/// How many characters of a text its index has: an entry of an index has a bound, and the text has none.
const INDEXED: usize = 128;

impl Matching {
    /// Adds the condition to a statement that has a `where`.
    pub(in crate::postgres) fn push_postgres(
        &self,
        query: &mut QueryBuilder<Postgres>,
        attribute: &Attribute,
    ) {
        query.push(" and ");
        match (attribute.keyword, self) {
            (MODALITIES_IN_STUDY, _) => {
                query.push(concat!("exists (select 1 from ", filings_of_patient!(), " and "));
                push_on(self, query, "member.modality", attribute.vr.kind());
                query.push(")");
            }
            ("PatientID", one) if one.has_a_beginning() => {
                push_indexed(one, query, "patients", "id", "patient_id");
            }
            ("AccessionNumber", one) if one.has_a_beginning() => {
                push_indexed(one, query, "studies", "study_instance_uid", "accession_number");
            }
            _ => push_on(self, query, &expression(attribute), attribute.vr.kind()),
        }
    }
}

/// The condition on a column.
pub(in crate::postgres) fn push_on(
    matching: &Matching,
    query: &mut QueryBuilder<Postgres>,
    column: &str,
    kind: Kind,
) {
    match (matching, kind) {
        (Matching::Any(alternatives), _) => {
            query.push("(false");
            for alternative in alternatives {
                query.push(" or ");
                push_on(alternative, query, column, kind);
            }
            query.push(")");
        }
        // PostgreSQL has no text with a NUL.
        (Matching::Equals(value) | Matching::Pattern(value), _) if value.contains('\0') => {
            query.push("false");
        }
        (Matching::Equals(value) | Matching::Pattern(value), Kind::Name) => {
            names::push(query, column, value);
        }
        (Matching::Equals(value), Kind::Date) => {
            let day = Some(value.clone());
            push_on(&Matching::Within { from: day.clone(), to: day }, query, column, kind);
        }
        (Matching::Equals(value), Kind::Uid) => {
            query.push(column).push(" = ").push_bind(value.clone());
        }
        (Matching::Equals(_) | Matching::Pattern(_), _) => {
            query.push("(");
            push_text(matching, query, column);
            query.push(format_args!(" or {} and ", odd(column)));
            push_any_value(matching, query, column);
            query.push(")");
        }
        (Matching::Number(number), _) => push_number(query, column, number),
        (Matching::OneOf(values), _) => {
            let values: Vec<String> =
                values.iter().filter(|value| !value.contains('\0')).cloned().collect();
            query.push(column).push(" = any(").push_bind(values).push(")");
        }
        (Matching::Within { from, to }, _) => {
            let (moment, is_one) = moment(column, kind);
            query.push(format_args!("({is_one}"));
            if let Some(from) = from {
                query.push(format_args!(" and {moment} >= ")).push_bind(from.clone());
            }
            if let Some(to) = to {
                // The character after all others that a date or a time may go on with.
                query.push(format_args!(" and {moment} < ")).push_bind(format!("{to}~"));
            }
            query.push(")");
        }
    }
}

/// The same of text that has an index of how it begins, and beside it one of those rows that are not as they
/// should be: with padding, or several values.
fn push_indexed(
    matching: &Matching,
    query: &mut QueryBuilder<Postgres>,
    table: &str,
    key: &str,
    column: &str,
) {
    let alternatives = match matching {
        Matching::Any(alternatives) => alternatives.as_slice(),
        one => std::slice::from_ref(one),
    };
    query.push(format_args!("{table}.{key} in ("));
    for (index, alternative) in alternatives.iter().enumerate() {
        let union = if index == 0 { "" } else { " union all " };
        query.push(format_args!("{union}select {key} from {table} where "));
        push_beginning(alternative, query, column);
        push_text(alternative, query, column);
        query.push(format_args!(" union all select {key} from {table} where {} and ", odd(column)));
        push_any_value(alternative, query, column);
    }
    query.push(")");
}

/// The span of the index in which a text is that begins with a certain one.
fn push_beginning(matching: &Matching, query: &mut QueryBuilder<Postgres>, column: &str) {
    let beginning = match matching {
        Matching::Equals(text) => text.as_str(),
        Matching::Pattern(pattern) => pattern.split(['*', '?']).next().unwrap_or_default(),
        _ => return,
    };
    if beginning.contains('\0') {
        return;
    }
    let beginning: String = beginning.chars().take(INDEXED).collect();
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

/// The condition on one value without padding.
fn push_text(matching: &Matching, query: &mut QueryBuilder<Postgres>, value: &str) {
    match matching {
        Matching::Equals(text) | Matching::Pattern(text) if text.contains('\0') => {
            query.push("false");
        }
        Matching::Pattern(pattern) => {
            query.push(value).push(" like ").push_bind(like(pattern));
        }
        Matching::Equals(text) => {
            query.push(value).push(" = ").push_bind(text.clone());
        }
        // These are of other kinds.
        Matching::Number(_) | Matching::OneOf(_) | Matching::Within { .. } | Matching::Any(_) => {
            query.push("false");
        }
    }
}

/// The same on any of the values of a column, each without its padding.
fn push_any_value(matching: &Matching, query: &mut QueryBuilder<Postgres>, column: &str) {
    let values = format!(r"unnest(string_to_array({column}, '\')) as one(value)");
    query.push(format_args!("exists (select 1 from {values} where "));
    push_text(matching, query, "btrim(value)");
    query.push(")");
}

/// Whether a text has padding, or several values. The indexes of such rows are of this expression.
fn odd(column: &str) -> String {
    format!(r"({column} <> btrim({column}) or strpos({column}, '\') > 0)")
}

/// A date or a time without the delimiters that ACR-NEMA puts into it, and whether it is one.
fn moment(column: &str, kind: Kind) -> (String, String) {
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
fn push_number(query: &mut QueryBuilder<Postgres>, column: &str, number: &str) {
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
