//! Removing what nothing names any more: files of the spool, and folders of revisions.
//!
//! Only what has the form of what receivers and keepers make is removed, whatever place is given:
//! whoever may publish events may write anything there.

use crate::files::{OBJECTS, RESERVED, SPOOL, path_of, sync};
use crate::series_folder::{KEEPING, REMOVED};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Removes files and folders of a store in a folder. All of it is blocking.
#[derive(Debug, Clone)]
pub struct StoreRemover {
    root: PathBuf,
}

/// Something to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The key of an object, or the place of a series folder.
    pub place: String,
    /// Which of the two it is.
    pub is_folder: bool,
    /// Key and length of the object that the instance has instead, if it has one: while that is not there, this one
    /// stays. A catalogue that was put back from a copy may name one that is gone, and then the other is all there is.
    pub successor: Option<(String, u64)>,
}

impl Removal {
    /// Whether it may be removed, with the length of its successor in the store.
    pub(crate) fn check_successor(&self, found: Option<u64>) -> io::Result<()> {
        match &self.successor {
            Some((key, bytes)) if found != Some(*bytes) => Err(io::Error::other(format!(
                "{key}, which the catalogue has instead, is not in the store with {bytes} bytes"
            ))),
            _ => Ok(()),
        }
    }
}

/// What became of what was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It was there, and is gone.
    Gone,
    /// It was not there.
    WasGone,
}

/// The folders in which something was removed: to be synced.
#[derive(Debug, Default)]
struct ToSync(BTreeSet<PathBuf>);

