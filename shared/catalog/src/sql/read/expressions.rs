//! The expression that gives an attribute's value.

use super::database::read::columns::{MODALITIES_IN_STUDY, items};
use crate::attributes;
use contract::attributes::{Attribute, Form};
use std::borrow::Cow;

/// The expression that gives the value of an attribute.
pub(crate) fn expression(attribute: &Attribute) -> Cow<'static, str> {
    match (attribute.qualified_column(), attribute.form) {
        (Some(column), Form::Items(attributes)) => return Cow::Owned(items(&column, attributes)),
        (Some(column), _) => return Cow::Owned(column),
        (None, _) => {}
    }
    Cow::Borrowed(match attribute.keyword {
        attributes::MODALITIES_IN_STUDY => MODALITIES_IN_STUDY,
        "NumberOfStudyRelatedSeries" => {
            concat!("(select count(*) from ", filings_of_patient!(), ")")
        }
        "NumberOfStudyRelatedInstances" => concat!(
            "(select cast(coalesce(sum(",
            instances_of_filing!(),
            "), 0) as bigint) from ",
            filings_of_patient!(),
            ")"
        ),
        "NumberOfSeriesRelatedInstances" => greatest!(
            count_instances!(),
            "case when series.source = 'api' then series.claimed_count else 0 end"
        ),
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
