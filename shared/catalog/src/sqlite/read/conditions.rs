//! Conditions on text, dates and numbers, as SQLite has them.

use crate::encoding::json;
use crate::sqlite::sql::read::matching::Indexed;
use contract::attributes::Kind;
use sqlx::{QueryBuilder, Sqlite};

pub(in crate::sqlite) const PATIENT_ID: Indexed = Indexed {
    table: "patients",
    key: "rowid",
    column: "patient_id",
    odd: "patients indexed by odd_patients",
};

pub(in crate::sqlite) const ACCESSION_NUMBER: Indexed = Indexed {
    table: "studies",
    key: "rowid",
    column: "accession_number",
    odd: "studies indexed by odd_accession_numbers",
};

/// Adds what the index of a text needs beside the condition itself: nothing, it has the whole text.
pub(in crate::sqlite) fn push_beginning(
    _: &mut QueryBuilder<Sqlite>,
    _column: &str,
    _begins: &str,
) {
}

/// Adds the condition that a value is as a pattern says.
pub(in crate::sqlite) fn push_pattern(
    query: &mut QueryBuilder<Sqlite>,
    value: &str,
    pattern: &str,
) {
    query.push(value).push(" glob ").push_bind(glob(pattern));
}

/// Adds the condition that a column has one of these values.
pub(in crate::sqlite) fn push_one_of(
    query: &mut QueryBuilder<Sqlite>,
    column: &str,
    values: Vec<String>,
) {
    query.push(column).push(" in (select value from json_each(");
    query.push_bind(json(&values)).push("))");
}

/// The values of a text, as the rows of a table. In JSON a backslash is two.
pub(in crate::sqlite) fn values(column: &str) -> String {
    format!("json_each('[' || replace(json_quote({column}), '\\\\', '\",\"') || ']')")
}

/// A date or a time without the delimiters that ACR-NEMA puts into it, and whether it is one.
pub(in crate::sqlite) fn moment(column: &str, kind: Kind) -> (String, String) {
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
fn day(column: &str) -> String {
    format!("replace({column}, '.', '')")
}

/// Whether a number, kept as text or as an integer, is this one. What is no integer is none: as such
/// SQLite would take `3.7` and `3 mm` for 3, and what is beyond 64 bits for another.
pub(in crate::sqlite) fn push_number(query: &mut QueryBuilder<Sqlite>, column: &str, number: &str) {
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

/// The day of a study as a number, by which studies are sorted.
pub(in crate::sqlite) const DAY_NUMBER: &str =
    "coalesce(cast(replace(studies.study_date, '.', '') as integer), 0)";

/// The items of a sequence, which is a JSON list, as the rows `item` of a table.
pub(in crate::sqlite) fn items(list: &str) -> String {
    format!("json_each({list}) as item")
}

/// That a study has a series: those that instances have moved out of are left without one.
pub(in crate::sqlite) const HAS_SERIES: &str = " and ((select 1 from series
    where series.study_instance_uid = studies.study_instance_uid limit 1) is not null
    or (select 1 from identities where identities.study_instance_uid = studies.study_instance_uid
        and (select 1 from instances where instances.identity = identities.id limit 1) is not null
        limit 1) is not null)";

/// The pattern as `glob` has it: as it is, but for the brackets that DICOM does not know.
fn glob(pattern: &str) -> String {
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
