//! A catalogue that is made anew, and is there under its own name once it is whole.

use super::location::{beside, has_log, refused, remove_database, rename_database};
use super::lock::LockFile;
use crate::error::CatalogError;
use crate::settings::CatalogSettings;
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
    /// Begins the one that the settings name, beside it. What an earlier try left goes.
    ///
    /// # Errors
    /// When there is one, an indexer waits to make it, or the file can't be made.
    pub(crate) fn begin(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        let path = settings.path()?;
        // Before anybody asks whether there is one: until then another one may be put there.
        let lock = LockFile::beside(&path)?;
        is_free(&path)?;
        if !lock.is_locked() {
            let says = "is about to be made by somebody else; stop that first";
            return Err(CatalogError::Settings(format!("{} {says}", path.display())));
        }
        let part = beside(&path, ".part");
        remove_database(&part).map_err(refused)?;
        Ok(Self { part, path, _lock: lock })
    }

    /// Where it is until it is whole.
    pub(crate) fn settings(&self) -> CatalogSettings {
        CatalogSettings::at(&self.part)
    }

    /// Puts it in its place. Its writer has finished and is closed.
    ///
    /// # Errors
    /// When the file can't be renamed, or would be without what its log has, or somebody has put another one there.
    pub(crate) fn put_in_place(self) -> Result<(), CatalogError> {
        is_free(&self.path)?;
        match beside(&self.part, "-wal").metadata() {
            Ok(log) if log.len() > 0 => return Err(has_log(&self.part)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
            _ => {}
        }
        rename_database(&self.part, &self.path).map_err(refused)
    }
}

fn is_free(path: &Path) -> Result<(), CatalogError> {
    match path.exists() {
        true => {
            let says = "exists; name a file that does not";
            Err(CatalogError::Settings(format!("{} {says}", path.display())))
        }
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::CatalogWriter;
    use sqlx::{Connection as _, SqliteConnection};

    #[tokio::test]
    async fn a_file_with_a_log_is_not_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let file = NewFile::begin(&CatalogSettings::at(&path)).unwrap();
        let writer = CatalogWriter::own(&file.settings()).await.unwrap();
        let part = folder.path().join("catalog.db.part");
        let mut another = SqliteConnection::connect(part.to_str().unwrap()).await.unwrap();
        sqlx::query("select * from bookmark").execute(&mut another).await.unwrap();
        // The writer is not the last to have it open.
        writer.close().await;
        let refused = file.put_in_place().unwrap_err().to_string();
        assert!(refused.contains("in its log"), "{refused}");
        assert!(part.exists() && !path.exists());
    }
}
