//! What a catalogue says, in a form in which two of them can be compared.

use super::columns::object;
use crate::error::CatalogError;
use crate::postgres::CatalogReader;
use sqlx::AssertSqlSafe;
use std::borrow::Cow;

/// The tables that say something, each with what orders its rows.
const TABLES: [(&str, &str); 12] = [
    ("bookmark", "shard"),
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

/// What says nothing: numbers of rows, and who holds the lease.
const LEFT_OUT: [&str; 6] = ["arrival", "epoch", "expires_at", "holder", "id", "shard"];

/// What a reference to a patient stands for: the number of its row is of no meaning.
const PATIENT: &str = "(select to_json(array[patient_id, issuer_of_patient_id, patient_name,
    patient_birth_date, patient_sex]) from patients where patients.id = patient)";

/// The same of a reference to whose an instance is.
const IDENTITY: &str = "(select to_json(array[study_instance_uid, patient_id,
    issuer_of_patient_id, patient_name, patient_birth_date, patient_sex])
    from identities join patients on patients.id = patient where identities.id = identity)";

impl CatalogReader {
    pub(crate) async fn rows(&self) -> Result<Vec<String>, CatalogError> {
        let mut connection = self.connection().await?;
        let mut rows = Vec::new();
        for (table, order) in TABLES {
            let columns: Vec<(String, String)> = sqlx::query_as(
                "select attname::text, format_type(atttypid, null) from pg_attribute
                 where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attname",
            )
            .bind(table)
            .fetch_all(&mut *connection)
            .await?;
            let told: Vec<_> = columns
                .iter()
                .filter(|(column, _)| !LEFT_OUT.contains(&column.as_str()))
                .map(|(column, kind)| {
                    // As SQLite has it, so that a file compares with a database.
                    let value = match (column.as_str(), kind.as_str()) {
                        ("identity", _) => IDENTITY.to_owned(),
                        ("patient", _) => PATIENT.to_owned(),
                        (column, "boolean") => format!("{table}.{column}::integer"),
                        (column, _) => format!("{table}.{column}"),
                    };
                    (column.as_str(), value)
                })
                .collect();
            let values =
                object(told.iter().map(|(column, value)| (*column, Cow::Borrowed(value.as_str()))));
            // Made of names that this file and the migrations give.
            let query = format!(
                "select ('{table} ' || {values}) collate \"C\" from {table} order by {order}"
            );
            let found: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut *connection).await?;
            rows.extend(found);
        }
        Ok(rows)
    }
}
