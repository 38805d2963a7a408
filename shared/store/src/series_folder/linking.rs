//! The files of a series folder: links to those that receivers wrote, or copies where the file system has no links.

use super::KeepError;
use crate::StoreError;
use bytesize::ByteSize;
use contract::event::StoredObject;
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

/// How files come into a folder.
pub(super) struct Linking<'a> {
    pub(super) root: &'a Path,
    /// What copies leave free.
    pub(super) reserve: ByteSize,
}

impl Linking<'_> {
    /// Puts an object in this place, where nothing is.
    pub(super) fn put(&self, object: &StoredObject, to: &Path) -> Result<(), KeepError> {
        let key = || object.key.clone();
        let Some(from) = self.path(&object.key) else {
            return Err(KeepError::Missing { key: key() });
        };
        let put = match fs::hard_link(&from, to) {
            Err(error) if has_no_link(&error) => self.copy(&from, to, object.bytes),
            linked => linked.map_err(StoreError::from),
        };
        let is_file = |path: &Path| fs::symlink_metadata(path).ok().filter(|it| it.is_file());
        match (put, is_file(&from)) {
            (_, None) => Err(KeepError::Missing { key: key() }),
            (Err(source), Some(_)) => Err(KeepError::File { key: key(), source }),
            (Ok(()), Some(_)) => {
                let (expected, found) = (object.bytes, fs::symlink_metadata(to)?.len());
                match found == expected {
                    true => Ok(()),
                    false => Err(KeepError::Length { key: key(), expected, found }),
                }
            }
        }
    }

    /// Where the object of a key is; `None` where it would be outside of the store.
    fn path(&self, key: &str) -> Option<PathBuf> {
        let is_name = |part: Component<'_>| matches!(part, Component::Normal(_));
        let is_key = !key.is_empty() && Path::new(key).components().all(is_name);
        is_key.then(|| self.root.join(key))
    }

    fn copy(&self, from: &Path, to: &Path, bytes: u64) -> Result<(), StoreError> {
        let disk = rustix::fs::statvfs(self.root).map_err(io::Error::from)?;
        let free = ByteSize(disk.f_bavail.saturating_mul(disk.f_frsize));
        if free.0 < self.reserve.0.saturating_add(bytes) {
            return Err(StoreError::Reserved { free });
        }
        fs::copy(from, to)?;
        Ok(File::open(to)?.sync_all()?)
    }
}

/// Whether a file can't be linked, but perhaps copied: there are no links on this file system, it has as many as it may
/// have, it is on another one, or it is another user's (`fs.protected_hardlinks`).
fn has_no_link(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::XDEV | Errno::MLINK))
}
