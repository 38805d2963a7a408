//! The spool in a folder of its own.

use super::*;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

const ASSOCIATION: &str = "4f5c1e9c-7f57-4f0e-a44e-2f2b40d5a3ce";

fn url(root: &TempDir) -> StoreUrl {
    StoreUrl::Folder(root.path().join("store"))
}

fn open(root: &TempDir) -> Spool {
    Spool::open(&url(root), ByteSize(0), "node").unwrap().unwrap()
}

/// The names of all files in the store.
fn files(root: &TempDir) -> Vec<String> {
    fn look(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => look(&path, found),
                false => found.push(path.file_name().unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    let mut found = Vec::new();
    look(&root.path().join("store"), &mut found);
    found.retain(|name| name != "lock");
    found.sort();
    found
}

/// Bytes that repeat at no power of two.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

#[tokio::test]
async fn an_object_of_any_length_is_what_was_written() {
    let root = tempfile::tempdir().unwrap();
    let spool = open(&root);
    let lengths = [0, 1, buffers::LENGTH - 4, buffers::LENGTH, 3 * buffers::LENGTH + 7, 40 << 20];
    for (ordinal, length) in (1..).zip(lengths) {
        let data_set = bytes(length);
        let mut writing = spool.begin(ASSOCIATION, ordinal, b"head").unwrap();
        for piece in data_set.chunks(70_001) {
            writing.write(piece).await.unwrap();
        }
        let object = writing.finish().await.unwrap().keep();
        assert_eq!(object.key, format!("spool/node/4f/{ASSOCIATION}-{ordinal}.dcm"));
        let path = root.path().join("store").join(&object.key);
        let whole = [b"head", &*data_set].concat();
        assert!(fs::read(&path).unwrap() == whole, "{length}");
        assert_eq!(object.bytes, whole.len() as u64);
        assert_eq!(object.blake3, blake3::hash(&whole).to_hex().as_str());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o007, 0);
    }
    assert_eq!(files(&root).len(), lengths.len());
}

#[tokio::test]
async fn nothing_stays_of_what_is_not_finished_or_not_kept() {
    let root = tempfile::tempdir().unwrap();
    let spool = open(&root);
    let mut writing = spool.begin(ASSOCIATION, 1, b"head").unwrap();
    writing.write(&bytes(3 * buffers::LENGTH)).await.unwrap();
    drop(writing);
    let spooled = spool.begin(ASSOCIATION, 2, b"head").unwrap().finish().await.unwrap();
    assert!(spooled.path.as_ref().unwrap().is_file());
    drop(spooled);
    let kept = spool.begin(ASSOCIATION, 3, b"head").unwrap().finish().await.unwrap().keep();
    spool.remove(&kept).await.unwrap();
    let began = std::time::Instant::now();
    while !files(&root).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", files(&root));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_object_has_its_name_once_it_is_whole() {
    let root = tempfile::tempdir().unwrap();
    let spool = open(&root);
    let mut writing = spool.begin(ASSOCIATION, 1, b"head").unwrap();
    writing.write(&bytes(3 * buffers::LENGTH)).await.unwrap();
    let (part, buffer) = writing.settled().await.unwrap();
    assert_eq!(files(&root), [format!("{ASSOCIATION}-1.dcm.part")]);
    writing.state = State::Idle(part, buffer);
    let _object = writing.finish().await.unwrap().keep();
    assert_eq!(files(&root), [format!("{ASSOCIATION}-1.dcm")]);
}

#[tokio::test]
async fn a_spool_is_one_process_s_and_begins_without_what_was_not_finished() {
    let root = tempfile::tempdir().unwrap();
    let spool = open(&root);
    let object = spool.begin(ASSOCIATION, 1, b"head").unwrap().finish().await.unwrap().keep();
    let unfinished = root.path().join("store").join(format!("{}.part", object.key));
    fs::write(&unfinished, "half").unwrap();
    let error = Spool::open(&url(&root), ByteSize(0), "node").unwrap_err();
    assert!(format!("{error:#}").contains("NODE_NAME"), "{error:#}");
    assert!(unfinished.exists(), "it is removed only by whoever has the spool");
    assert!(Spool::open(&url(&root), ByteSize(0), "another node").unwrap().is_some());
    drop(spool);
    open(&root);
    assert_eq!(files(&root), [format!("{ASSOCIATION}-1.dcm")]);
}

/// A named pipe: whoever opens it to write waits, until this is dropped.
struct Pipe(PathBuf);

impl Pipe {
    fn make(path: PathBuf) -> Self {
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        Self(path)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // To read and to write, which waits for nobody.
        drop(fs::OpenOptions::new().read(true).write(true).open(&self.0));
    }
}

/// What an operation returns without waiting for anything.
async fn at_once<T>(operation: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = operation => Some(done),
        () = std::future::ready(()) => None,
    }
}

