//! Names of persons, as PostgreSQL compares them.

use crate::names::{has_case_beyond_ascii, like, other_case};
use sqlx::{Postgres, QueryBuilder};

/// A component group without what says nothing.
pub(in crate::postgres) const GROUP: &str = "rtrim(ltrim(value), '^ ')";

/// The component groups of a name, as the rows of a table.
pub(in crate::postgres) fn component_groups(column: &str) -> String {
    format!(
        "unnest(string_to_array({column}, '=')) with ordinality as component_group(value, place)"
    )
}

/// That a component group stands at a place; the first is 0.
pub(in crate::postgres) fn stands_at(place: usize) -> String {
    format!("place = {}", place + 1)
}

/// A name with wild cards, as PostgreSQL has it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Likeness {
    /// By `like` of text in small letters: in the collation "C" only those of ASCII have a case.
    Like(String),
    /// By a regular expression, with both cases of each letter.
    Expression(String),
}

impl Likeness {
    pub(in crate::postgres) fn of(name: &str) -> Self {
        match has_case_beyond_ascii(name) {
            true => Self::Expression(expression(name)),
            false => Self::Like(like(&name.to_ascii_lowercase())),
        }
    }

    pub(in crate::postgres) fn push(self, query: &mut QueryBuilder<Postgres>, column: &str) {
        match self {
            Self::Like(pattern) => {
                query.push(format_args!("lower({column} collate \"C\") like ")).push_bind(pattern);
            }
            Self::Expression(expression) => {
                query.push(format_args!("{column} collate \"C\" ~ ")).push_bind(expression);
            }
        }
    }
}

/// A pattern as a regular expression (PostgreSQL, section 9.7.3).
fn expression(pattern: &str) -> String {
    let mut expression = String::with_capacity(pattern.len() * 2 + 2);
    expression.push('^');
    for character in pattern.chars() {
        match (character, other_case(character)) {
            ('*', _) => expression.push_str(".*"),
            ('?', _) => expression.push('.'),
            (one, Some(other)) => expression.extend(['[', one, other, ']']),
            (one, None) if one.is_ascii_punctuation() => expression.extend(['\\', one]),
            (one, None) => expression.push(one),
        }
    }
    expression.push('$');
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wild_cards_of_dicom_are_wild_and_no_letter_has_a_case() {
        assert_eq!(Likeness::of("R?e^J*"), Likeness::Like("r_e^j%".to_owned()));
        assert_eq!(Likeness::of(r"100%_\"), Likeness::Like(r"100\%\_\\".to_owned()));
        let expression = Likeness::Expression(r"^[zZ][oO][ëË].*\[\.山$".to_owned());
        assert_eq!(Likeness::of("zoë*[.山"), expression);
    }
}
