//! Removing the files of objects.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use tokio::runtime::Handle;

/// Removes a file, which is closed before if it is open. Neither happens on an async thread where there are others:
/// both take long for a large file, and for ever on a disk that hangs.
pub(super) fn remove(path: PathBuf, file: Option<File>) {
    let removal = Removal { path, file };
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn_blocking(move || drop(removal));
    }
}

/// A file that is removed when this is dropped: a runtime that shuts down drops what it no longer runs.
struct Removal {
    path: PathBuf,
    file: Option<File>,
}

impl Drop for Removal {
    fn drop(&mut self) {
        drop(self.file.take());
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            let path = self.path.display();
            tracing::warn!(%error, "a file of the instance store can't be removed: {path}");
        }
    }
}
