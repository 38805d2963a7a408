//! One indexer at a time: a lock on a file beside the catalogue.

use super::location::beside;
use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use uuid::Uuid;

/// End of the name of the lock's file.
const END: &str = ".lock";

/// The lock on a catalogue, held for as long as this lives and freed by the kernel when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    /// What no other catalogue's lock has: an id that the file keeps, and the file itself, since a copied
    /// folder has the same id. Whoever holds it knows that the process that held it before is gone.
    pub identity: String,
    /// What to call the catalogue in front of people who are on another machine.
    pub catalogue: String,
}

/// Takes the lock on the catalogue; `None` while another one has it.
///
/// # Errors
/// When the settings name no catalogue, or the lock can't be made.
pub fn lock(settings: &CatalogSettings) -> Result<Option<Lock>, CatalogError> {
    let catalogue = settings.path()?;
    let path = beside(&catalogue, END);
    let unwritable = |error: io::Error| {
        let named = path.display();
        CatalogError::Settings(format!(
            "cannot write {named}; set DATABASE_URL to a writable folder: {error}"
        ))
    };
    match take(&path).map_err(unwritable)? {
        Some((file, identity)) => {
            let catalogue = std::path::absolute(&catalogue).unwrap_or(catalogue);
            Ok(Some(Lock { _file: file, identity, catalogue: catalogue.display().to_string() }))
        }
        None => Ok(None),
    }
}

fn take(path: &Path) -> io::Result<Option<(File, String)>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file =
        File::options().create(true).read(true).write(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {
            let identity = identity(&mut file)?;
            Ok(Some((file, identity)))
        }
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => Ok(None),
    }
}

/// The identity of the lock in `file`, which gets an id if it has none.
fn identity(file: &mut File) -> io::Result<String> {
    let mut id = String::new();
    file.read_to_string(&mut id)?;
    if id.is_empty() {
        id = Uuid::new_v4().to_string();
        file.write_all(id.as_bytes())?;
    }
    Ok(format!("{id}:{}", file.metadata()?.ino()))
}

/// Whether an indexer has the catalogue; nothing is made to find out.
#[must_use]
pub fn is_locked(settings: &CatalogSettings) -> bool {
    let Ok(path) = settings.path() else { return false };
    // For a moment the lock is ours, shared: one that wants it just then looks again.
    let tried = File::open(beside(&path, END)).map(|file| file.try_lock_shared());
    matches!(tried, Ok(Err(TryLockError::WouldBlock)))
}
