//! How names of persons are compared (PS3.4 section C.2.2.2.1, PS3.5 section 6.2.1): whatever the case of
//! their letters, without the delimiters that stand behind all components, by any one of their component
//! groups or by all of them.

use crate::names::{self, has_case_beyond_ascii, is_universal, like, other_case};
use sqlx::{Postgres, QueryBuilder};

/// Adds the condition on a column of names.
pub(in crate::postgres) fn push(query: &mut QueryBuilder<Postgres>, column: &str, name: &str) {
    query.push("(");
    Likeness::of(name).push(query, column);
    let stem = names::stem(name);
    // Most names are of one component group and end with a component.
    query.push(format_args!(
        " or ({column} <> btrim({column}, '^ ') or strpos({column}, '=') > 0) and "
    ));
    let groups: Vec<_> = name.split('=').zip(1..).collect();
    match groups.as_slice() {
        [_] => {
            query.push(format_args!("exists (select 1 from {} where ", component_groups(column)));
            Likeness::of(stem).push(query, GROUP);
            query.push(")");
        }
        groups => {
            query.push("(true");
            for (group, place) in groups.iter().filter(|(group, _)| !is_universal(group)) {
                let all = component_groups(column);
                query.push(format_args!(
                    " and exists (select 1 from {all} where place = {place} and "
                ));
                Likeness::of(names::stem(group)).push(query, GROUP);
                query.push(")");
            }
            query.push(")");
        }
    }
    if stem != name {
        query.push(" or ");
        Likeness::of(stem).push(query, column);
    }
    query.push(")");
}

/// A component group without what says nothing.
const GROUP: &str = "rtrim(ltrim(value), '^ ')";

/// The component groups of a name, as the rows of a table.
fn component_groups(column: &str) -> String {
    format!(
        "unnest(string_to_array({column}, '=')) with ordinality as component_group(value, place)"
    )
}

/// A name with wild cards, as PostgreSQL has it.
#[derive(Debug, PartialEq, Eq)]
enum Likeness {
    /// By `like` of text in small letters: in the collation "C" only those of ASCII have a case.
    Like(String),
    /// By a regular expression, with both cases of each letter.
    Expression(String),
}

impl Likeness {
    fn of(name: &str) -> Self {
        match has_case_beyond_ascii(name) {
            true => Self::Expression(expression(name)),
            false => Self::Like(like(&name.to_ascii_lowercase())),
        }
    }

    fn push(self, query: &mut QueryBuilder<Postgres>, column: &str) {
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
