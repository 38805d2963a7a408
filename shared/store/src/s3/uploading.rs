//! What a receiver writes into the bucket: each instance an object. A small one is one request; a longer one is uploaded in
//! parts, one while the next one fills.

use super::bucket::{Bucket, answer};
use super::failure::BucketError;
use crate::StoreError;
use crate::files::OBJECTS;
use crate::spool::node_folder;
use contract::event::StoredObject;
use object_store::{MultipartUpload, PutPayload, PutPayloadMut};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Length of a part in bytes, the shortest that S3 takes. An instance that is longer has two in memory. An object has
/// 10,000 parts at most, so an instance may have 48 GiB.
const PART: usize = 5 * 1024 * 1024;

/// Memory that is taken at a time: most instances need far less than a part.
const BLOCK: usize = 128 * 1024;

/// Tries to remove what is left of an object that is not stored.
const REMOVALS: u32 = 10;

/// First and longest pause between them.
const REMOVAL_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The objects that one receiver writes. Clones share it.
#[derive(Debug, Clone)]
pub struct Uploads(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bucket: Bucket,
    /// What all its keys begin with.
    folder: String,
    /// Why the last thing that was asked of the bucket failed, if it did.
    outage: Mutex<Option<BucketError>>,
}

impl Uploads {
    /// Of the receiver `node_name`. Nothing is asked of the bucket yet.
    pub(crate) fn new(bucket: Bucket, node_name: &str) -> Self {
        let (folder, outage) = (node_folder(OBJECTS, node_name), Mutex::default());
        Self(Arc::new(Shared { bucket, folder, outage }))
    }

    /// Begins an object, whose first bytes are `head`. Nothing is sent yet.
    ///
    /// # Errors
    /// While the bucket does not work. A probe tells when it works again.
    pub(crate) fn begin(
        &self,
        association: &str,
        ordinal: u64,
        head: &[u8],
    ) -> Result<Upload, StoreError> {
        if let Some(error) = self.outage().clone() {
            return Err(error.into());
        }
        let mut upload = Upload {
            uploads: self.clone(),
            key: format!("{}/{association}-{ordinal}.dcm", self.0.folder),
            buffer: PutPayloadMut::new().with_block_size(BLOCK),
            hasher: Box::default(),
            bytes: 0,
            state: State::Unsent,
        };
        upload.take(head);
        Ok(upload)
    }

    /// Removes an object that no event names. A failure is logged.
    pub(crate) fn remove(&self, object: &StoredObject) {
        self.clean_up(object.key.clone(), None);
    }

    /// Whether objects can be written and removed again.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        let key = format!("{}/probe", self.0.folder);
        self.seen(self.0.bucket.probe(&key).await)?;
        *self.outage() = None;
        Ok(())
    }

    /// Looks at what came of a request: while the bucket does not work, further instances are refused before they come.
    fn seen<T>(&self, result: Result<T, BucketError>) -> Result<T, StoreError> {
        result.map_err(|error| {
            *self.outage() = Some(error.clone());
            error.into()
        })
    }

    fn outage(&self) -> std::sync::MutexGuard<'_, Option<BucketError>> {
        self.0.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what may be there of an object, in the background, and tries again for some minutes.
    fn clean_up(&self, key: String, parts: Option<Parts>) {
        let Ok(runtime) = Handle::try_current() else { return };
        let bucket = self.0.bucket.clone();
        runtime.spawn(async move {
            let mut parts = parts;
            if let Some(Parts { sending: Some(sending), .. }) = &mut parts {
                // A part that arrives after the upload was given up would stay.
                sending.abort();
                let _ = sending.await;
            }
            let mut pause = REMOVAL_PAUSE.0;
            for number in 1.. {
                let aborted = match &mut parts {
                    // It is gone once it was completed or given up.
                    Some(parts) => match answer(parts.upload().abort()).await {
                        Err(BucketError::Missing | BucketError::Refused { .. }) | Ok(()) => Ok(()),
                        failed => failed,
                    },
                    None => Ok(()),
                };
                let removed = match aborted {
                    Ok(()) => bucket.remove(&key).await,
                    failed => failed,
                };
                match removed {
                    Ok(()) => return,
                    Err(error) if number == REMOVALS => {
                        tracing::warn!(%error, "an object of the instance store can't be removed: {key}");
                        return;
                    }
                    Err(_) => sleep(pause).await,
                }
                pause = (pause * 2).min(REMOVAL_PAUSE.1);
            }
        });
    }
}

