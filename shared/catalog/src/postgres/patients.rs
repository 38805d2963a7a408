//! Patients by the whole of what identifies them.

use crate::identities::Said;
use crate::postgres::values::text;

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
