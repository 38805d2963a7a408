//! How names of persons are compared (PS3.4 section C.2.2.2.1, PS3.5 section 6.2.1): whatever the case of
//! their letters, without the delimiters that stand behind all components, by any one of their component
//! groups or by all of them.

use super::database::dialect::Database;
use super::database::read::names::{GROUP, Likeness, component_groups, stands_at};
use crate::names::{self, is_universal};
use sqlx::QueryBuilder;

/// Adds the condition on a column of names.
pub(crate) fn push(query: &mut QueryBuilder<Database>, column: &str, name: &str) {
    query.push("(");
    Likeness::of(name).push(query, column);
    let stem = names::stem(name);
    // Most names are of one component group and end with a component.
    query.push(format_args!(" or ({column} <> trim({column}, '^ ') or "));
    query.push(format_args!("{}({column}, '=') > 0) and ", instr!()));
    let groups: Vec<_> = name.split('=').enumerate().collect();
    match groups.as_slice() {
        [_] => {
            query.push(any_from!()).push(component_groups(column)).push(" where ");
            Likeness::of(stem).push(query, GROUP);
            query.push(any_end!());
        }
        groups => {
            query.push("(true");
            for (place, group) in groups.iter().filter(|(_, group)| !is_universal(group)) {
                query.push(concat!(" and ", any_from!())).push(component_groups(column));
                query.push(format_args!(" where {} and ", stands_at(*place)));
                Likeness::of(names::stem(group)).push(query, GROUP);
                query.push(any_end!());
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
