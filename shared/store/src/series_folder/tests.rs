//! Series folders in a store of their own.

use super::*;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use tempfile::TempDir;

const PLACE: &str = "2.25.1/2.25.2/1";

struct Store {
    root: TempDir,
}

impl Store {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("spool")).unwrap();
        Self { root }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.path().join(key)
    }

    fn folders(&self) -> SeriesFolders {
        SeriesFolders { root: self.root.path().to_owned(), reserve: ByteSize(0) }
    }

    /// A file as a receiver leaves it.
    fn object(&self, name: &str, bytes: &str) -> StoredObject {
        let key = format!("spool/{name}");
        fs::write(self.path(&key), bytes).unwrap();
        let blake3 = blake3::hash(bytes.as_bytes()).to_hex().to_string();
        StoredObject { key, bytes: bytes.len() as u64, blake3 }
    }

    /// A revision of two instances.
    fn revision(&self) -> RevisionToKeep {
        let two = [("2.25.4", "four"), ("2.25.3", "three")];
        let objects = two.map(|(uid, bytes)| (uid.to_owned(), self.object(bytes, bytes)));
        RevisionToKeep {
            study_instance_uid: "2.25.1".into(),
            series_instance_uid: "2.25.2".into(),
            revision: 1,
            reason: Reason::Released,
            completed_at: "2026-02-03T04:05:16.5Z".parse().unwrap(),
            instances_without_file: 1,
            objects: objects.into(),
        }
    }

    fn keep(&self, revision: &RevisionToKeep) -> Result<SeriesFolder, KeepError> {
        self.folders().keep(revision, || false)
    }

    /// The names and contents of what is in a folder of the store; nothing if it is not there.
    fn files(&self, place: &str) -> BTreeMap<String, String> {
        let Ok(entries) = fs::read_dir(self.path(place)) else { return BTreeMap::new() };
        let entries = entries.map(|entry| entry.unwrap().path());
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
        entries.map(|path| (name(&path), text(&path))).collect()
    }

    fn names(&self, place: &str) -> Vec<String> {
        self.files(place).into_keys().collect()
    }

    fn is_whole(&self, place: &str) -> bool {
        self.names(place) == ["2.25.3.dcm", "2.25.4.dcm", MANIFEST]
    }
}

#[test]
fn a_folder_has_links_to_the_files_and_a_manifest_that_says_what_they_are() {
    let store = Store::new();
    let revision = store.revision();
    let folder = store.keep(&revision).unwrap();
    assert_eq!((&*folder.place, folder.instances, folder.bytes), (PLACE, 2, 9));
    assert!(store.is_whole(PLACE));
    assert_eq!(store.files(PLACE)["2.25.3.dcm"], "three");
    let metadata = |path: &str| fs::metadata(store.path(path)).unwrap();
    assert_eq!(metadata(&format!("{PLACE}/2.25.3.dcm")).ino(), metadata("spool/three").ino());
    assert_eq!(metadata("spool/three").nlink(), 2);
    assert_eq!(metadata(PLACE).permissions().mode() & 0o007, 0);
    let text = &store.files(PLACE)[MANIFEST];
    assert_eq!(folder.manifest_blake3, blake3::hash(text.as_bytes()).to_hex().as_str());
    let hash = |bytes: &str| blake3::hash(bytes.as_bytes()).to_hex().to_string();
    let said: serde_json::Value = serde_json::from_str(text).unwrap();
    let expected = serde_json::json!({
        "StudyInstanceUID": "2.25.1",
        "SeriesInstanceUID": "2.25.2",
        "Revision": 1,
        "Reason": "released",
        "CompletedAt": "2026-02-03T04:05:16.5Z",
        "InstancesKept": 2,
        "InstancesWithoutFile": 1,
        "Bytes": 9,
        "Instances": [
            { "SOPInstanceUID": "2.25.3", "File": "2.25.3.dcm", "Bytes": 5, "BLAKE3": hash("three") },
            { "SOPInstanceUID": "2.25.4", "File": "2.25.4.dcm", "Bytes": 4, "BLAKE3": hash("four") },
        ],
    });
    assert_eq!(said, expected);
    assert!(store.names(KEEPING).is_empty());
}

