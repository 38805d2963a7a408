//! The database of a pipeline under test: `TEST_DATABASE` says which.

use catalog::{CatalogReader, CatalogSettings};
use std::path::Path;
use test_database::{Kind, TestDatabase};

/// Where a catalogue is kept.
pub struct Database {
    /// Its `DATABASE_URL`.
    pub url: String,
    /// On a server: it goes with the test.
    server: Option<TestDatabase>,
}

impl Database {
    /// The file `catalog.db` in a folder, or a database on a server.
    pub fn beside(folder: &Path) -> Self {
        let server = match Kind::from_environment() {
            Kind::Sqlite => None,
            Kind::Postgres => Some(TestDatabase::new()),
        };
        let url = match &server {
            Some(database) => database.url().to_owned(),
            None => format!("sqlite://{}", folder.join("catalog.db").display()),
        };
        Self { url, server }
    }

    /// The one of this URL, which somebody else keeps.
    pub fn at(url: String) -> Self {
        Self { url, server: None }
    }

    /// Whether it is not a file.
    pub fn is_on_a_server(&self) -> bool {
        self.server.is_some()
    }

    /// What it says.
    pub fn reader(&self) -> CatalogReader {
        let settings = CatalogSettings { database_url: self.url.clone() };
        CatalogReader::open(&settings).unwrap()
    }
}
