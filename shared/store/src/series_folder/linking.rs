//! The files of a series folder: links to those that receivers wrote, or copies where the file system has no links.

use super::KeepError;
use crate::StoreError;
use crate::files::path_of;
use bytesize::ByteSize;
use contract::event::StoredObject;
use rustix::io::Errno;
use shared::disk;
use std::fs::{self, File};
use std::io;
use std::path::Path;

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
        let Some(from) = path_of(self.root, &object.key) else {
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

    fn copy(&self, from: &Path, to: &Path, bytes: u64) -> Result<(), StoreError> {
        let free = disk::free(self.root)?;
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