/// An object that is being sent. Dropped before it is finished, nothing of it stays.
#[derive(Debug)]
pub struct Upload {
    uploads: Uploads,
    key: String,
    /// What is not sent yet, a part at most.
    buffer: PutPayloadMut,
    hasher: Box<blake3::Hasher>,
    bytes: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing was sent.
    Unsent,
    /// Parts were sent.
    InParts(Parts),
    /// All was sent, and whether it is there is not certain.
    Sent,
    /// It is there, or nothing has to be removed.
    Done,
}

/// The upload of an object in parts.
#[derive(Debug)]
struct Parts {
    /// In a mutex that nobody locks: it is no `Sync`, and what is received is.
    upload: Mutex<Box<dyn MultipartUpload>>,
    /// The part that is under way.
    sending: Option<JoinHandle<Result<(), BucketError>>>,
}

impl Parts {
    fn upload(&mut self) -> &mut dyn MultipartUpload {
        &mut **self.upload.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the next part once the one before has arrived.
    async fn send(&mut self, part: PutPayload) -> Result<(), BucketError> {
        self.settle().await?;
        self.sending = Some(tokio::spawn(answer(self.upload().put_part(part))));
        Ok(())
    }

    /// Waits for the part that is under way.
    async fn settle(&mut self) -> Result<(), BucketError> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        let sent = sending.await;
        self.sending = None;
        sent.unwrap_or_else(|error| Err(BucketError::Unreachable(error.to_string())))
    }
}

impl Upload {
    /// Takes the next bytes. It waits only where the bucket is behind by a whole part.
    ///
    /// # Errors
    /// When the bucket does not take an earlier part: then the object is gone.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        loop {
            let room = PART - self.buffer.content_length();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.take(now);
            if later.is_empty() {
                return Ok(());
            }
            let sent = self.send_part().await;
            self.uploads.clone().seen(sent)?;
            bytes = later;
        }
    }

    /// Sends what is left, and makes it an object.
    ///
    /// # Errors
    /// When that fails: then nothing of it stays.
    pub(crate) async fn finish(mut self) -> Result<Uploaded, StoreError> {
        let finished = self.complete().await;
        let uploads = self.uploads.clone();
        uploads.seen(finished)?;
        self.state = State::Done;
        let object = StoredObject {
            key: mem::take(&mut self.key),
            bytes: self.bytes,
            blake3: self.hasher.finalize().to_hex().to_string(),
        };
        Ok(Uploaded { uploads, object, is_kept: false })
    }

    fn take(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn take_buffer(&mut self) -> PutPayload {
        let empty = PutPayloadMut::new().with_block_size(BLOCK);
        mem::replace(&mut self.buffer, empty).freeze()
    }

    async fn send_part(&mut self) -> Result<(), BucketError> {
        if let State::Unsent = self.state {
            let upload = self.uploads.0.bucket.put_multipart(&self.key).await?;
            self.state = State::InParts(Parts { upload: Mutex::new(upload), sending: None });
        }
        let part = self.take_buffer();
        match &mut self.state {
            State::InParts(parts) => parts.send(part).await,
            _ => Ok(()),
        }
    }

    async fn complete(&mut self) -> Result<(), BucketError> {
        let last = self.take_buffer();
        match &mut self.state {
            State::InParts(parts) => {
                parts.send(last).await?;
                parts.settle().await?;
                answer(parts.upload().complete()).await.map(drop)
            }
            _ => {
                self.state = State::Sent;
                self.uploads.0.bucket.put(&self.key, last).await
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let parts = match mem::replace(&mut self.state, State::Done) {
            State::Unsent | State::Done => return,
            State::InParts(parts) => Some(parts),
            State::Sent => None,
        };
        self.uploads.clean_up(mem::take(&mut self.key), parts);
    }
}

/// An object that is in the bucket. Dropped before it is kept, it is removed.
#[derive(Debug)]
pub struct Uploaded {
    uploads: Uploads,
    object: StoredObject,
    is_kept: bool,
}

impl Uploaded {
    /// What an event says of it.
    pub(crate) fn object(&self) -> &StoredObject {
        &self.object
    }

    /// Keeps it, whatever happens: from now on an event may name it.
    pub(crate) fn keep(mut self) -> StoredObject {
        self.is_kept = true;
        self.object.clone()
    }
}

impl Drop for Uploaded {
    fn drop(&mut self) {
        if !self.is_kept {
            self.uploads.remove(&self.object);
        }
    }
}
