//! Patients, studies and series of instance events: a statement a table, with an array for each column. They are written
//! where they say something new, which is seldom; see `fingerprints`.

use crate::error::CatalogError;
use crate::identities::Said;
use crate::postgres::patients::Patient;
use crate::postgres::values::{attribute, items, text};
use crate::postgres::write::rounds::rounds;
use crate::rows_to_write::Row;
use contract::event::AttributeValue;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// The text columns of a study, each with the attribute that it keeps.
const STUDY: [(&str, &str); 8] = [
    ("study_date", "StudyDate"),
    ("study_time", "StudyTime"),
    ("accession_number", "AccessionNumber"),
    ("referring_physician_name", "ReferringPhysicianName"),
    ("study_id", "StudyID"),
    ("study_description", "StudyDescription"),
    ("timezone_offset_from_utc", "TimezoneOffsetFromUTC"),
    ("specific_character_set", "SpecificCharacterSet"),
];

/// The same of a series.
const SERIES: [(&str, &str); 15] = [
    ("modality", "Modality"),
    ("series_number", "SeriesNumber"),
    ("series_description", "SeriesDescription"),
    ("series_date", "SeriesDate"),
    ("series_time", "SeriesTime"),
    ("body_part_examined", "BodyPartExamined"),
    ("protocol_name", "ProtocolName"),
    ("manufacturer", "Manufacturer"),
    ("manufacturer_model_name", "ManufacturerModelName"),
    ("station_name", "StationName"),
    ("institution_name", "InstitutionName"),
    ("timezone_offset_from_utc", "TimezoneOffsetFromUTC"),
    ("specific_character_set", "SpecificCharacterSet"),
    ("performed_procedure_step_start_date", "PerformedProcedureStepStartDate"),
    ("performed_procedure_step_start_time", "PerformedProcedureStepStartTime"),
];

/// The patients as the events identify them.
const UPSERT_PATIENTS: &str = "
insert into patients
    (key, patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex)
select * from unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
on conflict do nothing";

/// A study's attributes come from its latest instance. Two patients are two by their IDs: of one patient
/// some series tell less than others, or write the name otherwise.
static UPSERT_STUDIES: LazyLock<String> = LazyLock::new(|| {
    let Lists { names, arrays, updates } = Lists::of(&STUDY, 4);
    format!(
        "insert into studies (study_instance_uid, patient, face, {names})
         select told.study, patients.id, told.face, {names}
         from unnest($1::text[], $2::bytea[], $3::bigint[], {arrays}) with ordinality
             as told (study, key, face, {names}, place)
         join patients on patients.key = told.key
         order by place
         on conflict (study_instance_uid) do update set
             disagrees = studies.disagrees
                 or (studies.patient <> excluded.patient and studies.study_instance_uid <> ''
                     and exists (select 1 from patients as one, patients as other
                         where one.id = studies.patient and other.id = excluded.patient
                             and (one.patient_id <> other.patient_id
                                 or one.issuer_of_patient_id <> other.issuer_of_patient_id
                                 or one.patient_id = '' and one.patient_name <> other.patient_name))),
             patient = excluded.patient, face = excluded.face, {updates}"
    )
});

/// A series with a changing instance is open. One that was only claimed by `POST /store` becomes
/// one of DICOM; its claim stays beside.
static UPSERT_SERIES: LazyLock<String> = LazyLock::new(|| {
    let Lists { names, arrays, updates } = Lists::of(&SERIES, 11);
    format!(
        "insert into series
             (series_instance_uid, study_instance_uid, patient, face, request_attributes,
              images_in_acquisition, calling_ae_title, source, state, last_activity_at,
              first_received_at, last_received_at, {names})
         select told.series, told.study, patients.id, told.face, told.request_attributes::jsonb,
             told.images, told.calling_ae_title, 'dicom', 'receiving', told.at, told.first_received,
             told.received, {names}
         from unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::bigint[],
                     $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], {arrays}) with ordinality
             as told (series, study, key, face, request_attributes, images, calling_ae_title, at,
                      first_received, received, {names}, place)
         join patients on patients.key = told.key
         order by place
         on conflict (series_instance_uid) do update set
             disagrees = series.disagrees
                 or (series.source = 'dicom'
                     and (series.study_instance_uid <> excluded.study_instance_uid
                         or series.patient <> excluded.patient)),
             study_instance_uid = excluded.study_instance_uid,
             patient = excluded.patient,
             face = excluded.face,
             request_attributes = excluded.request_attributes,
             images_in_acquisition = excluded.images_in_acquisition,
             calling_ae_title = excluded.calling_ae_title,
             source = 'dicom',
             state = 'receiving',
             last_activity_at = excluded.last_activity_at,
             first_received_at = coalesce(series.first_received_at, excluded.first_received_at),
             last_received_at = excluded.last_received_at,
             {updates}"
    )
});

/// The same of a series whose attributes are what they were.
const TOUCH_SERIES: &str = "
update series set
    state = 'receiving',
    last_activity_at = touched.at,
    first_received_at = coalesce(first_received_at, touched.first_received),
    last_received_at = touched.received
from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
    as touched (series, at, first_received, received)
where series_instance_uid = touched.series";

