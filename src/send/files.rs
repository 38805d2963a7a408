//! Finds instances under files and folders and reads what an association needs to know of each:
//! its file meta information (PS3.10 7.1), never its data set.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use dicom_dictionary_std::uids;
use dicom_object::FileMetaTable;

use super::Notice;

const PREAMBLE_LENGTH: u64 = 128;
/// Real file meta information has some hundred bytes; private information may lengthen it.
const MAX_FILE_META_LENGTH: u64 = 1 << 20;
/// PS3.5 9.1.
const MAX_UID_LENGTH: usize = 64;

/// An instance that can be sent, as its file meta information describes it.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) path: PathBuf,
    pub(super) context: Context,
    pub(super) sop_instance_uid: String,
    /// Where in the file the data set begins.
    pub(super) data_set_offset: u64,
    pub(super) data_set_length: u64,
}

/// What a presentation context is proposed for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Context {
    pub(super) sop_class_uid: String,
    pub(super) transfer_syntax_uid: String,
}

/// Everything found under the given paths: folders in order of name, each of them once.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) instances: Vec<Instance>,
    /// Files that should be instances but can't be sent.
    pub(super) unsendable: Vec<Notice>,
    pub(super) not_dicom: usize,
    pub(super) dicomdirs: usize,
}

/// A path that somebody named must be an instance; what a folder holds may be anything.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    Named,
    Folder,
}

pub(super) fn list(paths: &[PathBuf]) -> Listing {
    let mut listing = Listing::default();
    let mut folders = HashSet::new();
    for path in paths {
        listing.visit(path, Origin::Named, &mut folders);
    }
    listing
}

impl Listing {
    /// `folders` are the real paths of those already read: a link back to one ends there.
    fn visit(&mut self, path: &Path, origin: Origin, folders: &mut HashSet<PathBuf>) {
        let result = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.visit_folder(path, folders),
            Ok(metadata) if metadata.is_file() => self.visit_file(path, origin),
            // Opening a pipe or a device could block for ever.
            Ok(_) => self.skip(origin),
            // A link that leads nowhere holds no instance that could be missed.
            Err(_) if origin == Origin::Folder && path.is_symlink() => self.skip(origin),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = result {
            let reason = format!("cannot be sent: {error:#}");
            self.unsendable.push(Notice::new(path, None, reason));
        }
    }

    fn visit_folder(
        &mut self,
        path: &Path,
        folders: &mut HashSet<PathBuf>,
    ) -> Result<(), anyhow::Error> {
        if !folders.insert(path.canonicalize()?) {
            return Ok(());
        }
        let entries = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
        let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        for entry in entries {
            self.visit(&entry, Origin::Folder, folders);
        }
        Ok(())
    }

    fn visit_file(&mut self, path: &Path, origin: Origin) -> Result<(), anyhow::Error> {
        match read_instance(path)? {
            None => self.skip(origin)?,
            Some(found) if found.context.sop_class_uid == uids::MEDIA_STORAGE_DIRECTORY_STORAGE => {
                self.dicomdirs += 1;
            }
            Some(found) => self.instances.push(found),
        }
        Ok(())
    }

    fn skip(&mut self, origin: Origin) -> Result<(), anyhow::Error> {
        match origin {
            Origin::Named => bail!("not a DICOM Part 10 file"),
            Origin::Folder => self.not_dicom += 1,
        }
        Ok(())
    }
}

/// Reads the file meta information; `None` if the file is no DICOM Part 10 file.
fn read_instance(path: &Path) -> Result<Option<Instance>, anyhow::Error> {
    let file = File::open(path)?;
    let file_length = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    let mut start = [0; PREAMBLE_LENGTH as usize + 4];
    match reader.read_exact(&mut start) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let (_, magic) = start.split_at(PREAMBLE_LENGTH as usize);
    if magic != b"DICM" {
        return Ok(None);
    }
    let mut reader = magic.chain(reader).take(MAX_FILE_META_LENGTH);
    let meta = FileMetaTable::from_reader(&mut reader)
        .context("its file meta information can't be read")?;
    let data_set_offset = PREAMBLE_LENGTH + MAX_FILE_META_LENGTH - reader.limit();
    let instance = Instance {
        path: path.to_owned(),
        context: Context {
            sop_class_uid: meta.media_storage_sop_class_uid().to_owned(),
            transfer_syntax_uid: meta.transfer_syntax().to_owned(),
        },
        sop_instance_uid: meta.media_storage_sop_instance_uid().to_owned(),
        data_set_offset,
        data_set_length: file_length.saturating_sub(data_set_offset),
    };
    check(&instance)?;
    Ok(Some(instance))
}

