//! One object on its way to the disk. All of it is blocking.

use super::{Spool, Spooled, removal};
use crate::StoreError;
use crate::files::FILE_MODE;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::mem;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// Bytes after which a file is synced in between: else the last sync of a long instance takes seconds.
const SYNC_EVERY: u64 = 32 * 1024 * 1024;

/// A file under a temporary name, which is removed unless it is finished.
#[derive(Debug)]
pub(super) struct Part {
    spool: Spool,
    key: String,
    /// From the first write on.
    file: Option<File>,
    /// Where it is until it is finished.
    path: PathBuf,
    bytes: u64,
    unsynced: u64,
}

impl Part {
    /// Of nothing yet.
    pub(super) fn new(spool: Spool, association: &str, ordinal: u64) -> Self {
        let key = spool.0.folder.key(association, ordinal);
        let path = spool.0.folder.temporary(&key);
        Self { spool, key, file: None, path, bytes: 0, unsynced: 0 }
    }

    /// Writes the next bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                self.spool.0.folder.check_reserve()?;
                let mut options = OpenOptions::new();
                none.insert(options.write(true).create_new(true).mode(FILE_MODE).open(&self.path)?)
            }
        };
        file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_EVERY {
            file.sync_data()?;
            self.unsynced = 0;
            self.spool.0.folder.check_reserve()?;
        }
        Ok(())
    }

    /// Syncs the file, gives it its name and syncs the folder.
    pub(super) fn finish(mut self) -> Result<Spooled, StoreError> {
        if let Some(file) = &self.file {
            file.sync_data()?;
        }
        let path = self.spool.0.folder.path(&self.key);
        fs::rename(&self.path, &path)?;
        self.file = None;
        let spooled = Spooled::named(self.key.clone(), self.bytes, &path);
        self.spool.0.folder.sync_folder_of(&path)?;
        Ok(spooled)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            removal::remove(mem::take(&mut self.path), Some(file));
        }
    }
}
