//! What a catalogue says, in a form in which two of them can be compared.

use crate::error::CatalogError;
use crate::sqlite::CatalogReader;
use sqlx::AssertSqlSafe;

/// The tables that say something, each with what orders its rows.
const TABLES: [(&str, &str); 12] = [
    ("bookmark", "id"),
    ("studies", "study_instance_uid"),
    ("series", "series_instance_uid"),
    ("instances", "sop_instance_uid"),
    ("identities", "series_instance_uid, study_instance_uid, 1"),
    ("open_series", "series_instance_uid"),
    ("revisions", "series_instance_uid, revision"),
    ("deletions", "series_instance_uid, revision, deleted_sequence"),
    ("open_studies", "study_instance_uid"),
    ("study_revisions", "study_instance_uid, revision"),
    ("sources", "calling_ae_title"),
    ("lists", "list"),
];

/// What a reference to a patient stands for: the number of its row is of no meaning.
const PATIENT: &str = "(select json_array(patient_id, issuer_of_patient_id, patient_name,
    patient_birth_date, patient_sex) from patients where id = patient)";

/// The same of a reference to whose an instance is.
const IDENTITY: &str = "(select json_array(study_instance_uid, patient_id, issuer_of_patient_id,
    patient_name, patient_birth_date, patient_sex)
    from identities join patients on patients.id = patient where identities.id = identity)";

impl CatalogReader {
    pub(crate) async fn rows(&self) -> Result<Vec<String>, CatalogError> {
        let mut rows = Vec::new();
        for (table, order) in TABLES {
            let columns: Vec<String> =
                sqlx::query_scalar("select name from pragma_table_info(?) order by name")
                    .bind(table)
                    .fetch_all(&self.pool)
                    .await?;
            // The number of a row says nothing.
            let told = columns.iter().filter(|column| *column != "id");
            let values = told.map(|column| match column.as_str() {
                "identity" => format!("'identity', {IDENTITY}"),
                "patient" => format!("'patient', {PATIENT}"),
                column => format!("'{column}', {column}"),
            });
            let values = values.collect::<Vec<_>>().join(", ");
            // Made of names that this file and the migrations give.
            let query =
                format!("select '{table} ' || json_object({values}) from {table} order by {order}");
            let found: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&self.pool).await?;
            rows.extend(found);
        }
        Ok(rows)
    }
}