/// Refuses what would spoil the association for the instances around it.
fn check(instance: &Instance) -> Result<(), anyhow::Error> {
    let legal = |c: u8| c.is_ascii_digit() || c == b'.';
    let sendable = |uid: &str| (1..=MAX_UID_LENGTH).contains(&uid.len());
    let context = &instance.context;
    for (keyword, uid) in [
        ("MediaStorageSOPClassUID", &context.sop_class_uid),
        ("TransferSyntaxUID", &context.transfer_syntax_uid),
    ] {
        if !sendable(uid) || !uid.bytes().all(legal) {
            bail!("its {keyword} is no UID");
        }
    }
    // What an anonymiser wrote into it is for the receiver to judge.
    if !sendable(&instance.sop_instance_uid) {
        bail!("its MediaStorageSOPInstanceUID is empty or longer than {MAX_UID_LENGTH} characters");
    }
    if instance.data_set_length == 0 {
        bail!("it ends before its data set");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::SyntheticStudy;

    fn names(listing: &Listing) -> Vec<String> {
        let name = |i: &Instance| i.path.file_name().map(|n| n.to_string_lossy().into_owned());
        listing.instances.iter().filter_map(name).collect()
    }

    fn folder_with(instances: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = SyntheticStudy::new().series("MR", instances.len() as u32);
        let objects = made.instances().expect("synthetic instances");
        for (name, object) in instances.iter().zip(objects) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            object.write_to_file(path).expect("an instance on disk");
        }
        folder
    }

    #[test]
    fn a_folder_is_listed_in_order_with_everything_below_it() {
        let folder = folder_with(&["b/2", "b/1", "c", "a"]);
        let listing = list(&[folder.path().to_owned()]);
        assert_eq!(names(&listing), ["a", "1", "2", "c"]);
        assert!(listing.unsendable.is_empty());
    }

    #[test]
    fn the_data_set_begins_right_after_the_file_meta_information() {
        let folder = folder_with(&["a"]);
        let listing = list(&[folder.path().join("a")]);
        let instance = &listing.instances[0];
        let bytes = fs::read(&instance.path).expect("the file");
        let offset = instance.data_set_offset as usize;
        assert_eq!(bytes[offset..][..4], [0x08, 0x00, 0x05, 0x00]);
        assert_eq!(bytes.len() - offset, instance.data_set_length as usize);
    }

    #[test]
    fn another_file_is_skipped_in_a_folder_and_an_error_when_named() {
        let folder = folder_with(&["a"]);
        let notes = folder.path().join("notes.txt");
        fs::write(&notes, "hello").expect("a text file");
        let listing = list(&[folder.path().to_owned()]);
        assert_eq!((names(&listing).len(), listing.not_dicom), (1, 1));
        assert!(listing.unsendable.is_empty());

        let listing = list(&[notes, folder.path().join("missing")]);
        assert_eq!((listing.unsendable.len(), listing.not_dicom), (2, 0));
    }

    #[test]
    fn broken_file_meta_information_is_never_skipped_in_silence() {
        let folder = folder_with(&["a", "b"]);
        let path = folder.path().join("a");
        let bytes = fs::read(&path).expect("the file");
        fs::write(&path, &bytes[..200]).expect("half of it");
        let listing = list(&[folder.path().to_owned()]);
        assert_eq!(names(&listing), ["b"]);
        assert_eq!(listing.unsendable[0].path, path);
    }

    #[cfg(unix)]
    #[test]
    fn links_that_form_a_loop_end_the_walk() {
        use std::os::unix::fs::symlink;
        let folder = folder_with(&["deep/a"]);
        symlink(folder.path(), folder.path().join("deep/up")).expect("a link to its parent");
        symlink("itself", folder.path().join("itself")).expect("a link to itself");
        let listing = list(&[folder.path().to_owned()]);
        assert_eq!(names(&listing), ["a"]);
        assert!(listing.unsendable.is_empty());
    }
}