impl StoreRemover {
    /// In the store that is this folder.
    pub(crate) fn of(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Removes what can be removed, and has that on disk. Gives what came of each.
    ///
    /// # Errors
    /// When the store is not there, or can't be synced.
    pub(crate) fn remove(&self, removals: &[Removal]) -> io::Result<Vec<io::Result<Removed>>> {
        // Where its file system is not mounted nothing is gone.
        fs::read_dir(self.root.join(SPOOL))?;
        let mut to_sync = ToSync::default();
        let removed = removals.iter().map(|it| match it.is_folder {
            true => self.remove_folder(&it.place, &mut to_sync),
            false => {
                self.check_successor(it).and_then(|()| self.remove_file(&it.place, &mut to_sync))
            }
        });
        let removed = removed.collect();
        self.sync(to_sync)?;
        Ok(removed)
    }

    fn check_successor(&self, removal: &Removal) -> io::Result<()> {
        let key = removal.successor.as_ref().map(|(key, _)| key);
        removal.check_successor(key.map(|key| self.length(key)).transpose()?.flatten())
    }

    /// The length of a file of the spool; `None` where there is none.
    ///
    /// # Errors
    /// When the file system refuses.
    fn length(&self, key: &str) -> io::Result<Option<u64>> {
        match fs::symlink_metadata(self.file(key)?) {
            Ok(file) if file.is_file() => Ok(Some(file.len())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a file of the spool. Its folder stays, since its receiver may be about to write there.
    ///
    /// # Errors
    /// When it has no key of a receiver, or the file system refuses.
    fn remove_file(&self, key: &str, to_sync: &mut ToSync) -> io::Result<Removed> {
        let path = self.file(key)?;
        let removed = gone(fs::remove_file(&path))?;
        if removed == Removed::Gone {
            to_sync.0.extend(path.parent().map(Path::to_owned));
        }
        Ok(removed)
    }

    /// Removes the folder of a revision, and those of its series and study with the last one in them. It has another
    /// name first, so that nobody sees half of it under its own.
    ///
    /// # Errors
    /// When it has no place of a series folder, or the file system refuses.
    fn remove_folder(&self, place: &str, to_sync: &mut ToSync) -> io::Result<Removed> {
        let folder = self.folder(place)?;
        let keeping = self.root.join(KEEPING);
        let aside = keeping.join(format!("{REMOVED}{}", Uuid::new_v4()));
        let removed = match fs::rename(&folder, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && keeping.is_dir() => {
                Removed::WasGone
            }
            renamed => renamed.map(|()| Removed::Gone)?,
        };
        // Also where it was gone: an earlier try may have ended right then.
        let mut parent = folder.parent();
        while let Some(folder) = parent.filter(|folder| *folder != self.root) {
            match fs::remove_dir(folder) {
                Ok(()) => drop(to_sync.0.remove(folder)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    to_sync.0.insert(folder.to_owned());
                    break;
                }
                Err(error) => return Err(error),
            }
            parent = folder.parent();
        }
        to_sync.0.insert(self.root.clone());
        if removed == Removed::Gone {
            // If this fails, the next start of a keeper removes what is left.
            fs::remove_dir_all(&aside)?;
        }
        Ok(removed)
    }

    /// Has on disk that it is gone.
    ///
    /// # Errors
    /// When the file system refuses.
    fn sync(&self, to_sync: ToSync) -> io::Result<()> {
        to_sync.0.iter().try_for_each(|folder| match sync(folder) {
            // It went with what was in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced,
        })
    }

    /// The path of `spool/<node>/<two digits>/<name>.dcm`.
    fn file(&self, key: &str) -> io::Result<PathBuf> {
        let path = path_of(&self.root, key).ok_or_else(|| no_place(key))?;
        is_object(key).then_some(path).ok_or_else(|| no_place(key))
    }

    /// The path of `<Study>/<Series>/<Revision>`.
    fn folder(&self, place: &str) -> io::Result<PathBuf> {
        let path = path_of(&self.root, place).ok_or_else(|| no_place(place))?;
        is_folder(place).then_some(path).ok_or_else(|| no_place(place))
    }
}

/// Whether it is `<Study>/<Series>/<Revision>`.
pub(crate) fn is_folder(place: &str) -> bool {
    match place.split('/').collect::<Vec<_>>()[..] {
        [study, _, revision] => {
            !RESERVED.contains(&study)
                && !revision.is_empty()
                && revision.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// Whether it is the key of an object that a receiver wrote: `spool/<node>/<two digits>/<name>.dcm` of a folder, or
/// `objects/<node>/<name>.dcm` of a bucket.
pub(crate) fn is_object(key: &str) -> bool {
    match key.split('/').collect::<Vec<_>>()[..] {
        [SPOOL, _, _, name] | [OBJECTS, _, name] => name.ends_with(".dcm"),
        _ => false,
    }
}

pub(crate) fn no_place(place: &str) -> io::Error {
    let what = format!("{place:?} is no place that Collimator makes; it is not touched");
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn gone(removed: io::Result<()>) -> io::Result<Removed> {
    match removed {
        Ok(()) => Ok(Removed::Gone),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Removed::WasGone),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, StoreRemover) {
        let folder = tempfile::tempdir().unwrap();
        for made in ["spool/node/4f", "keeping", "1.2/1.3/1", "1.2/1.3/2", "1.2/1.4/1"] {
            fs::create_dir_all(folder.path().join(made)).unwrap();
        }
        let remover = StoreRemover { root: folder.path().to_owned() };
        (folder, remover)
    }

    #[test]
    fn a_file_is_removed_once_and_its_folder_stays() {
        let (folder, remover) = store();
        let key = "spool/node/4f/4f5c-1.dcm";
        fs::write(folder.path().join(key), "x").unwrap();
        assert_eq!(remover.length(key).unwrap(), Some(1));
        let mut to_sync = ToSync::default();
        assert_eq!(remover.remove_file(key, &mut to_sync).unwrap(), Removed::Gone);
        assert_eq!(remover.remove_file(key, &mut to_sync).unwrap(), Removed::WasGone);
        assert_eq!(to_sync.0.len(), 1);
        remover.sync(to_sync).unwrap();
        assert_eq!(remover.length(key).unwrap(), None);
        assert!(folder.path().join("spool/node/4f").is_dir());
    }

    #[test]
    fn a_folder_goes_and_with_the_last_one_its_series_and_study() {
        let (folder, remover) = store();
        fs::write(folder.path().join("1.2/1.3/1/manifest.json"), "{}").unwrap();
        let mut to_sync = ToSync::default();
        let mut remove = |place| remover.remove_folder(place, &mut to_sync).unwrap();
        assert_eq!(remove("1.2/1.3/1"), Removed::Gone);
        assert!(folder.path().join("1.2/1.3/2").is_dir());
        assert_eq!(remove("1.2/1.3/2"), Removed::Gone);
        assert!(!folder.path().join("1.2/1.3").exists() && folder.path().join("1.2").is_dir());
        assert_eq!(remove("1.2/1.4/1"), Removed::Gone);
        assert_eq!(remove("1.2/1.4/1"), Removed::WasGone);
        assert!(!folder.path().join("1.2").exists());
        assert_eq!(fs::read_dir(folder.path().join("keeping")).unwrap().count(), 0);
        assert!(folder.path().join("spool").is_dir());
        remover.sync(to_sync).unwrap();
    }

    #[test]
    fn nothing_is_removed_that_collimator_does_not_make() {
        let (folder, remover) = store();
        fs::write(folder.path().join("spool/node/lock"), "").unwrap();
        for place in [
            "",
            "/",
            "..",
            "spool",
            "spool/node/lock",
            "spool/node/4f/x",
            "spool/../spool/x.dcm",
            "spool/node/4f/../x.dcm",
            "/spool/node/4f/x.dcm",
            "spool/node//x.dcm",
            "spool/a/b/\0.dcm",
            "1.2/1.3/1/manifest.dcm",
        ] {
            let refused = remover.remove_file(place, &mut ToSync::default()).unwrap_err();
            assert!(refused.to_string().contains("not touched"), "{place:?}: {refused}");
        }
        for place in [
            "",
            "1.2",
            "1.2/1.3",
            "1.2/1.3/x",
            "1.2/../1",
            "../1.3/1",
            "spool/node/41",
            "keeping/a/1",
            "1.2/1.3/1.replaced-1",
            "1.2/1.3/1/",
            "/1.2/1.3/1",
        ] {
            let refused = remover.remove_folder(place, &mut ToSync::default()).unwrap_err();
            assert!(refused.to_string().contains("not touched"), "{place:?}: {refused}");
        }
        assert!(folder.path().join("spool/node/lock").exists());
        assert!(folder.path().join("1.2/1.3/1").is_dir());
    }
}
