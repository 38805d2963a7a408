//! Patients by the whole of what identifies them.

use crate::error::CatalogError;
use crate::identities::Said;
use crate::postgres::values::text;
use sqlx::PgConnection;

/// What a sender says of a patient, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::postgres) struct Patient {
    pub(in crate::postgres) id: String,
    pub(in crate::postgres) issuer: String,
    pub(in crate::postgres) name: String,
    pub(in crate::postgres) birth_date: String,
    pub(in crate::postgres) sex: String,
}

impl Patient {
    /// The one that an instance names.
    pub(in crate::postgres) fn of(said: Said<'_>) -> Self {
        let [_, id, issuer, name, birth_date, sex] =
            said.texts().map(|value| text(&value).into_owned());
        Self { id, issuer, name, birth_date, sex }
    }

    /// One of whom no more is known than this.
    pub(in crate::postgres) fn named(id: &str, name: &str) -> Self {
        let [issuer, birth_date, sex] = [const { String::new() }; 3];
        Self { id: text(id).into_owned(), issuer, name: text(name).into_owned(), birth_date, sex }
    }

    /// The key of its row. The lengths keep two texts from running into each other.
    pub(in crate::postgres) fn key(&self) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new();
        for text in [&self.id, &self.issuer, &self.name, &self.birth_date, &self.sex] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        hasher.finalize().as_bytes().to_vec()
    }
}

/// The row of a patient of whom no more is known than this, made if need be.
pub(in crate::postgres) async fn named(
    connection: &mut PgConnection,
    patient_id: &str,
    patient_name: &str,
) -> Result<i64, CatalogError> {
    let patient = Patient::named(patient_id, patient_name);
    // The update that changes nothing makes the row that is there answer with its id.
    let id = sqlx::query_scalar(
        "insert into patients
            (key, patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex)
         values ($1, $2, '', $3, '', '')
         on conflict (key) do update set key = excluded.key returning id",
    )
    .bind(patient.key())
    .bind(&patient.id)
    .bind(&patient.name)
    .fetch_one(connection)
    .await?;
    Ok(id)
}