/// What a list of columns is in a statement.
struct Lists {
    names: String,
    /// Their parameters, from a number on.
    arrays: String,
    updates: String,
}

impl Lists {
    fn of(columns: &[(&str, &str)], first: usize) -> Self {
        let each = |line: &dyn Fn(usize, &str) -> String| {
            let lines = columns.iter().enumerate().map(|(place, (column, _))| line(place, column));
            lines.collect::<Vec<_>>().join(", ")
        };
        Self {
            names: each(&|_, column| column.to_owned()),
            arrays: each(&|place, _| format!("${}::text[]", first + place)),
            updates: each(&|_, column| format!("{column} = excluded.{column}")),
        }
    }
}

/// Writes patients, studies and series as these rows have them, in order.
pub(in crate::postgres) async fn upsert(
    connection: &mut PgConnection,
    rows: &[Row<'_>],
) -> Result<(), CatalogError> {
    let patients: Vec<Patient> = rows.iter().map(|row| Patient::of(Said::by(row.event))).collect();
    let keys: Vec<Vec<u8>> = patients.iter().map(Patient::key).collect();
    upsert_patients(connection, &patients, &keys).await?;
    let keyed: Vec<(&Row<'_>, &[u8])> = rows.iter().zip(keys.iter().map(Vec::as_slice)).collect();
    // All series of a study mostly say the same of it.
    let mut last: HashMap<&str, i64> = HashMap::new();
    let mut studies = keyed.clone();
    studies.retain(|(row, _)| {
        let face = row.fingerprints.study;
        last.insert(row.study(), face) != Some(face)
    });
    for round in rounds(studies, |(row, _)| row.study()) {
        upsert_studies(connection, &round).await?;
    }
    for round in rounds(keyed, |(row, _)| row.event.series_instance_uid.as_str()) {
        upsert_series(connection, &round).await?;
    }
    Ok(())
}

async fn upsert_patients(
    connection: &mut PgConnection,
    patients: &[Patient],
    keys: &[Vec<u8>],
) -> Result<(), CatalogError> {
    let mut seen = HashSet::new();
    let new: Vec<_> = patients.iter().zip(keys).filter(|(_, key)| seen.insert(*key)).collect();
    let column = |of: fn(&Patient) -> &str| -> Vec<&str> {
        new.iter().map(|(patient, _)| of(patient)).collect()
    };
    sqlx::query(UPSERT_PATIENTS)
        .bind(new.iter().map(|(_, key)| key.as_slice()).collect::<Vec<_>>())
        .bind(column(|it| &it.id))
        .bind(column(|it| &it.issuer))
        .bind(column(|it| &it.name))
        .bind(column(|it| &it.birth_date))
        .bind(column(|it| &it.sex))
        .execute(connection)
        .await?;
    Ok(())
}

async fn upsert_studies(
    connection: &mut PgConnection,
    rows: &[(&Row<'_>, &[u8])],
) -> Result<(), CatalogError> {
    let mut query = sqlx::query(AssertSqlSafe(UPSERT_STUDIES.as_str()))
        .bind(rows.iter().map(|(row, _)| row.study()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, key)| *key).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| row.fingerprints.study).collect::<Vec<_>>());
    for (_, keyword) in STUDY {
        let values: Vec<_> =
            rows.iter().map(|(row, _)| attribute(row.event.attributes.get(keyword))).collect();
        query = query.bind(values);
    }
    query.execute(connection).await?;
    Ok(())
}

async fn upsert_series(
    connection: &mut PgConnection,
    rows: &[(&Row<'_>, &[u8])],
) -> Result<(), CatalogError> {
    let images = |row: &Row<'_>| match row.event.attributes.get("ImagesInAcquisition") {
        Some(AttributeValue::Number(number)) => Some(*number),
        _ => None,
    };
    let requests = |row: &Row<'_>| items(row.event.attributes.get("RequestAttributesSequence"));
    let mut query = sqlx::query(AssertSqlSafe(UPSERT_SERIES.as_str()))
        .bind(
            rows.iter().map(|(row, _)| row.event.series_instance_uid.as_str()).collect::<Vec<_>>(),
        )
        .bind(rows.iter().map(|(row, _)| row.study()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, key)| *key).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| row.fingerprints.series).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| requests(row)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| images(row)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| text(&row.event.calling_ae_title)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| row.at).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| row.first_received).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| row.received).collect::<Vec<_>>());
    for (_, keyword) in SERIES {
        let values: Vec<_> =
            rows.iter().map(|(row, _)| attribute(row.event.attributes.get(keyword))).collect();
        query = query.bind(values);
    }
    query.execute(connection).await?;
    Ok(())
}

/// Opens series whose attributes are what they were.
pub(in crate::postgres) async fn touch(
    connection: &mut PgConnection,
    rows: &[Row<'_>],
) -> Result<(), CatalogError> {
    for round in rounds(rows, |row| row.event.series_instance_uid.as_str()) {
        sqlx::query(TOUCH_SERIES)
            .bind(
                round.iter().map(|row| row.event.series_instance_uid.as_str()).collect::<Vec<_>>(),
            )
            .bind(round.iter().map(|row| row.at).collect::<Vec<_>>())
            .bind(round.iter().map(|row| row.first_received).collect::<Vec<_>>())
            .bind(round.iter().map(|row| row.received).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
