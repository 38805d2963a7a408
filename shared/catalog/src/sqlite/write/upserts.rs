//! The statements that make patients, studies and series of instance events. Each takes a JSON list of
//! objects with the event and what the stream and the receiver say of it, and writes one table, however
//! many rows. They are written where they say something new, which is seldom; see `fingerprints`.
//!
//! Every value is cast to its column's type, so that no event, whoever wrote it, can make a
//! statement fail and hold up the stream. And every value comes from a materialised row: `json_each`
//! writes an object out anew each time that its value is asked for.

use contract::attributes::{ATTRIBUTES, Attribute, Column, ColumnType, Table, columns_in};
use std::sync::LazyLock;

/// Makes sure of the patients as the events identify them. What identifies a patient is their key, so that it is no
/// list that follows from the table of attributes.
pub(in crate::sqlite) const UPSERT_PATIENTS: &str = "
with told as materialized (select value from json_each(?))
insert into patients
    (patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex)
select
    coalesce(cast(value ->> '$.event.PatientID' as text), ''),
    coalesce(cast(value ->> '$.event.IssuerOfPatientID' as text), ''),
    coalesce(cast(value ->> '$.event.PatientName' as text), ''),
    coalesce(cast(value ->> '$.event.PatientBirthDate' as text), ''),
    coalesce(cast(value ->> '$.event.PatientSex' as text), '')
from told where true
on conflict do nothing";

/// Finds the patient's row that UPSERT_PATIENTS has just made sure of.
macro_rules! patient_of_event {
    () => {
        "(select id from patients
          where patient_id = coalesce(cast(value ->> '$.event.PatientID' as text), '')
            and issuer_of_patient_id
                = coalesce(cast(value ->> '$.event.IssuerOfPatientID' as text), '')
            and patient_name = coalesce(cast(value ->> '$.event.PatientName' as text), '')
            and patient_birth_date
                = coalesce(cast(value ->> '$.event.PatientBirthDate' as text), '')
            and patient_sex = coalesce(cast(value ->> '$.event.PatientSex' as text), ''))"
    };
}

/// A study's attributes come from its latest instance. Two patients are two by their IDs: of one patient
/// some series tell less than others, or write the name otherwise.
pub(in crate::sqlite) static UPSERT_STUDIES: LazyLock<String> =
    LazyLock::new(|| upsert_studies(ATTRIBUTES));

pub(in crate::sqlite) fn upsert_studies(attributes: &'static [Attribute]) -> String {
    let Lists { names, values, updates } = Lists::of(attributes, Table::Studies);
    format!(
        concat!(
            "with told as materialized (select value from json_each(?))
insert into studies (study_instance_uid, patient, {names}, face)
select
    coalesce(cast(value ->> '$.event.StudyInstanceUID' as text), ''),",
            patient_of_event!(),
            ",
    {values},
    value ->> '$.fingerprints.study'
from told where true
on conflict (study_instance_uid) do update set
    disagrees = disagrees or (patient <> excluded.patient and study_instance_uid <> ''
        and exists (select 1 from patients as one, patients as other
            where one.id = studies.patient and other.id = excluded.patient
                and (one.patient_id <> other.patient_id
                    or one.issuer_of_patient_id <> other.issuer_of_patient_id
                    or one.patient_id = '' and one.patient_name <> other.patient_name))),
    patient = excluded.patient,
    {updates},
    face = excluded.face"
        ),
        names = names,
        values = values,
        updates = updates
    )
}

/// A series with a changing instance is open. One that was only claimed by `POST /store` becomes
/// one of DICOM; its claim stays beside.
pub(in crate::sqlite) static UPSERT_SERIES: LazyLock<String> =
    LazyLock::new(|| upsert_series(ATTRIBUTES));

pub(in crate::sqlite) fn upsert_series(attributes: &'static [Attribute]) -> String {
    let Lists { names, values, updates } = Lists::of(attributes, Table::Series);
    format!(
        concat!(
            "with told as materialized (select value from json_each(?))
insert into series
    (series_instance_uid, study_instance_uid, patient, {names},
     calling_ae_title, source, state, last_activity_at, first_received_at, last_received_at,
     face)
select
    cast(value ->> '$.event.SeriesInstanceUID' as text),
    coalesce(cast(value ->> '$.event.StudyInstanceUID' as text), ''),",
            patient_of_event!(),
            ",
    {values},
    cast(value ->> '$.event.CallingAETitle' as text),
    'dicom', 'receiving', value ->> 'at', value ->> 'first_received',
    value ->> 'received', value ->> '$.fingerprints.series'
from told where true
on conflict (series_instance_uid) do update set
    disagrees = disagrees
        or (source = 'dicom' and (study_instance_uid <> excluded.study_instance_uid
            or patient <> excluded.patient)),
    study_instance_uid = excluded.study_instance_uid,
    patient = excluded.patient,
    {updates},
    calling_ae_title = excluded.calling_ae_title,
    source = 'dicom',
    state = 'receiving',
    last_activity_at = excluded.last_activity_at,
    first_received_at = coalesce(first_received_at, excluded.first_received_at),
    last_received_at = excluded.last_received_at,
    face = excluded.face"
        ),
        names = names,
        values = values,
        updates = updates
    )
}

/// The columns of a table that keep attributes, as the parts of its statement list them.
struct Lists {
    names: String,
    values: String,
    updates: String,
}

impl Lists {
    fn of(attributes: &'static [Attribute], table: Table) -> Self {
        let list = |part: fn(Column) -> String| {
            columns_in(attributes, table).map(part).collect::<Vec<_>>().join(",\n    ")
        };
        Self {
            names: list(|column| column.name.to_owned()),
            values: list(value),
            updates: list(|Column { name, .. }| format!("{name} = excluded.{name}")),
        }
    }
}

/// The value of a column out of an event.
fn value(Column { keyword, column_type, .. }: Column) -> String {
    match column_type {
        ColumnType::Text => format!("cast(value ->> '$.event.{keyword}' as text)"),
        ColumnType::Integer => format!(
            "iif(json_type(value, '$.event.{keyword}') = 'integer', value ->> '$.event.{keyword}', null)"
        ),
    }
}

/// The same of a series whose attributes are what they were.
pub(in crate::sqlite) const TOUCH_SERIES: &str = "
update series set
    state = 'receiving',
    last_activity_at = touched.value ->> 1,
    first_received_at = coalesce(first_received_at, touched.value ->> 2),
    last_received_at = touched.value ->> 3
from json_each(?) as touched where series_instance_uid = touched.value ->> 0";
