//! The expression that gives an attribute's value.

use crate::postgres::filings::{filings_of_patient, instances_of_filing};
use contract::attributes::{Attribute, Form};
use std::borrow::Cow;

/// The items of a sequence, as a JSON list of those that are such; `null` where there are none. It is kept as it was
/// published, and anybody can publish anything.
fn items(column: &str, attributes: &[Attribute]) -> String {
    let values: Vec<_> = attributes
        .iter()
        .map(|Attribute { keyword, .. }| format!("'{keyword}', item.value ->> '{keyword}'"))
        .collect();
    let values = values.join(", ");
    format!(
        "(select json_agg(json_strip_nulls(json_build_object({values})) order by item.place)
         from jsonb_array_elements(case when jsonb_typeof({column}) = 'array'
             then {column} else '[]' end) with ordinality as item(value, place)
         where jsonb_typeof(item.value) = 'object')"
    )
}

/// The expression that gives the value of an attribute.
pub(in crate::postgres) fn expression(attribute: &Attribute) -> Cow<'static, str> {
    match (attribute.qualified_column(), attribute.form) {
        (Some(column), Form::Items(attributes)) => return Cow::Owned(items(&column, attributes)),
        (Some(column), _) => return Cow::Owned(column),
        (None, _) => {}
    }
    Cow::Borrowed(match attribute.keyword {
        "ModalitiesInStudy" => concat!(
            r"(select string_agg(modality, '\' order by modality)
                from (select distinct member.modality from ",
            filings_of_patient!(),
            ") as found)"
        ),
        "NumberOfStudyRelatedSeries" => {
            concat!("(select count(*) from ", filings_of_patient!(), ")")
        }
        "NumberOfStudyRelatedInstances" => concat!(
            "(select coalesce(sum(",
            instances_of_filing!(),
            "), 0)::bigint from ",
            filings_of_patient!(),
            ")"
        ),
        "NumberOfSeriesRelatedInstances" => {
            "greatest((select count(*)
        from instances where instances.series_instance_uid = series.series_instance_uid),
        case when series.source = 'api' then series.claimed_count else 0 end)"
        }
        _ => "null",
    })
}

/// An object as JSON text: each value with its key, which is a DICOM keyword.
pub(in crate::postgres) fn object<'a>(
    values: impl Iterator<Item = (&'a str, Cow<'a, str>)>,
) -> String {
    // Not a call of a function, which takes a hundred arguments.
    let columns: Vec<_> = values.map(|(key, value)| format!("{value} as \"{key}\"")).collect();
    format!("(select row_to_json(told) from (select {}) as told)::text", columns.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::attributes::{ATTRIBUTES, Qido};

    #[test]
    fn each_attribute_is_kept_or_worked_out() {
        for attribute in ATTRIBUTES.iter().filter(|attribute| attribute.qido != Qido::Hidden) {
            assert_ne!(expression(attribute), "null", "{}", attribute.keyword);
        }
    }
}
