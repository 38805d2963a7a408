//! Names of persons, as SQLite compares them.

use crate::names::{has_case_beyond_ascii, like, other_case};
use sqlx::{QueryBuilder, Sqlite};

/// A component group without what says nothing.
pub(in crate::sqlite) const GROUP: &str = "rtrim(ltrim(value), '^ ')";

/// The component groups of a name, as the rows of a table.
pub(in crate::sqlite) fn component_groups(column: &str) -> String {
    format!("json_each('[' || replace(json_quote({column}), '=', '\",\"') || ']')")
}

/// That a component group stands at a place; the first is 0.
pub(in crate::sqlite) fn stands_at(place: usize) -> String {
    format!("key = {place}")
}

/// A name with wild cards, as SQLite has it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sqlite) enum Likeness {
    /// By `like`, which does not tell the case of ASCII letters apart.
    Like(String),
    /// By `glob`, with both cases of each letter: `like` knows those of ASCII only.
    Glob(String),
}

impl Likeness {
    pub(in crate::sqlite) fn of(name: &str) -> Self {
        match has_case_beyond_ascii(name) {
            true => Self::Glob(glob(name)),
            false => Self::Like(like(name)),
        }
    }

    pub(in crate::sqlite) fn push(self, query: &mut QueryBuilder<Sqlite>, column: &str) {
        match self {
            Self::Like(pattern) => {
                query.push(column).push(" like ").push_bind(pattern).push(" escape '\\'");
            }
            Self::Glob(pattern) => {
                query.push(column).push(" glob ").push_bind(pattern);
            }
        }
    }
}

fn glob(pattern: &str) -> String {
    let mut glob = String::with_capacity(pattern.len());
    for character in pattern.chars() {
        match (character, other_case(character)) {
            ('[', _) => glob.push_str("[[]"),
            (one, Some(other)) => glob.extend(['[', one, other, ']']),
            (one, None) => glob.push(one),
        }
    }
    glob
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wild_cards_of_dicom_are_wild_and_no_letter_has_a_case() {
        assert_eq!(Likeness::of("R?e^J*"), Likeness::Like("R_e^J%".to_owned()));
        assert_eq!(Likeness::of(r"100%_\"), Likeness::Like(r"100\%\_\\".to_owned()));
        let glob = Likeness::Glob("[zZ][oO][ëË]*[[]".to_owned());
        assert_eq!(Likeness::of("zoë*["), glob);
    }
}
