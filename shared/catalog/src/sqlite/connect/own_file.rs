//! Which file the owner has open: one that was replaced or removed under it takes everything that is
//! written, and keeps nothing.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The file that was opened, and where.
#[derive(Debug)]
pub(in crate::sqlite) struct OwnFile {
    path: PathBuf,
    opened: Mutex<Option<Identity>>,
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(path: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

impl OwnFile {
    /// The file at `path` has just been opened.
    pub(in crate::sqlite) fn opened(path: PathBuf) -> Self {
        let opened = Mutex::new(identity(&path));
        Self { path, opened }
    }

    pub(in crate::sqlite) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is another file in its place now, or none.
    pub(in crate::sqlite) fn is_replaced(&self) -> bool {
        identity(&self.path) != *self.lock()
    }

    /// The file that is there now has just been opened.
    pub(in crate::sqlite) fn reopened(&self) {
        *self.lock() = identity(&self.path);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Identity>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
