//! One indexer at a time: a lock on a file beside the catalogue. A second indexer stands by.

use anyhow::Context as _;
use shared::health::Part;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often an indexer that stands by looks whether the other one is gone.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The lock, held for as long as this lives and freed by the kernel when the process dies.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not used")] File);

/// Waits for the lock on the catalogue at `path`. `None` when told to stop before it was there.
///
/// # Errors
/// When the lock's file can't be made.
pub async fn acquire(
    path: &Path,
    health: &Part,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Lock>> {
    let path = beside(path);
    let what = || format!("cannot write {}; set DATABASE_URL to a writable folder", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(what)?;
    }
    let file = File::options().create(true).write(true).truncate(false).open(&path);
    let file = file.with_context(what)?;
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(Lock(file))),
            Err(TryLockError::Error(error)) => return Err(error).with_context(what),
            Err(TryLockError::WouldBlock) => {}
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

/// Whether an indexer has the catalogue at `path`; nothing is made to find out.
#[must_use]
pub fn is_taken(path: &Path) -> bool {
    // For a moment the lock is ours, shared: one that wants it just then looks again.
    let tried = File::open(beside(path)).map(|file| file.try_lock_shared());
    matches!(tried, Ok(Err(TryLockError::WouldBlock)))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    path.with_file_name(name)
}
