//! What a search asks of an attribute, and the condition that it becomes. A value is bound to its
//! statement and never part of the text.

use super::attributes::{Attribute, Kind, MODALITIES_IN_STUDY};
use super::json;
use sqlx::{QueryBuilder, Sqlite};

/// What the value of an attribute has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// This.
    Equals(String),
    /// This number, however it is written: `3`, `03` and ` 3` are one (PS3.5 section 6.2, IS).
    Number(i64),
    /// One of these.
    OneOf(Vec<String>),
    /// This, where `*` stands for any characters, none too, and `?` for one.
    Pattern(String),
    /// Between these, both included, in the order of the text. A bound also includes what begins
    /// with it: `1200` is before the end of `1200`, whatever its seconds.
    Within {
        /// Not before this.
        from: Option<String>,
        /// Not after this.
        to: Option<String>,
    },
}

impl Matching {
    /// Adds the condition to a statement that has a `where`.
    pub(super) fn push(&self, query: &mut QueryBuilder<Sqlite>, attribute: &Attribute) {
        query.push(" and ");
        if attribute.keyword == MODALITIES_IN_STUDY {
            query.push(
                "(select 1 from series as member
                 where member.study_instance_uid = studies.study_instance_uid and ",
            );
            self.push_on(query, "member.modality", attribute.kind);
            query.push(" limit 1) is not null");
        } else {
            self.push_on(query, attribute.column, attribute.kind);
        }
    }

    /// The condition on a column.
    pub(super) fn push_on(&self, query: &mut QueryBuilder<Sqlite>, column: &str, kind: Kind) {
        match self {
            // To SQLite a pattern ends at a NUL, and what stands before it is found. No value has one.
            Self::Equals(value) | Self::Pattern(value) if value.contains('\0') => {
                query.push("false");
            }
            Self::Equals(value) | Self::Pattern(value) if kind == Kind::Name => {
                query.push(column).push(" like ").push_bind(like(value)).push(" escape '\\'");
            }
            Self::Equals(value) => {
                query.push(column).push(" = ").push_bind(value.clone());
            }
            Self::Number(number) => {
                // What is no number would be 0 as one.
                query.push(column).push(" glob '*[0-9]*' and cast(").push(column);
                query.push(" as integer) = ").push_bind(*number);
            }
            Self::OneOf(values) => {
                query.push(column).push(" in (select value from json_each(");
                query.push_bind(json(values)).push("))");
            }
            Self::Pattern(pattern) => {
                query.push(column).push(" glob ").push_bind(glob(pattern));
            }
            Self::Within { from, to } => {
                query.push(column).push(" is not null and ").push(column).push(" <> ''");
                if let Some(from) = from {
                    query.push(" and ").push(column).push(" >= ").push_bind(from.clone());
                }
                if let Some(to) = to {
                    // The character after all others that a date or a time may go on with.
                    query.push(" and ").push(column).push(" < ").push_bind(format!("{to}~"));
                }
            }
        }
    }
}

/// The pattern as `like` has it. It does not tell the case of ASCII letters apart.
fn like(pattern: &str) -> String {
    let mut like = String::with_capacity(pattern.len());
    for character in pattern.chars() {
        match character {
            '*' => like.push('%'),
            '?' => like.push('_'),
            '%' | '_' | '\\' => like.extend(['\\', character]),
            other => like.push(other),
        }
    }
    like
}

/// The pattern as `glob` has it: as it is, but for the brackets that DICOM does not know.
fn glob(pattern: &str) -> String {
    pattern.replace('[', "[[]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wild_cards_of_dicom_are_wild() {
        assert_eq!(like("R?e^J*"), "R_e^J%");
        assert_eq!(like(r"100%_\"), r"100\%\_\\");
        assert_eq!(glob("a[b]*"), "a[[]b]*");
    }
}
