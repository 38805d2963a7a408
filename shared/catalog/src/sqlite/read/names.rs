//! How names of persons are compared (PS3.4 section C.2.2.2.1, PS3.5 section 6.2.1): whatever the case of
//! their letters, without the delimiters that stand behind all components, by any one of their component
//! groups or by all of them.

use crate::names::{self, has_case_beyond_ascii, is_universal, like, other_case};
use sqlx::{QueryBuilder, Sqlite};

/// Adds the condition on a column of names.
pub(in crate::sqlite) fn push(query: &mut QueryBuilder<Sqlite>, column: &str, name: &str) {
    query.push("(");
    Likeness::of(name).push(query, column);
    let stem = names::stem(name);
    // Most names are of one component group and end with a component.
    query.push(format_args!(
        " or ({column} <> trim({column}, '^ ') or instr({column}, '=') > 0) and "
    ));
    let groups: Vec<_> = name.split('=').enumerate().collect();
    match groups.as_slice() {
        [_] => {
            query.push(format_args!("(select 1 from {} where ", component_groups(column)));
            Likeness::of(stem).push(query, GROUP);
            query.push(" limit 1) is not null");
        }
        groups => {
            query.push("(true");
            for (place, group) in groups.iter().filter(|(_, group)| !is_universal(group)) {
                let all = component_groups(column);
                query.push(format_args!(" and (select 1 from {all} where key = {place} and "));
                Likeness::of(names::stem(group)).push(query, GROUP);
                query.push(") is not null");
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
    format!("json_each('[' || replace(json_quote({column}), '=', '\",\"') || ']')")
}

/// A name with wild cards, as SQLite has it.
#[derive(Debug, PartialEq, Eq)]
enum Likeness {
    /// By `like`, which does not tell the case of ASCII letters apart.
    Like(String),
    /// By `glob`, with both cases of each letter: `like` knows those of ASCII only.
    Glob(String),
}

impl Likeness {
    fn of(name: &str) -> Self {
        match has_case_beyond_ascii(name) {
            true => Self::Glob(glob(name)),
            false => Self::Like(like(name)),
        }
    }

    fn push(self, query: &mut QueryBuilder<Sqlite>, column: &str) {
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
