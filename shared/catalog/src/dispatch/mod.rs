//! The two ends of the catalogue, each on one of two databases. What differs between them is in `sqlite/` and
//! `postgres/`.

use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use crate::{postgres, sqlite};
use std::ffi::OsStr;
use std::path::Path;

/// Runs a verb on the database that an end has. A server may fall silent, a file does not.
macro_rules! on {
    ($end:ident, $one:ident => $verb:expr) => {
        match $end {
            Self::Sqlite($one) => $verb.await,
            Self::Postgres($one) => within($verb).await,
        }
    };
}

mod copying;
mod file;
mod new_catalog;
mod reader;
mod writer;

pub use copying::{CopyProgress, copy};
pub use file::{inspect, is_locked, lock, restore_backup};
pub use new_catalog::NewCatalog;
pub use reader::CatalogReader;
pub use writer::CatalogWriter;

impl CatalogSettings {
    /// The catalogue that a person names: by a URL, or by the path of a file.
    #[must_use]
    pub fn named(place: &OsStr) -> Self {
        let is_url = |place: &&str| postgres::is_postgres(place) || place.starts_with("sqlite:");
        match place.to_str().filter(is_url) {
            Some(url) => Self { database_url: url.to_owned() },
            None => Self::at(Path::new(place)),
        }
    }

    /// What to call the catalogue in front of people; a URL is named without its password.
    ///
    /// # Errors
    /// When the URL names none.
    pub fn name(&self) -> Result<String, CatalogError> {
        match self.is_postgres() {
            true => postgres::name(&self.database_url),
            false => sqlite::name(self),
        }
    }

    fn is_postgres(&self) -> bool {
        postgres::is_postgres(&self.database_url)
    }
}
