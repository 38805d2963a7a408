//! What makes JSON of columns.

use contract::attributes::Attribute;
use std::borrow::Cow;

/// The items of a sequence, as a JSON list of those that are such. It is kept as it was published, and anybody can
/// publish anything.
pub(in crate::sqlite) fn items(column: &str, attributes: &[Attribute]) -> String {
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

/// The modalities of a study's series.
pub(in crate::sqlite) const MODALITIES_IN_STUDY: &str = concat!(
    "(select group_concat(modality, '\\') from (select distinct member.modality from ",
    filings_of_patient!(),
    " order by 1))"
);

/// The same as a JSON list, without those that are absent.
macro_rules! modalities {
    () => {
        concat!(
            "(select json_group_array(modality) from (select distinct member.modality from ",
            filings_in_study!(),
            " and member.modality is not null order by 1))"
        )
    };
}

pub(in crate::sqlite) use modalities;

/// An object as JSON: each value with its key, which is a DICOM keyword.
pub(in crate::sqlite) fn object<'a>(
    values: impl Iterator<Item = (&'a str, Cow<'a, str>)>,
) -> String {
    let members: Vec<_> = values.map(|(key, value)| format!("'{key}', {value}")).collect();
    format!("json_object({})", members.join(", "))
}
