//! What a search asks of an attribute, and the condition that it becomes (PS3.4 section C.2.2.2). A
//! value is bound to its statement and never part of the text.

use crate::attributes::MODALITIES_IN_STUDY;
use crate::encoding::json;
use crate::search::Matching;
use crate::sqlite::columns::expression;
use crate::sqlite::filings::filings_of_patient;
use crate::sqlite::read::names;
use contract::attributes::{Attribute, Kind};
use sqlx::{QueryBuilder, Sqlite};

impl Matching {
    /// Adds the condition to a statement that has a `where`.
    pub(in crate::sqlite) fn push(&self, query: &mut QueryBuilder<Sqlite>, attribute: &Attribute) {
        query.push(" and ");
        match (attribute.keyword, self) {
            (MODALITIES_IN_STUDY, _) => {
                query.push(concat!("(select 1 from ", filings_of_patient!(), " and "));
                self.push_on(query, "member.modality", attribute.vr.kind());
                query.push(" limit 1) is not null");
            }
            ("PatientID", one) if one.has_a_beginning() => {
                one.push_indexed(query, "patients", "patient_id", "odd_patients");
            }
            ("AccessionNumber", one) if one.has_a_beginning() => {
                one.push_indexed(query, "studies", "accession_number", "odd_accession_numbers");
            }
            _ => self.push_on(query, &expression(attribute), attribute.vr.kind()),
        }
    }

    /// The condition on a column.
    pub(in crate::sqlite) fn push_on(
        &self,
        query: &mut QueryBuilder<Sqlite>,
        column: &str,
        kind: Kind,
    ) {
        match (self, kind) {
            (Self::Any(alternatives), _) => {
                query.push("(false");
                for alternative in alternatives {
                    query.push(" or ");
                    alternative.push_on(query, column, kind);
                }
                query.push(")");
            }
            // To SQLite a pattern ends at a NUL, and what stands before it is found. No value has one.
            (Self::Equals(value) | Self::Pattern(value), _) if value.contains('\0') => {
                query.push("false");
            }
            (Self::Equals(value) | Self::Pattern(value), Kind::Name) => {
                names::push(query, column, value);
            }
            (Self::Equals(value), Kind::Date) => {
                let day = Some(value.clone());
                Self::Within { from: day.clone(), to: day }.push_on(query, column, kind);
            }
            (Self::Equals(value), Kind::Uid) => {
                query.push(column).push(" = ").push_bind(value.clone());
            }
            (Self::Equals(_) | Self::Pattern(_), _) => {
                query.push("(");
                self.push_text(query, column);
                query.push(format_args!(" or {} and ", odd(column)));
                self.push_any_value(query, column);
                query.push(")");
            }
            (Self::Number(number), _) => push_number(query, column, number),
            (Self::OneOf(values), _) => {
                query.push(column).push(" in (select value from json_each(");
                query.push_bind(json(values)).push("))");
            }
            (Self::Within { from, to }, _) => {
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

    /// The same of text that has an index, and beside it one of those rows that are not as they should
    /// be: with padding, or several values.
    fn push_indexed(
        &self,
        query: &mut QueryBuilder<Sqlite>,
        table: &str,
        column: &str,
        index_of_odd: &str,
    ) {
        let alternatives = match self {
            Self::Any(alternatives) => alternatives.as_slice(),
            one => std::slice::from_ref(one),
        };
        query.push(format_args!("{table}.rowid in ("));
        for (index, alternative) in alternatives.iter().enumerate() {
            let union = if index == 0 { "" } else { " union all " };
            query.push(format_args!("{union}select rowid from {table} where "));
            alternative.push_text(query, column);
            query.push(format_args!(
                " union all select rowid from {table} indexed by {index_of_odd} where {} and ",
                odd(column)
            ));
            alternative.push_any_value(query, column);
        }
        query.push(")");
    }

    /// The condition on one value without padding.
    fn push_text(&self, query: &mut QueryBuilder<Sqlite>, value: &str) {
        match self {
            Self::Equals(text) | Self::Pattern(text) if text.contains('\0') => {
                query.push("false");
            }
            Self::Pattern(pattern) => {
                query.push(value).push(" glob ").push_bind(glob(pattern));
            }
            Self::Equals(text) => {
                query.push(value).push(" = ").push_bind(text.clone());
            }
            // These are of other kinds.
            Self::Number(_) | Self::OneOf(_) | Self::Within { .. } | Self::Any(_) => {
                query.push("false");
            }
        }
    }

    /// The same on any of the values of a column, each without its padding.
    fn push_any_value(&self, query: &mut QueryBuilder<Sqlite>, column: &str) {
        query.push(format_args!("(select 1 from {} where ", values(column)));
        self.push_text(query, "trim(value)");
        query.push(" limit 1) is not null");
    }
}

/// Whether a text has padding, or several values.
fn odd(column: &str) -> String {
    format!("({column} <> trim({column}) or instr({column}, '\\') > 0)")
}

/// The values of a text, as the rows of a table. In JSON a backslash is two.
fn values(column: &str) -> String {
    format!("json_each('[' || replace(json_quote({column}), '\\\\', '\",\"') || ']')")
}

/// A date or a time without the delimiters that ACR-NEMA puts into it, and whether it is one.
fn moment(column: &str, kind: Kind) -> (String, String) {
    if kind == Kind::Time {
        let time = format!("replace({column}, ':', '')");
        let is_one = format!("{column} glob '[0-2][0-9]*' and {time} not glob '*[^0-9.]*'");
        return (time, is_one);
    }
    let day = day(column);
    let is_one = format!(
        "{day} glob '[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]' and date(substr({day}, 1, 4)
             || '-' || substr({day}, 5, 2) || '-' || substr({day}, 7, 2)) is not null
         and ({column} glob '????????' or {column} glob '????.??.??')"
    );
    (day, is_one)
}

/// A date without the points that ACR-NEMA puts into it. The index of dates is of this expression.
pub(in crate::sqlite) fn day(column: &str) -> String {
    format!("replace({column}, '.', '')")
}

/// Whether a number, kept as text or as an integer, is this one. What is no integer is none: as such
/// SQLite would take `3.7` and `3 mm` for 3, and what is beyond 64 bits for another.
fn push_number(query: &mut QueryBuilder<Sqlite>, column: &str, number: &str) {
    let text = format!("trim({column})");
    let unsigned = match number {
        "0" => format!("iif(instr('+-', substr({text}, 1, 1)) > 0, substr({text}, 2), {text})"),
        _ if number.starts_with('-') => {
            format!("iif(substr({text}, 1, 1) = '-', substr({text}, 2), null)")
        }
        _ => format!("iif(substr({text}, 1, 1) = '+', substr({text}, 2), {text})"),
    };
    query.push(format_args!(
        "({unsigned} <> '' and {unsigned} not glob '*[^0-9]*' and ltrim({unsigned}, '0') = "
    ));
    query.push_bind(number.trim_start_matches(['-', '0']).to_owned()).push(")");
}

/// The pattern as `glob` has it: as it is, but for the brackets that DICOM does not know.
pub(in crate::sqlite) fn glob(pattern: &str) -> String {
    pattern.replace('[', "[[]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wild_cards_of_dicom_are_wild() {
        assert_eq!(glob("a[b]*"), "a[[]b]*");
    }
}
