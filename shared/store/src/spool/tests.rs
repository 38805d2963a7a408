//! The spool in a folder of its own.

use super::*;
use percent_encoding::percent_decode_str;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

const ASSOCIATION: &str = "4f5c1e9c-7f57-4f0e-a44e-2f2b40d5a3ce";

fn open_as(root: &TempDir, node_name: &str) -> anyhow::Result<Spool> {
    Spool::open(&root.path().join("store"), ByteSize(0), node_name)
}

fn open(root: &TempDir) -> Spool {
    open_as(root, "node").unwrap()
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
    spool.remove(&kept);
    let began = std::time::Instant::now();
    while !files(&root).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", files(&root));
        tokio::task::yield_now().await;
    }
}

#[test]
fn what_is_dropped_is_closed_and_removed_by_a_blocking_thread() {
    let root = tempfile::tempdir().unwrap();
    let spool = open(&root);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).enable_time().build().unwrap();
    let is_open = || {
        let open = fs::read_dir("/proc/self/fd").unwrap();
        open.filter_map(|it| fs::read_link(it.unwrap().path()).ok()).any(|path| {
            path.starts_with(root.path()) && path.extension().is_some_and(|it| it == "part")
        })
    };
    runtime.block_on(async {
        let mut writing = spool.begin(ASSOCIATION, 1, b"head").unwrap();
        writing.write(&bytes(2 * buffers::LENGTH)).await.unwrap();
        let part = writing.settled().await.unwrap();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let busy = spawn_blocking(move || wait.recv());
        drop(part);
        assert!(is_open());
        assert_eq!(files(&root), [format!("{ASSOCIATION}-1.dcm.part")]);
        drop(go);
        busy.await.unwrap().unwrap_err();
        spawn_blocking(|| ()).await.unwrap();
        assert!(!is_open());
        assert!(files(&root).is_empty());
    });
}

#[tokio::test]
async fn an_object_has_its_name_once_it_is_whole() {
    let root = tempfile::tempdir().unwrap();
    let spool = open(&root);
    let mut writing = spool.begin(ASSOCIATION, 1, b"head").unwrap();
    writing.write(&bytes(3 * buffers::LENGTH)).await.unwrap();
    let part = writing.settled().await.unwrap();
    assert_eq!(files(&root), [format!("{ASSOCIATION}-1.dcm.part")]);
    writing.state = State::Idle(part);
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
    let error = open_as(&root, "node").unwrap_err();
    assert!(format!("{error:#}").contains("NODE_NAME"), "{error:#}");
    assert!(unfinished.exists(), "it is removed only by whoever has the spool");
    open_as(&root, "another node").unwrap();
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
        // To read and to write, which waits for nobody, and to the end, for whoever opens it only then.
        mem::forget(fs::OpenOptions::new().read(true).write(true).open(&self.0));
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
    // It has not hung long enough.
    spool.free().await.unwrap();
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
    let spool = Spool::open(&root.path().join("store"), ByteSize::eib(4), "node").unwrap();
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
    let error = open_as(&root, "node").unwrap_err();
    assert!(format!("{error:#}").starts_with("STORE_URL: "), "{error:#}");
}

#[test]
fn receivers_of_any_names_never_share_a_folder() {
    let root = tempfile::tempdir().unwrap();
    let longest = "/".repeat(64);
    let names = [
        "host/0.0.0.0:11113",
        ".",
        "..",
        "a b",
        "a%20b",
        "a+b",
        "a/b",
        "a_b",
        "A b",
        "~",
        &longest,
    ];
    let spools: Vec<_> = names.iter().map(|name| open_as(&root, name).unwrap()).collect();
    assert_eq!(spools.len(), names.len());
    let spool = root.path().join("store/spool");
    let folders = fs::read_dir(spool).unwrap().map(|it| it.unwrap().file_name().into_string());
    // Each says whose it is.
    let mut owners: Vec<_> = folders
        .map(|folder| {
            let folder = folder.unwrap();
            percent_decode_str(&folder).decode_utf8().unwrap().into_owned()
        })
        .collect();
    let mut names = names.map(str::to_owned);
    names.sort();
    owners.sort();
    assert_eq!(owners, names);
    assert!(root.path().join("store/spool/host%2F0%2E0%2E0%2E0%3A11113").is_dir());
}
