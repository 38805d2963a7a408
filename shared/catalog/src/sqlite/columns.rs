//! The expression that gives an attribute's value.

use crate::sqlite::filings::{filings_of_patient, instances_of_filing};
use contract::attributes::{Attribute, Form};
use std::borrow::Cow;

/// The items of a sequence, as a JSON list of those that are such. It is kept as it was published, and anybody can
/// publish anything.
fn items(column: &str, attributes: &[Attribute]) -> String {
    let values: Vec<_> = attributes
        .iter()
        .map(|Attribute { keyword, .. }| {
            format!("'{keyword}', cast(value ->> '$.{keyword}' as text)")
        })
        .collect();
    let values = values.join(", ");
    format!(
        "(select json(nullif(json_group_array(json_patch('{{}}', json_object({values}))), '[]'))
         from json_each(iif(json_valid({column}), {column}, '[]')) where type = 'object')"
    )
}

/// The expression that gives the value of an attribute.
pub(in crate::sqlite) fn expression(attribute: &Attribute) -> Cow<'static, str> {
    match (attribute.qualified_column(), attribute.form) {
        (Some(column), Form::Items(attributes)) => return Cow::Owned(items(&column, attributes)),
        (Some(column), _) => return Cow::Owned(column),
        (None, _) => {}
    }
    Cow::Borrowed(match attribute.keyword {
        "ModalitiesInStudy" => concat!(
            "(select group_concat(modality, '\\') from (select distinct member.modality from ",
            filings_of_patient!(),
            " order by 1))"
        ),
        "NumberOfStudyRelatedSeries" => {
            concat!("(select count(*) from ", filings_of_patient!(), ")")
        }
        "NumberOfStudyRelatedInstances" => concat!(
            "(select coalesce(sum(",
            instances_of_filing!(),
            "), 0) from ",
            filings_of_patient!(),
            ")"
        ),
        "NumberOfSeriesRelatedInstances" => {
            "max((select count(*)
        from instances where instances.series_instance_uid = series.series_instance_uid),
        iif(source = 'api', claimed_count, 0))"
        }
        _ => "null",
    })
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