#[test]
fn a_folder_is_made_once_however_often_it_is_asked_for() {
    let store = Store::new();
    let revision = store.revision();
    let first = store.keep(&revision).unwrap();
    let inode = fs::metadata(store.path(PLACE)).unwrap().ino();
    assert_eq!(store.keep(&revision).unwrap(), first);
    assert_eq!(fs::metadata(store.path(PLACE)).unwrap().ino(), inode);
    assert_eq!(fs::metadata(store.path("spool/three")).unwrap().nlink(), 2);
}

#[test]
fn killed_at_any_step_it_leaves_all_or_nothing_and_the_next_try_makes_it() {
    for step in 0.. {
        let store = Store::new();
        let revision = store.revision();
        let mut left = step;
        let mut is_killed = || {
            left -= 1;
            left < 0
        };
        let folders = store.folders();
        // As a kill: nothing is tidied up.
        let made = folders.make(&revision, &folders.part(), &mut is_killed);
        assert!(store.names(PLACE).is_empty() || store.is_whole(PLACE), "{step}");
        let kept = store.keep(&revision).unwrap();
        assert!(store.is_whole(PLACE), "{step}");
        assert_eq!(kept.place, PLACE);
        assert_eq!(store.names("2.25.1/2.25.2"), ["1"], "{step}");
        folders.remove_unfinished().unwrap();
        assert!(store.names(KEEPING).is_empty(), "{step}");
        if made.is_ok() {
            assert_eq!(step, 11, "the steps of two instances");
            return;
        }
    }
}

#[test]
fn a_stop_leaves_nothing_of_a_folder_that_is_not_whole() {
    let store = Store::new();
    let stopped = store.folders().keep(&store.revision(), || true).unwrap_err();
    assert!(matches!(stopped, KeepError::Stopped), "{stopped}");
    let asked = std::cell::Cell::new(0);
    let stops = || asked.replace(asked.get() + 1) == 2;
    store.folders().keep(&store.revision(), stops).unwrap_err();
    assert!(store.names(KEEPING).is_empty());
    assert!(!store.path("2.25.1").exists());
}

#[test]
fn what_is_missing_or_of_another_length_is_named_and_makes_no_folder() {
    let store = Store::new();
    let revision = store.revision();
    fs::write(store.path("spool/four"), "longer").unwrap();
    let error = store.keep(&revision).unwrap_err();
    assert_eq!(error.to_string(), "spool/four has 6 bytes, and 4 by its event");
    fs::remove_file(store.path("spool/four")).unwrap();
    let error = store.keep(&revision).unwrap_err();
    assert_eq!(error.to_string(), "spool/four is not in the instance store");
    assert!(!store.path("2.25.1").exists() && store.names(KEEPING).is_empty());
    for key in ["../outside", "/etc/hostname", ""] {
        let mut outside = revision.clone();
        outside.objects[0].1.key = key.to_owned();
        let error = store.keep(&outside).unwrap_err();
        assert!(matches!(error, KeepError::Missing { .. }), "{key}: {error}");
    }
    store.object("four", "four");
    store.keep(&revision).unwrap();
}

#[test]
fn a_folder_of_another_content_is_put_aside_whole() {
    let store = Store::new();
    let mut revision = store.revision();
    store.keep(&revision).unwrap();
    let before = store.files(PLACE);
    revision.objects.push(("2.25.5".to_owned(), store.object("five", "five")));
    store.keep(&revision).unwrap();
    assert_eq!(store.names(PLACE).len(), 4);
    assert_eq!(store.files(&format!("{PLACE}.replaced-1")), before);
    // One that has lost a file is another one too.
    fs::remove_file(store.path(PLACE).join("2.25.5.dcm")).unwrap();
    store.keep(&revision).unwrap();
    assert_eq!(store.names(PLACE).len(), 4);
    assert_eq!(store.names("2.25.1/2.25.2"), ["1", "1.replaced-1", "1.replaced-2"]);
}

