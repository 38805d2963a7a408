//! What makes JSON of columns.

use contract::attributes::Attribute;
use std::borrow::Cow;

/// The items of a sequence, as a JSON list of those that are such; `null` where there are none. It is kept as it was
/// published, and anybody can publish anything.
pub(in crate::postgres) fn items(column: &str, attributes: &[Attribute]) -> String {
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

/// The modalities of a study's series.
pub(in crate::postgres) const MODALITIES_IN_STUDY: &str = concat!(
    r"(select string_agg(modality, '\' order by modality)
        from (select distinct member.modality from ",
    filings_of_patient!(),
    ") as found)"
);

/// The same as a JSON list, without those that are absent.
macro_rules! modalities {
    () => {
        concat!(
            "(select coalesce(json_agg(modality order by modality), '[]')
                from (select distinct member.modality from ",
            filings_in_study!(),
            " and member.modality is not null) as found)"
        )
    };
}

pub(in crate::postgres) use modalities;

/// An object as JSON text: each value with its key, which is a DICOM keyword.
pub(in crate::postgres) fn object<'a>(
    values: impl Iterator<Item = (&'a str, Cow<'a, str>)>,
) -> String {
    // Not a call of a function, which takes a hundred arguments.
    let columns: Vec<_> = values.map(|(key, value)| format!("{value} as \"{key}\"")).collect();
    format!("(select row_to_json(told) from (select {}) as told)::text", columns.join(", "))
}
