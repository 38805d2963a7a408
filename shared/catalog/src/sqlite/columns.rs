//! The expression that gives an attribute's value.

use crate::attributes::Attribute;
use crate::sqlite::filings::{filings_of_patient, instances_of_filing};

/// The Request Attributes Sequence of a series, as a JSON list of the items that are such. It is kept
/// as it was published, and anybody can publish anything.
macro_rules! request_attributes {
    () => {
        "(select json(nullif(json_group_array(json_patch('{}', json_object(
             'RequestedProcedureID', cast(value ->> '$.RequestedProcedureID' as text),
             'ScheduledProcedureStepID', cast(value ->> '$.ScheduledProcedureStepID' as text)))),
             '[]'))
         from json_each(iif(json_valid(series.request_attributes), series.request_attributes, '[]'))
         where type = 'object')"
    };
}
pub(in crate::sqlite) use request_attributes;

/// The expression that gives the value of an attribute.
pub(in crate::sqlite) fn expression(attribute: &Attribute) -> &'static str {
    if let Some(column) = attribute.column {
        return column;
    }
    match attribute.keyword {
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
        "RequestAttributesSequence" => request_attributes!(),
        _ => "null",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::ATTRIBUTES;

    #[test]
    fn each_attribute_is_kept_or_worked_out() {
        for attribute in ATTRIBUTES {
            assert_ne!(expression(attribute), "null", "{}", attribute.keyword);
        }
    }
}
