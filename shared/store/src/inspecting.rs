//! Looking at what is in a store: whether a file is what the catalogue says, and what is there beside that.
//!
//! All of it is blocking. It changes nothing but by [`StoreInspector::link`].

use crate::StoreSettings;
use crate::files::{RESERVED, SPOOL, path_of, sync};
use crate::series_folder::MANIFEST;
use contract::event::StoredObject;
use serde::Deserialize;
use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use uuid::Uuid;

/// What is read of a file at once.
const BUFFER: usize = 1024 * 1024;

/// How a file stands to what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has this length, and this hash if that was worked out.
    Whole,
    /// It is not there.
    Missing,
    /// It has another length or hash.
    Damaged,
}

/// Something that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InStore {
    /// Where it is, from the root of the store.
    pub place: String,
    /// Length of a file; 0 of a folder.
    pub bytes: u64,
    /// When it was last written.
    pub written_at: SystemTime,
}

/// What a series folder says that it has.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    instances: Vec<ListedInstance>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedInstance {
    #[serde(rename = "SOPInstanceUID")]
    sop_instance_uid: String,
    file: String,
    bytes: u64,
    #[serde(rename = "BLAKE3")]
    blake3: String,
}

/// Looks at a store.
#[derive(Debug)]
pub struct StoreInspector {
    root: PathBuf,
    /// Device and number of the files whose hash was right: what is linked twice is read once.
    whole: HashSet<(u64, u64)>,
}

impl StoreInspector {
    /// Of the store that the settings name, if they name one.
    #[must_use]
    pub fn of(settings: &StoreSettings) -> Option<Self> {
        let root = settings.store_url.folder()?.clone();
        Some(Self { root, whole: HashSet::new() })
    }

    /// Whether the store is there.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self) -> io::Result<()> {
        fs::read_dir(self.root.join(SPOOL)).map(drop)
    }

    /// How a file stands to what is said of it; its hash is worked out only where that is wanted.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn examine(&mut self, object: &StoredObject, with_hash: bool) -> io::Result<Standing> {
        let Some(path) = path_of(&self.root, &object.key) else { return Ok(Standing::Missing) };
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Ok(Standing::Damaged),
            Err(error) if is_missing(&error) => return Ok(Standing::Missing),
            Err(error) => return Err(error),
        };
        if metadata.len() != object.bytes {
            return Ok(Standing::Damaged);
        }
        if !with_hash || self.whole.contains(&number(&metadata)) {
            return Ok(Standing::Whole);
        }
        match hash(&path) {
            Ok(found) if found == object.blake3 => {
                self.whole.insert(number(&metadata));
                Ok(Standing::Whole)
            }
            Ok(_) => Ok(Standing::Damaged),
            Err(error) if is_missing(&error) => Ok(Standing::Missing),
            Err(error) => Err(error),
        }
    }

    /// The SOP Instance UID and file of each instance that a series folder has by its manifest; `None` where that is
    /// missing or can't be understood.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn folder(&self, place: &str) -> io::Result<Option<Vec<(String, StoredObject)>>> {
        let Some(folder) = path_of(&self.root, place) else { return Ok(None) };
        let manifest = match fs::read(folder.join(MANIFEST)) {
            Err(error) if is_missing(&error) => return Ok(None),
            manifest => manifest?,
        };
        let Ok(Listed { instances }) = serde_json::from_slice(&manifest) else { return Ok(None) };
        let object = |instance: ListedInstance| {
            let ListedInstance { sop_instance_uid, file, bytes, blake3 } = instance;
            (sop_instance_uid, StoredObject { key: format!("{place}/{file}"), bytes, blake3 })
        };
        Ok(Some(instances.into_iter().map(object).collect()))
    }

    /// The file of an instance in a series folder, as a keeper names it, with the bytes of `object`.
    #[must_use]
    pub fn in_folder(place: &str, sop_instance_uid: &str, object: &StoredObject) -> StoredObject {
        let file = crate::series_folder::folder_name(sop_instance_uid);
        StoredObject { key: format!("{place}/{file}.dcm"), ..object.clone() }
    }

    /// Shows each whole file of the spool to `see`.
    ///
    /// # Errors
    /// When a folder can't be read.
    pub fn spooled(&self, mut see: impl FnMut(InStore)) -> io::Result<()> {
        for node in entries(&self.root, SPOOL)? {
            for shard in entries(&self.root, &node)? {
                for place in entries(&self.root, &shard)? {
                    if place.ends_with(".dcm") {
                        self.seen(place, &mut see)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Shows each folder of a revision to `see`.
    ///
    /// # Errors
    /// When a folder can't be read.
    pub fn folders(&self, mut see: impl FnMut(InStore)) -> io::Result<()> {
        let studies = entries(&self.root, "")?;
        for study in studies.iter().filter(|name| !RESERVED.contains(&name.as_str())) {
            for series in entries(&self.root, study)? {
                for place in entries(&self.root, &series)? {
                    self.seen(place, &mut see)?;
                }
            }
        }
        Ok(())
    }

    /// Puts a link to the file `from`, whose hash was found right, in the place `to`, whatever is there.
    ///
    /// # Errors
    /// When the file system refuses. What was there is there then.
    pub fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let refused = || io::Error::from(io::ErrorKind::InvalidInput);
        let from = path_of(&self.root, from).ok_or_else(refused)?;
        let to = path_of(&self.root, to).ok_or_else(refused)?;
        let folder = to.parent().ok_or_else(refused)?;
        // What a kill leaves of it, the next start of a receiver or nobody minds.
        let part = folder.join(format!("{}.part", Uuid::new_v4()));
        fs::hard_link(&from, &part)?;
        let named = fs::rename(&part, &to);
        // A rename to another link of the same file does nothing, and leaves both.
        let _ = fs::remove_file(&part);
        named?;
        sync(folder)
    }

    fn seen(&self, place: String, see: &mut impl FnMut(InStore)) -> io::Result<()> {
        let metadata = match fs::symlink_metadata(self.root.join(&place)) {
            Err(error) if is_missing(&error) => return Ok(()),
            metadata => metadata?,
        };
        let bytes = if metadata.is_file() { metadata.len() } else { 0 };
        see(InStore { place, bytes, written_at: metadata.modified()? });
        Ok(())
    }
}

/// The places of what is in a folder, which may be gone or no folder.
fn entries(root: &Path, folder: &str) -> io::Result<Vec<String>> {
    let read = match fs::read_dir(root.join(folder)) {
        Err(error) if is_missing(&error) || error.kind() == io::ErrorKind::NotADirectory => {
            return Ok(Vec::new());
        }
        read => read?,
    };
    let place = |entry: io::Result<fs::DirEntry>| {
        let name = entry?.file_name().to_string_lossy().into_owned();
        Ok(if folder.is_empty() { name } else { format!("{folder}/{name}") })
    };
    read.map(place).collect()
}

fn hash(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher) = (File::open(path)?, blake3::Hasher::new());
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            read => drop(hasher.update(&buffer[..read])),
        }
    }
}

fn number(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
