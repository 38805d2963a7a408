//! Patients by the whole of what identifies them.

use crate::error::CatalogError;
use sqlx::SqliteConnection;

/// The row of a patient of whom no more is known than this, made if need be.
pub(in crate::sqlite) async fn named(
    connection: &mut SqliteConnection,
    patient_id: &str,
    patient_name: &str,
) -> Result<i64, CatalogError> {
    // The update that changes nothing makes the row that is there answer with its id.
    let patient = sqlx::query_scalar(
        "insert into patients
            (patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex)
         values ($1, '', $2, '', '')
         on conflict do update set patient_id = excluded.patient_id returning id",
    )
    .bind(patient_id)
    .bind(patient_name)
    .fetch_one(connection)
    .await?;
    Ok(patient)
}
