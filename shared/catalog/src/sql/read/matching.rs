//! What a search asks of an attribute, and the condition that it becomes (PS3.4 section C.2.2.2). A
//! value is bound to its statement and never part of the text.

use super::database::dialect::Database;
use super::database::read::conditions::{
    ACCESSION_NUMBER, PATIENT_ID, moment, push_beginning, push_number, push_one_of, push_pattern,
    values,
};
use super::expressions::expression;
use super::names;
use crate::attributes::MODALITIES_IN_STUDY;
use crate::search::Matching;
use contract::attributes::{Attribute, Kind};
use sqlx::QueryBuilder;

/// Text that has an index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Indexed {
    pub(crate) table: &'static str,
    /// What tells its rows apart.
    pub(crate) key: &'static str,
    pub(crate) column: &'static str,
    /// The table as it is read for those that are not as they should be: with padding, or several values.
    pub(crate) odd: &'static str,
}

/// Adds the condition to a statement that has a `where`.
pub(crate) fn push(matching: &Matching, query: &mut QueryBuilder<Database>, attribute: &Attribute) {
    query.push(" and ");
    match (attribute.keyword, matching) {
        (MODALITIES_IN_STUDY, _) => {
            query.push(concat!(any_from!(), filings_of_patient!(), " and "));
            push_on(matching, query, "member.modality", attribute.vr.kind());
            query.push(any_end!());
        }
        ("PatientID", one) if one.has_a_beginning() => push_indexed(one, query, PATIENT_ID),
        ("AccessionNumber", one) if one.has_a_beginning() => {
            push_indexed(one, query, ACCESSION_NUMBER);
        }
        _ => push_on(matching, query, &expression(attribute), attribute.vr.kind()),
    }
}

/// The condition on a column.
pub(crate) fn push_on(
    matching: &Matching,
    query: &mut QueryBuilder<Database>,
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
        (Matching::Equals(value) | Matching::Pattern(value), _) if value.contains(NUL) => {
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
            let values = values.iter().filter(|value| !value.contains(NUL)).cloned().collect();
            push_one_of(query, column, values);
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

/// No value has one. PostgreSQL has no text with it, and to SQLite a pattern ends there, so that what stands before it
/// is found.
const NUL: char = '\0';

/// The same of text that has an index, and beside it one of those rows that are not as they should
/// be: with padding, or several values.
fn push_indexed(matching: &Matching, query: &mut QueryBuilder<Database>, indexed: Indexed) {
    let Indexed { table, key, column, odd: odd_rows } = indexed;
    let alternatives = match matching {
        Matching::Any(alternatives) => alternatives.as_slice(),
        one => std::slice::from_ref(one),
    };
    query.push(format_args!("{table}.{key} in ("));
    for (index, alternative) in alternatives.iter().enumerate() {
        let union = if index == 0 { "" } else { " union all " };
        query.push(format_args!("{union}select {key} from {table} where "));
        if let Some(beginning) = beginning(alternative) {
            push_beginning(query, column, beginning);
        }
        push_text(alternative, query, column);
        query.push(format_args!(
            " union all select {key} from {odd_rows} where {} and ",
            odd(column)
        ));
        push_any_value(alternative, query, column);
    }
    query.push(")");
}

/// How a text begins that is searched for.
fn beginning(matching: &Matching) -> Option<&str> {
    let beginning = match matching {
        Matching::Equals(text) => text.as_str(),
        Matching::Pattern(pattern) => pattern.split(['*', '?']).next().unwrap_or_default(),
        _ => return None,
    };
    Some(beginning).filter(|beginning| !beginning.contains(NUL))
}

/// The condition on one value without padding.
fn push_text(matching: &Matching, query: &mut QueryBuilder<Database>, value: &str) {
    match matching {
        Matching::Equals(text) | Matching::Pattern(text) if text.contains(NUL) => {
            query.push("false");
        }
        Matching::Pattern(pattern) => push_pattern(query, value, pattern),
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
fn push_any_value(matching: &Matching, query: &mut QueryBuilder<Database>, column: &str) {
    query.push(any_from!()).push(values(column)).push(" where ");
    push_text(matching, query, "trim(value)");
    query.push(any_end!());
}

/// Whether a text has padding, or several values. The indexes of such rows are of this expression.
fn odd(column: &str) -> String {
    format!(r"({column} <> trim({column}) or {}({column}, '\') > 0)", instr!())
}
