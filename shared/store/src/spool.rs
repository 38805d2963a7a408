//! Where a receiver writes instances: `spool/<node>/<two digits>/` in the store, where an object is under its name only
//! once it is on disk whole.
//!
//! Files are written on blocking threads, from one buffer while the next one fills: a slow disk slows the sender down, and
//! memory does not grow with the instance. The thread that fills a buffer also hashes it, while another one writes it.

mod buffers;
mod folder;
mod operations;
mod part;
mod removal;

use crate::StoreError;
use anyhow::Context as _;
use buffers::Buffers;
use bytesize::ByteSize;
use contract::event::StoredObject;
use folder::Folder;
pub(crate) use folder::node_folder;
use operations::Operations;
use part::Part;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{error::Elapsed, timeout};

/// How long the file system may take to write one buffer or to sync: as long as a busy disk or a file server that
/// restarts may need, and shorter than senders wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The part of the store that one receiver writes. Clones share it.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: Folder,
    buffers: Buffers,
    operations: Operations,
}

impl Spool {
    /// Opens the spool of the receiver `node_name` in the store in the folder `root`, and removes what an earlier
    /// process of that name did not finish. It reads and writes, so it is not for an async thread.
    ///
    /// # Errors
    /// When the folder can't be made, written or synced, or another process has it.
    pub fn open(root: &Path, reserve: ByteSize, node_name: &str) -> anyhow::Result<Self> {
        let folder = Folder::open(root, reserve, node_name)
            .with_context(|| format!("STORE_URL: {} can't be used", root.display()))?;
        let (buffers, operations) = (Buffers::default(), Operations::default());
        Ok(Self(Arc::new(Shared { folder, buffers, operations })))
    }

    /// Begins an object, whose first bytes are `head`. Nothing is written yet. Its name is made of the association, a
    /// UUID, and the number of the C-STORE in it.
    ///
    /// # Errors
    /// While the file system does not answer.
    pub fn begin(
        &self,
        association: &str,
        ordinal: u64,
        head: &[u8],
    ) -> Result<Writing, StoreError> {
        self.check_answers()?;
        let mut buffer = self.0.buffers.take();
        buffer.extend_from_slice(head);
        let part = Part::new(self.clone(), association, ordinal);
        let (spool, state) = (self.clone(), State::Idle(part));
        Ok(Writing { spool, state, buffer, hasher: Box::default() })
    }

    /// Removes an object that no event names. A failure is logged.
    pub fn remove(&self, object: &StoredObject) {
        removal::remove(self.0.folder.path(&object.key), None);
    }

    /// What is free on the file system, the reserve included.
    ///
    /// # Errors
    /// When the file system refuses or does not answer.
    pub async fn free(&self) -> Result<ByteSize, StoreError> {
        self.check_answers()?;
        let spool = self.clone();
        answer(self.start(move || Ok(spool.0.folder.free()?))).await
    }

    /// Whether objects can be written: what is written can be synced and removed again.
    ///
    /// # Errors
    /// Why not.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.check_answers()?;
        let spool = self.clone();
        answer(self.start(move || Ok(spool.0.folder.probe()?))).await
    }

    /// Checks that the file system ends what it began. While it does not, whatever else it were given would hold a
    /// thread each.
    fn check_answers(&self) -> Result<(), StoreError> {
        match self.0.operations.oldest() {
            Some(began) if began.elapsed() >= ANSWER_TIMEOUT => {
                Err(StoreError::Slow(ANSWER_TIMEOUT))
            }
            _ => Ok(()),
        }
    }

    /// Starts an operation of the file system on a blocking thread.
    fn start<T: Send + 'static>(
        &self,
        run: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> JoinHandle<Result<T, StoreError>> {
        let operation = Operations::begin(self);
        spawn_blocking(move || {
            let _operation = operation;
            run()
        })
    }
}

/// Waits for an operation, no longer than [`ANSWER_TIMEOUT`]. If it ends later, what it wrote goes with it.
async fn answer<T>(operation: JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    match timeout(ANSWER_TIMEOUT, operation).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => Err(StoreError::Failed(io::Error::other(error))),
        Err(Elapsed { .. }) => Err(StoreError::Slow(ANSWER_TIMEOUT)),
    }
}