#[test]
fn two_keepers_of_one_revision_make_one_folder() {
    let store = Store::new();
    for number in 1..40 {
        let revision = RevisionToKeep { revision: number, ..store.revision() };
        let keep = || store.keep(&revision).unwrap();
        let (one, other) = std::thread::scope(|scope| {
            let (one, other) = (scope.spawn(keep), scope.spawn(keep));
            (one.join().unwrap(), other.join().unwrap())
        });
        assert_eq!(one, other);
        assert!(store.is_whole(&one.place));
    }
    assert_eq!(store.names("2.25.1/2.25.2").len(), 39, "none was put aside");
    assert!(store.names(KEEPING).is_empty());
}

#[test]
fn a_keeper_that_another_one_has_followed_names_no_folder_that_is_being_removed() {
    let store = Store::new();
    let (folders, revision) = (store.folders(), store.revision());
    let mut steps = 0;
    let mut followed = || {
        steps += 1;
        if steps == 5 {
            assert_eq!(folders.remove_unfinished().unwrap(), 1);
        }
        false
    };
    folders.make(&revision, &folders.part(), &mut followed).unwrap_err();
    assert!(store.names(PLACE).is_empty());
}

#[test]
fn files_are_copied_where_they_can_not_be_linked_unless_the_reserve_is_needed_for_it() {
    // Another file system.
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    let store = Store::new();
    fs::remove_dir(store.path("spool")).unwrap();
    symlink(elsewhere.path(), store.path("spool")).unwrap();
    let revision = store.revision();
    let device = |path: PathBuf| fs::metadata(path).unwrap().dev();
    if device(store.path("spool/four")) == device(store.path(".")) {
        return;
    }
    let reserved = SeriesFolders { reserve: ByteSize::eib(4), ..store.folders() };
    let error = reserved.keep(&revision, || false).unwrap_err();
    let KeepError::File { source: StoreError::Reserved { .. }, .. } = error else {
        panic!("{error}");
    };
    assert!(store.names(KEEPING).is_empty());
    store.keep(&revision).unwrap();
    assert!(store.is_whole(PLACE));
    assert_eq!(store.files(PLACE)["2.25.4.dcm"], "four");
    assert_eq!(fs::metadata(store.path("spool/four")).unwrap().nlink(), 1);
}

#[test]
fn any_text_is_one_safe_name_and_no_two_are_the_same() {
    let long = "/".repeat(500);
    for (text, name) in [
        ("1.2.840.113619.2.5", "1.2.840.113619.2.5"),
        ("A_b-c", "A_b-c"),
        ("", "%none"),
        (".", "%2E"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("/", "%2F"),
        ("../../etc", "%2E.%2F..%2Fetc"),
        ("a b", "a%20b"),
        ("%20", "%2520"),
        ("%none", "%25none"),
        ("spool", "%73pool"),
        ("SPOOL", "%53POOL"),
        ("keeping", "%6Beeping"),
        ("spools", "spools"),
        ("é", "%C3%A9"),
        (&"~".repeat(64), &"%7E".repeat(64)),
    ] {
        assert_eq!(folder_name(text), name, "{text}");
    }
    let names = [folder_name(&long), folder_name(&format!("{long}/"))];
    assert!(names[0] != names[1] && names.iter().all(|name| name.len() < 200), "{names:?}");
}

#[test]
fn instances_whose_names_differ_in_capitals_only_have_a_file_each() {
    let store = Store::new();
    let mut revision = store.revision();
    revision.objects = ["A", "a", "/"].map(|uid| (uid.to_owned(), store.object("x", "x"))).into();
    store.keep(&revision).unwrap();
    assert_eq!(store.names(PLACE), ["%2F.dcm", "A.dcm", "a%-2.dcm", MANIFEST]);
}
