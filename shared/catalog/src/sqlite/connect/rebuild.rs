//! A catalogue that is made anew, and is there under its own name once it is whole.

use super::location::{beside, refused, remove_database};
use super::lock::LockFile;
use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use crate::sqlite::CatalogWriter;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The file of a catalogue in the making.
#[derive(Debug)]
pub(crate) struct NewFile {
    part: PathBuf,
    path: PathBuf,
    /// So that no indexer makes the file meanwhile: it stands by until the file is there.
    _lock: LockFile,
}

impl NewFile {
    /// Begins the one that the settings name, beside it, and gives what it is written by. What an earlier try left goes.
    ///
    /// # Errors
    /// When there is one, an indexer waits to make it, or the file can't be made.
    pub(crate) async fn begin(
        settings: &CatalogSettings,
    ) -> Result<(Self, CatalogWriter), CatalogError> {
        let path = settings.path()?;
        let refusal = |why| CatalogError::Settings(format!("{} {why}", path.display()));
        if path.exists() {
            return Err(refusal("exists; name a file that does not"));
        }
        let lock = LockFile::beside(&path)?;
        if !lock.is_locked() {
            return Err(refusal("is about to be made by somebody else; stop that first"));
        }
        let part = beside(&path, ".part");
        remove_database(&part).map_err(refused)?;
        let writer = CatalogWriter::own(&CatalogSettings::at(&part)).await?;
        Ok((Self { part, path, _lock: lock }, writer))
    }

    /// Where it is until it is whole.
    pub(crate) fn settings(&self) -> CatalogSettings {
        CatalogSettings::at(&self.part)
    }

    /// Puts it in its place. Its writer is closed.
    ///
    /// # Errors
    /// When the file can't be renamed.
    pub(crate) fn put_in_place(self) -> io::Result<()> {
        std::fs::rename(&self.part, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}
