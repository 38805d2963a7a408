//! One indexer at a time: a lock on a file beside the catalogue. A second indexer stands by.

use anyhow::Context as _;
use catalog::beside;
use shared::health::Part;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often an indexer that stands by looks whether the other one is gone.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// End of the name of the lock's file.
const END: &str = ".lock";

/// The lock, held for as long as this lives and freed by the kernel when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    /// What no other catalogue's lock has: an id that the file keeps, and the file itself, since a copied
    /// folder has the same id. Whoever holds it knows that the process that held it before is gone.
    pub identity: String,
}

/// Waits for the lock on the catalogue at `path`. `None` when told to stop before it was there.
///
/// # Errors
/// When the lock's file can't be made.
pub async fn acquire(
    path: &Path,
    health: &Part,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Lock>> {
    let mut said = false;
    loop {
        if let Some(lock) = try_acquire(path)? {
            return Ok(Some(lock));
        }
        if !said {
            health.not_ready("standing by: another indexer has this catalogue");
            tracing::info!("standing by: another indexer has this catalogue");
            said = true;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// The lock on the catalogue at `path`; `None` while another one has it.
///
/// # Errors
/// When the lock's file can't be made.
pub fn try_acquire(path: &Path) -> anyhow::Result<Option<Lock>> {
    let path = beside(path, END);
    let what = || format!("cannot write {}; set DATABASE_URL to a writable folder", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(what)?;
    }
    let file = File::options().create(true).read(true).write(true).truncate(false).open(&path);
    let mut file = file.with_context(what)?;
    match file.try_lock() {
        Ok(()) => {
            let identity = identity(&mut file).with_context(what)?;
            Ok(Some(Lock { _file: file, identity }))
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(what),
        Err(TryLockError::WouldBlock) => Ok(None),
    }
}

/// The identity of the lock in `file`, which gets an id if it has none.
fn identity(file: &mut File) -> std::io::Result<String> {
    let mut id = String::new();
    file.read_to_string(&mut id)?;
    if id.is_empty() {
        id = Uuid::new_v4().to_string();
        file.write_all(id.as_bytes())?;
    }
    Ok(format!("{id}:{}", file.metadata()?.ino()))
}

/// Whether an indexer has the catalogue at `path`; nothing is made to find out.
#[must_use]
pub fn is_taken(path: &Path) -> bool {
    // For a moment the lock is ours, shared: one that wants it just then looks again.
    let tried = File::open(beside(path, END)).map(|file| file.try_lock_shared());
    matches!(tried, Ok(Err(TryLockError::WouldBlock)))
}
