//! Patients, studies and series of instance events: a statement a table, with an array for each column. They are written
//! where they say something new, which is seldom; see `fingerprints`.

use crate::error::CatalogError;
use crate::identities::Said;
use crate::postgres::patients::Patient;
use crate::postgres::values::text;
use crate::postgres::write::attribute_columns::AttributeColumns;
use crate::postgres::write::rounds::rounds;
use crate::rows_to_write::Row;
use contract::attributes::Table;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// The patients as the events identify them.
const UPSERT_PATIENTS: &str = "
insert into patients
    (key, patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex)
select * from unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
on conflict do nothing";

/// The columns of a study that keep attributes. Three parameters are before theirs.
static STUDY: LazyLock<AttributeColumns> =
    LazyLock::new(|| AttributeColumns::of(Table::Studies, 4));

/// The same of a series, with eight parameters before.
static SERIES: LazyLock<AttributeColumns> =
    LazyLock::new(|| AttributeColumns::of(Table::Series, 9));

/// A study's attributes come from its latest instance. Two patients are two by their IDs: of one patient
/// some series tell less than others, or write the name otherwise.
static UPSERT_STUDIES: LazyLock<String> = LazyLock::new(|| {
    let AttributeColumns { names, arrays, values, updates, .. } = &*STUDY;
    format!(
        "insert into studies (study_instance_uid, patient, face, {names})
         select told.study, patients.id, told.face, {values}
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
    let AttributeColumns { names, arrays, values, updates, .. } = &*SERIES;
    format!(
        "insert into series
             (series_instance_uid, study_instance_uid, patient, face, calling_ae_title, source, state,
              last_activity_at, first_received_at, last_received_at, {names})
         select told.series, told.study, patients.id, told.face, told.calling_ae_title, 'dicom',
             'receiving', told.at, told.first_received, told.received, {values}
         from unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::bigint[],
                     $7::bigint[], $8::bigint[], {arrays}) with ordinality
             as told (series, study, key, face, calling_ae_title, at, first_received, received,
                      {names}, place)
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
    let query = sqlx::query(AssertSqlSafe(UPSERT_STUDIES.as_str()))
        .bind(rows.iter().map(|(row, _)| row.study()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, key)| *key).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| row.fingerprints.study).collect::<Vec<_>>());
    STUDY.bind(query, rows.iter().map(|(row, _)| row.event)).execute(connection).await?;
    Ok(())
}

async fn upsert_series(
    connection: &mut PgConnection,
    rows: &[(&Row<'_>, &[u8])],
) -> Result<(), CatalogError> {
    let query = sqlx::query(AssertSqlSafe(UPSERT_SERIES.as_str()))
        .bind(
            rows.iter().map(|(row, _)| row.event.series_instance_uid.as_str()).collect::<Vec<_>>(),
        )
        .bind(rows.iter().map(|(row, _)| row.study()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, key)| *key).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| row.fingerprints.series).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| text(&row.event.calling_ae_title)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| row.at).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| row.first_received).collect::<Vec<_>>())
        .bind(rows.iter().map(|(row, _)| row.received).collect::<Vec<_>>());
    SERIES.bind(query, rows.iter().map(|(row, _)| row.event)).execute(connection).await?;
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
