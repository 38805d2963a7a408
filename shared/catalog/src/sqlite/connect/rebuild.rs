//! A catalogue that is made anew, and is there under its own name once it is whole.

use super::location::{beside, remove_database};
use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use crate::sqlite::CatalogWriter;
use std::io;
use std::path::{Path, PathBuf};

/// A catalogue in the making.
#[derive(Debug)]
pub struct NewCatalog {
    /// What it is written by.
    pub writer: CatalogWriter,
    part: PathBuf,
    path: PathBuf,
}

impl NewCatalog {
    /// Begins one that will be in the file at `path`, beside it. What an earlier try left goes.
    ///
    /// # Errors
    /// When the file can't be made.
    pub async fn begin(path: &Path) -> Result<Self, CatalogError> {
        let part = beside(path, ".part");
        remove_database(&part).map_err(|error| CatalogError::from(sqlx::Error::Io(error)))?;
        let writer = CatalogWriter::own(&CatalogSettings::at(&part)).await?;
        Ok(Self { writer, part, path: path.to_owned() })
    }

    /// Puts it in its place. Its writer is closed.
    ///
    /// # Errors
    /// When the file can't be renamed.
    pub fn put_in_place(self) -> io::Result<()> {
        std::fs::rename(&self.part, &self.path)
    }
}
