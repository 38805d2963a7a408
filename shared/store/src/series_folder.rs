//! Series folders: a revision of a series as a folder of its own, `<Study>/<Series>/<Revision>` in the store, with a link to
//! the file of each instance and a manifest. A folder is there whole, or not at all.
//!
//! All of it is blocking. It takes a list and gives a place: what is to be kept, and who is told, is for others to know.

mod folder_name;
mod linking;
mod manifest;
#[cfg(test)]
mod tests;

use crate::files::{FILE_MODE, make, sync};
use crate::{StoreError, StoreSettings};
use bytesize::ByteSize;
use contract::event::{Reason, StoredObject};
pub(crate) use folder_name::folder_name;
use jiff::Timestamp;
use linking::Linking;
pub(crate) use manifest::Manifest;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Where folders are until they are whole, from the root of the store.
pub(crate) const KEEPING: &str = "keeping";

/// What the name of a folder begins with there that is about to be removed.
pub(crate) const REMOVED: &str = "removed-";

/// The file beside the instances that says what they are.
pub(crate) const MANIFEST: &str = "manifest.json";

/// Tries to give a folder its name while another keeper gives that name to its own.
const TRIES: usize = 8;

/// A revision that is to be a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionToKeep {
    /// Study Instance UID, empty where there is none.
    pub study_instance_uid: String,
    /// Series Instance UID.
    pub series_instance_uid: String,
    /// The completion of the series.
    pub revision: u32,
    /// The rule that decided it.
    pub reason: Reason,
    /// When it was decided.
    pub completed_at: Timestamp,
    /// Instances of it of which there is no file.
    pub instances_without_file: u64,
    /// The SOP Instance UID of each of the others, and its file.
    pub objects: Vec<(String, StoredObject)>,
}

/// The folder of a revision, on disk whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesFolder {
    /// Where it is, from the root of the store, with `/` between names.
    pub place: String,
    /// Instances that it has.
    pub instances: u64,
    /// Length of their files, together.
    pub bytes: u64,
    /// BLAKE3 hash of its manifest, in hex.
    pub manifest_blake3: String,
}