/// An object that is being written. Dropped before it is finished, nothing of it stays.
#[derive(Debug)]
pub struct Writing {
    spool: Spool,
    state: State,
    /// What is not written yet.
    buffer: Vec<u8>,
    /// Of what was handed over to be written.
    hasher: Box<blake3::Hasher>,
}

#[derive(Debug)]
enum State {
    /// No write is under way.
    Idle(Part),
    /// A buffer is being written.
    Busy(HandedOver<Part>),
    /// A write failed, and what was there is gone.
    Failed,
}

/// A buffer at a blocking thread, and what comes of it there.
#[derive(Debug)]
struct HandedOver<T> {
    operation: JoinHandle<Result<T, StoreError>>,
    buffer: Arc<Vec<u8>>,
}

impl Writing {
    /// Takes the next bytes of the object. It waits only where the disk is behind by a whole buffer.
    ///
    /// # Errors
    /// When an earlier write failed: then the object is gone.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        loop {
            let room = buffers::LENGTH - self.buffer.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.buffer.extend_from_slice(now);
            if later.is_empty() {
                return Ok(());
            }
            let part = self.settled().await?;
            let full = mem::replace(&mut self.buffer, self.spool.0.buffers.take());
            self.state = State::Busy(self.hand_over(part, full, Ok));
            bytes = later;
        }
    }

    /// Writes what is left, syncs the file, gives it its name and syncs the folder.
    ///
    /// # Errors
    /// When any of that fails: then nothing of the object stays.
    pub async fn finish(mut self) -> Result<Spooled, StoreError> {
        let part = self.settled().await?;
        let last = mem::take(&mut self.buffer);
        let finished = self.hand_over(part, last, Part::finish);
        let blake3 = self.hasher.finalize().to_hex().to_string();
        let named = self.taken_back(finished).await?;
        Ok(named.with_hash(blake3))
    }

    /// Has a buffer written by a blocking thread, which does `then` after that, and hashes it meanwhile.
    fn hand_over<T: Send + 'static>(
        &mut self,
        mut part: Part,
        buffer: Vec<u8>,
        then: impl FnOnce(Part) -> Result<T, StoreError> + Send + 'static,
    ) -> HandedOver<T> {
        let buffer = Arc::new(buffer);
        let bytes = buffer.clone();
        let operation = self.spool.start(move || {
            part.append(&bytes)?;
            drop(bytes);
            then(part)
        });
        self.hasher.update(&buffer);
        HandedOver { operation, buffer }
    }

    /// Waits for what came of a buffer, which can be filled again then.
    async fn taken_back<T>(&self, handed_over: HandedOver<T>) -> Result<T, StoreError> {
        let HandedOver { operation, buffer } = handed_over;
        let ended = answer(operation).await?;
        if let Some(buffer) = Arc::into_inner(buffer) {
            self.spool.0.buffers.give(buffer);
        }
        Ok(ended)
    }

    /// Waits for the write that is under way.
    async fn settled(&mut self) -> Result<Part, StoreError> {
        match mem::replace(&mut self.state, State::Failed) {
            State::Idle(part) => Ok(part),
            State::Busy(write) => self.taken_back(write).await,
            State::Failed => Err(StoreError::Failed(io::Error::other("an earlier write failed"))),
        }
    }
}

/// An object that is on disk under its name. Dropped before it is kept, it is removed.
#[derive(Debug)]
pub struct Spooled {
    object: StoredObject,
    path: Option<PathBuf>,
}

impl Spooled {
    /// Its hash is not known to who wrote it.
    fn named(key: String, bytes: u64, path: &Path) -> Self {
        let object = StoredObject { key, bytes, blake3: String::new() };
        Self { object, path: Some(path.to_owned()) }
    }

    fn with_hash(mut self, blake3: String) -> Self {
        self.object.blake3 = blake3;
        self
    }

    /// What an event says of it.
    #[must_use]
    pub fn object(&self) -> &StoredObject {
        &self.object
    }

    /// Keeps it, whatever happens: from now on an event may name it.
    #[must_use]
    pub fn keep(mut self) -> StoredObject {
        self.path = None;
        self.object.clone()
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            removal::remove(path, None);
        }
    }
}

#[cfg(test)]
mod tests;
