//! A revision of a series that is a folder of the instance store.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::{Deserialize, Serialize};

/// The folder of a revision in the instance store
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Kept {
    /// The completion of the series that the folder has
    pub revision: i64,
    /// When the folder was there, UTC
    pub at: String,
    /// Path of the folder, from the folder of the store
    pub place: String,
}

impl Example for Kept {
    fn example() -> Self {
        use crate::http::example_values::{SERIES_UID, STUDY_UID};
        Self {
            revision: 1,
            at: "2026-02-03T04:05:16.75Z".into(),
            place: format!("{STUDY_UID}/{SERIES_UID}/1"),
        }
    }
}