/// Why a revision is no folder yet.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// A file of the revision is gone.
    #[error("{key} is not in the instance store")]
    Missing {
        /// The key of the file.
        key: String,
    },
    /// It has another length than its event says.
    #[error("{key} has {found} bytes, and {expected} by its event")]
    Length {
        /// The key of the file.
        key: String,
        /// Bytes that it was received with.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// A file can't be linked, nor copied.
    #[error("{key} can't be linked or copied")]
    File {
        /// The key of the file.
        key: String,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// The folder can't be made.
    #[error("a series folder can't be made")]
    Folder(#[source] StoreError),
    /// Told to stop before it was whole.
    #[error("stopped before the series folder was whole")]
    Stopped,
}

impl From<io::Error> for KeepError {
    fn from(error: io::Error) -> Self {
        Self::Folder(error.into())
    }
}

/// The folders of a store.
#[derive(Debug, Clone)]
pub struct SeriesFolders {
    root: PathBuf,
    reserve: ByteSize,
}

impl SeriesFolders {
    /// Those of the store that the settings name, if they name one. Nothing is looked at yet.
    #[must_use]
    pub fn of(settings: &StoreSettings) -> Option<Self> {
        let root = settings.store_url.folder()?.clone();
        Some(Self { root, reserve: settings.store_reserve })
    }

    /// Makes the folder of a revision, unless it is there. Two that do so at one time make one folder.
    ///
    /// # Errors
    /// When a file of it is missing, or the file system refuses. Nothing is under the folder's name then that was not
    /// there before.
    pub fn keep(
        &self,
        revision: &RevisionToKeep,
        is_stopped: impl Fn() -> bool,
    ) -> Result<SeriesFolder, KeepError> {
        let part = self.part();
        let made = self.make(revision, &part, &mut || is_stopped());
        if made.is_err() {
            // What is in the way of removing it is in the way of what follows too, and is said there.
            let _ = fs::remove_dir_all(&part);
        }
        made
    }

    /// Removes what keepers did not finish that ended before. Gives how many folders that were.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove_unfinished(&self) -> io::Result<u64> {
        let keeping = self.root.join(KEEPING);
        let entries = match fs::read_dir(&keeping) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let mut removed = 0;
        for entry in entries {
            let entry = entry?;
            let mut path = entry.path();
            if !entry.file_name().as_encoded_bytes().starts_with(REMOVED.as_bytes()) {
                // A keeper that is at work on it all the same, since it does not know yet that another one has followed
                // it, can't give it its name any more.
                let aside = keeping.join(format!("{REMOVED}{}", Uuid::new_v4()));
                match fs::rename(&path, &aside) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    renamed => renamed?,
                }
                path = aside;
            }
            fs::remove_dir_all(&path)?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Where the next folder is until it is whole. No other keeper ever has this name.
    fn part(&self) -> PathBuf {
        self.root.join(KEEPING).join(Uuid::new_v4().to_string())
    }

    /// Makes the folder as `part`, and gives it its name. `is_stopped` is asked before each step.
    fn make(
        &self,
        revision: &RevisionToKeep,
        part: &Path,
        is_stopped: &mut dyn FnMut() -> bool,
    ) -> Result<SeriesFolder, KeepError> {
        let mut step = || if is_stopped() { Err(KeepError::Stopped) } else { Ok(()) };
        let manifest = Manifest::of(revision);
        let written = manifest.json();
        let folder = manifest.folder(&written);
        let whole = self.root.join(&folder.place);
        // Its series, its study, and the root.
        let parents: Vec<_> = whole.ancestors().skip(1).take(3).collect();
        step()?;
        if !manifest.is_of(&whole, &written) {
            make(&self.root.join(KEEPING))?;
            make(part)?;
            let linking = Linking { root: &self.root, reserve: self.reserve };
            for (instance, (_, object)) in manifest.instances.iter().zip(&manifest.objects) {
                step()?;
                linking.put(object, &part.join(&instance.file))?;
            }
            step()?;
            write(&part.join(MANIFEST), &written)?;
            step()?;
            sync(part)?;
            for parent in parents[..2].iter().rev() {
                step()?;
                make(parent)?;
            }
            step()?;
            name(part, &whole, || manifest.is_of(&whole, &written))?;
        }
        // Whoever named it may have been killed right then.
        for parent in parents {
            step()?;
            sync(parent)?;
        }
        Ok(folder)
    }
}

/// Gives a folder its name. What has that name is another one of the same contents, or is put aside whole: whoever reads
/// in it goes on reading.
fn name(part: &Path, whole: &Path, is_made: impl Fn() -> bool) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::rename(part, whole) {
            Ok(()) => return Ok(()),
            // Made by another keeper meanwhile.
            Err(_) if is_made() => return fs::remove_dir_all(part),
            Err(error) if tries == TRIES || fs::symlink_metadata(whole).is_err() => {
                return Err(error);
            }
            Err(_) => put_aside(whole)?,
        }
        tries += 1;
    }
}

/// Gives a folder the first name that is free of `<name>.replaced-1`, `-2` and so on.
fn put_aside(folder: &Path) -> io::Result<()> {
    let mut number = 1;
    let aside = loop {
        let mut name = folder.as_os_str().to_owned();
        name.push(format!(".replaced-{number}"));
        match fs::symlink_metadata(&name) {
            Ok(_) => number += 1,
            Err(_) => break PathBuf::from(name),
        }
    };
    match fs::rename(folder, &aside) {
        // Somebody else has put it aside.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => {
            tracing::warn!("a series folder of another content was put aside: {}", aside.display());
            renamed
        }
    }
}

/// Writes a file that is not there, and syncs it.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