#[tokio::test]
async fn while_the_disk_hangs_nothing_more_is_given_to_it() {
    let root = tempfile::tempdir().unwrap();
    let spool = open(&root);
    let pipe = Pipe::make(root.path().join("store/spool/node/probe"));
    tokio::time::pause();
    let hanging = tokio::spawn({
        let spool = spool.clone();
        async move { spool.probe().await }
    });
    tokio::task::yield_now().await;
    assert!(at_once(spool.free()).await.is_none(), "it has not hung long enough");
    spool.begin(ASSOCIATION, 1, b"head").unwrap();
    tokio::time::advance(ANSWER_TIMEOUT + Duration::from_secs(1)).await;
    assert!(matches!(hanging.await.unwrap(), Err(StoreError::Slow(_))));
    assert!(matches!(spool.begin(ASSOCIATION, 1, b"head"), Err(StoreError::Slow(_))));
    assert!(matches!(at_once(spool.free()).await, Some(Err(StoreError::Slow(_)))));
    assert!(matches!(at_once(spool.probe()).await, Some(Err(StoreError::Slow(_)))));
    drop(pipe);
    let began = std::time::Instant::now();
    while spool.begin(ASSOCIATION, 1, b"head").is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "it hangs though it answered");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_reserved_is_left_free() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool::open(&url(&root), ByteSize::eib(4), "node").unwrap().unwrap();
    let refused = spool.begin(ASSOCIATION, 1, b"head").unwrap().finish().await.unwrap_err();
    assert!(refused.to_string().contains("less than STORE_RESERVE"), "{refused}");
    let mut writing = spool.begin(ASSOCIATION, 2, b"head").unwrap();
    writing.write(&bytes(buffers::LENGTH)).await.unwrap();
    let refused = writing.finish().await.unwrap_err();
    assert!(matches!(refused, StoreError::Reserved { .. }), "{refused}");
    assert!(files(&root).is_empty());
    assert!(spool.free().await.unwrap().0 > 0);
}

#[test]
fn a_folder_that_can_not_be_used_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("store"), "a file").unwrap();
    let error = Spool::open(&url(&root), ByteSize(0), "node").unwrap_err();
    assert!(format!("{error:#}").starts_with("STORE_URL: "), "{error:#}");
    assert!(Spool::open(&StoreUrl::None, ByteSize(0), "node").unwrap().is_none());
}

#[test]
fn a_receiver_of_any_name_has_a_folder_in_the_spool() {
    let root = tempfile::tempdir().unwrap();
    for name in ["host/0.0.0.0:11113", "..", "a b", "a%20b"] {
        Spool::open(&url(&root), ByteSize(0), name).unwrap().unwrap();
    }
    let spool = root.path().join("store/spool");
    let names = fs::read_dir(spool).unwrap().map(|it| it.unwrap().file_name().into_string());
    let mut names: Vec<_> = names.map(Result::unwrap).collect();
    names.sort();
    assert_eq!(names, ["%2E%2E", "a%20b", "a%2520b", "host%2F0%2E0%2E0%2E0%3A11113"]);
}
