//! What all parts of the store do with folders and files: how they are made, and where a key is. All of it is blocking.

use crate::series_folder::KEEPING;
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

/// Where receivers write: in a folder, and in a bucket.
pub(crate) const SPOOL: &str = "spool";
pub(crate) const OBJECTS: &str = "objects";

/// Names at the root of the store that are no study.
pub(crate) const RESERVED: [&str; 3] = [SPOOL, OBJECTS, KEEPING];

/// Who may look into a folder: files have patients' names in them.
const FOLDER_MODE: u32 = 0o750;

/// Who may read a file.
pub(crate) const FILE_MODE: u32 = 0o640;

/// Makes a folder, unless it is there.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}

/// Has the names in a folder on disk.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The path of a key in the folder of a store, unless it would lead out of it.
pub(crate) fn path_of(root: &Path, key: &str) -> Option<PathBuf> {
    let is_name = |name: &str| !matches!(name, "" | "." | "..");
    let names = !key.contains('\0') && key.split('/').all(is_name);
    let path = Path::new(key);
    let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
    (names && is_below).then(|| root.join(path))
}
