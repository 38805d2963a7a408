//! A catalogue that is made anew, and is there under its own name once it is whole.

use super::location::{beside, refused, remove_database};
use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use crate::sqlite::CatalogWriter;
use std::io;
use std::path::{Path, PathBuf};

/// The file of a catalogue in the making.
#[derive(Debug)]
pub(crate) struct NewFile {
    part: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// Begins one that will be at `path`, beside it, and gives what it is written by. What an earlier try left goes.
    ///
    /// # Errors
    /// When the file can't be made.
    pub(crate) async fn begin(path: &Path) -> Result<(Self, CatalogWriter), CatalogError> {
        let part = beside(path, ".part");
        remove_database(&part).map_err(refused)?;
        let writer = CatalogWriter::own(&CatalogSettings::at(&part)).await?;
        Ok((Self { part, path: path.to_owned() }, writer))
    }

    /// Puts it in its place. Its writer is closed.
    ///
    /// # Errors
    /// When the file can't be renamed.
    pub(crate) fn put_in_place(self) -> io::Result<()> {
        std::fs::rename(&self.part, &self.path)
    }
}
