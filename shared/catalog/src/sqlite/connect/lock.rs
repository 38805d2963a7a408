//! The file beside the catalogue that shows whether an indexer has it. The kernel frees the lock on it when the
//! process dies. The time of its last change shows whether the process still runs: an indexer touches it every second.

use super::location::beside;
use crate::error::CatalogError;
use crate::lease::LEASE;
use crate::settings::CatalogSettings;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;
use uuid::Uuid;

/// End of the file's name.
const END: &str = ".lock";

/// The lock on a catalogue, held for as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: LockFile,
}

/// Takes the lock on the catalogue; `None` while another process has it.
///
/// # Errors
/// When the settings name no catalogue, or the lock can't be made.
pub(crate) fn lock(settings: &CatalogSettings) -> Result<Option<Lock>, CatalogError> {
    let file = LockFile::beside(&settings.path()?)?;
    Ok(file.is_locked().then_some(Lock { _file: file }))
}

/// Whether an indexer has the catalogue. Looking changes nothing.
#[must_use]
pub(crate) fn is_locked(settings: &CatalogSettings) -> bool {
    let Ok(path) = settings.path() else { return false };
    // For a moment the lock is ours, shared: one that wants it just then looks again.
    let tried = File::open(beside(&path, END)).map(|file| file.try_lock_shared());
    matches!(tried, Ok(Err(TryLockError::WouldBlock)))
}

/// The file, open, and locked by us if nobody else had it.
#[derive(Debug)]
pub(in crate::sqlite) struct LockFile {
    file: File,
    locked: AtomicBool,
    /// An id that the file keeps, and the file itself, since a copied folder has the same id.
    pub(in crate::sqlite) identity: String,
}

impl LockFile {
    /// Opens the file beside a catalogue, makes it if it is missing, and tries to lock it.
    ///
    /// # Errors
    /// When the file can't be made or read.
    pub(in crate::sqlite) fn beside(catalogue: &Path) -> Result<Self, CatalogError> {
        let path = beside(catalogue, END);
        Self::open(&path).map_err(|error| {
            let named = path.display();
            CatalogError::Settings(format!(
                "cannot write {named}; set DATABASE_URL to a writable folder: {error}"
            ))
        })
    }

    fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file =
            File::options().create(true).read(true).write(true).truncate(false).open(path)?;
        let locked = try_lock(&file)?;
        let mut id = String::new();
        file.read_to_string(&mut id)?;
        if id.is_empty() && locked {
            id = Uuid::new_v4().to_string();
            file.rewind()?;
            file.write_all(id.as_bytes())?;
            file.set_modified(SystemTime::UNIX_EPOCH)?;
        }
        let identity = format!("{id}:{}", file.metadata()?.ino());
        Ok(Self { file, locked: AtomicBool::new(locked), identity })
    }

    /// Whether the lock is ours.
    pub(in crate::sqlite) fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Relaxed)
    }

    /// Tries again to lock it. Gives whether that changed anything.
    pub(in crate::sqlite) fn lock_later(&self) -> io::Result<bool> {
        let locked = !self.is_locked() && try_lock(&self.file)?;
        if locked {
            self.locked.store(true, Ordering::Relaxed);
        }
        Ok(locked)
    }

    /// Shows that its process runs.
    pub(in crate::sqlite) fn touch(&self) -> io::Result<()> {
        self.file.set_modified(SystemTime::now())
    }

    /// Whether a process has touched it lately. A time in the future is of a clock that was set back.
    pub(in crate::sqlite) fn is_fresh(&self) -> io::Result<bool> {
        let touched = self.file.metadata()?.modified()?;
        let now = SystemTime::now();
        let age = now.duration_since(touched).unwrap_or_else(|error| error.duration());
        Ok(age < LEASE)
    }

    /// Shows that its process has ended its work.
    pub(in crate::sqlite) fn give_up(&self) -> io::Result<()> {
        self.file.set_modified(SystemTime::UNIX_EPOCH)?;
        self.unlock()
    }

    /// Lets another process have the lock.
    pub(in crate::sqlite) fn unlock(&self) -> io::Result<()> {
        self.locked.store(false, Ordering::Relaxed);
        self.file.unlock()
    }
}

fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
