//! The folder of one receiver in the store: what is where, how much is free, and that it is this process's alone.

use crate::StoreError;
use crate::files::{SPOOL, make, sync};
use anyhow::{Context as _, anyhow};
use bytesize::ByteSize;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use shared::disk;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// What a file is called in addition while it is being written.
const TEMPORARY: &str = ".part";

/// The file that the process at work has locked.
const LOCK: &str = "lock";

/// Folders that objects are spread over, by the first byte of the association's UUID: file systems are slow with
/// millions of files in one, and with many writers.
const SHARDS: u16 = 256;

/// What is not written as it is in the name of a receiver's folder.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The folder `spool/<node>` of a store.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// From the root.
    prefix: String,
    reserve: ByteSize,
    /// Locked for as long as this process lives.
    _lock: File,
}

impl Folder {
    pub(super) fn open(root: &Path, reserve: ByteSize, node_name: &str) -> anyhow::Result<Self> {
        let prefix = node_folder(SPOOL, node_name);
        let folder = root.join(&prefix);
        let shards = (0..SHARDS).map(|shard| folder.join(format!("{shard:02x}")));
        let shards: Vec<_> = shards.collect();
        create(&folder)?;
        let lock = lock(&folder, node_name)?;
        for shard in &shards {
            make(shard)?;
        }
        // Also where all were there: an earlier process may have been killed before it came to this.
        sync(&folder)?;
        let folder = Self { root: root.to_owned(), prefix, reserve, _lock: lock };
        folder.probe()?;
        let removed =
            shards.iter().map(|shard| remove_unfinished(shard)).sum::<io::Result<u64>>()?;
        if removed > 0 {
            tracing::info!(removed, "removed instances that were not received whole");
        }
        Ok(folder)
    }

    /// The key of an object. `association` is a UUID.
    pub(super) fn key(&self, association: &str, ordinal: u64) -> String {
        let shard = association.get(..2).unwrap_or("00");
        format!("{}/{shard}/{association}-{ordinal}.dcm", self.prefix)
    }

    /// Where an object is.
    pub(super) fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// Where it is while it is being written: beside its place, so that a rename is all that is left.
    pub(super) fn temporary(&self, key: &str) -> PathBuf {
        self.root.join(format!("{key}{TEMPORARY}"))
    }

    /// What is free on the file system, the reserve included.
    pub(super) fn free(&self) -> io::Result<ByteSize> {
        disk::free(&self.root)
    }

    /// Checks that the reserve is free.
    pub(super) fn check_reserve(&self) -> Result<(), StoreError> {
        match self.free()? {
            free if free < self.reserve => Err(StoreError::Reserved { free }),
            _ => Ok(()),
        }
    }

    /// Has the name of an object on disk.
    pub(super) fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        sync(path.parent().unwrap_or(&self.root))
    }

    /// Writes a file, syncs it and removes it.
    pub(super) fn probe(&self) -> io::Result<()> {
        let path = self.root.join(&self.prefix).join("probe");
        let mut file = File::create(&path)?;
        file.write_all(b"probe")?;
        file.sync_data()?;
        fs::remove_file(path)
    }
}

/// The folder of a receiver among those of all, from the root of a store.
pub(crate) fn node_folder(all: &str, node_name: &str) -> String {
    format!("{all}/{}", utf8_percent_encode(node_name, ESCAPED))
}

/// Makes a folder and those that it is in, and has the name of each on disk: also of those that are there, since an
/// earlier process may have been killed between the two.
fn create(folder: &Path) -> io::Result<()> {
    let Some(parent) = folder.parent() else { return Ok(()) };
    create(parent)?;
    let was_there = folder.is_dir();
    make(folder)?;
    match sync(parent) {
        // One above the store that we may not open or that can't be synced. Nothing in it is of our making.
        Err(error) if was_there && is_refusal(&error) => Ok(()),
        synced => synced,
    }
}

/// Whether a folder is not to be synced by us at all, as against a sync that failed.
fn is_refusal(error: &io::Error) -> bool {
    use ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported)
}

/// Two processes of one name would remove each other's unfinished files.
fn lock(folder: &Path, node_name: &str) -> anyhow::Result<File> {
    let file = File::create(folder.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(anyhow!(
            "another receiver called {node_name} uses it; each needs a NODE_NAME of its own"
        )),
        Err(TryLockError::Error(error)) => Err(error).context("a file in it can't be locked"),
    }
}

/// Removes what was being written when an earlier process ended.
fn remove_unfinished(shard: &Path) -> io::Result<u64> {
    let mut removed = 0;
    for entry in fs::read_dir(shard)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().ends_with(TEMPORARY.as_bytes()) {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}
