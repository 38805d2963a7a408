//! Objects as they are read, wherever the store is: by their key, a range of bytes at a time.
//!
//! Nothing here reads an object whole. Files are read on blocking threads, a limited number at a time: a file system that
//! does not answer holds up who reads from it, and nobody else.

use crate::files::path_of;
use crate::s3::{Bucket, BucketObject};
use crate::{S3Settings, StoreUrl};
use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{error::Elapsed, timeout};

/// The most that is read at a time: long enough for a disk to be fast, and what a reader holds.
pub const CHUNK: usize = 128 * 1024;

/// How long the file system may take for one answer: as long as for a write.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads at one time. Each takes a thread, which one that is never answered keeps.
const READS: usize = 64;

/// The objects of a store, to be read. Clones share it.
#[derive(Debug, Clone)]
pub struct Objects {
    place: Place,
    reads: Arc<Semaphore>,
}

/// Where objects are.
#[derive(Debug, Clone)]
enum Place {
    Folder(Arc<Path>),
    Bucket(Bucket),
}

/// An object can't be read. The text names neither the folder nor the key.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is no object of that key.
    #[error("the instance store has no such file")]
    Missing,
    /// What is there has another length than it should.
    #[error("a file of the instance store has {is} bytes instead of {should_be}")]
    OtherLength {
        /// The length that it has.
        is: u64,
        /// The length that the catalogue has of it.
        should_be: u64,
    },
    /// It has fewer bytes than it had when it was opened.
    #[error("a file of the instance store ends before its length")]
    CutShort,
    /// The key is none: it could lead out of the store.
    #[error("the key of an instance is no path in the instance store")]
    BadKey,
    /// The file system does not answer.
    #[error("the instance store did not answer within {}", humantime::format_duration(*.0))]
    Slow(Duration),
    /// The bucket can't be reached.
    #[error("the instance store can't be reached")]
    Unreachable,
    /// The store refuses.
    #[error("the instance store can't be read: {}", .0.kind())]
    Failed(#[source] io::Error),
}

impl From<ObjectError> for io::Error {
    fn from(error: ObjectError) -> Self {
        Self::other(error)
    }
}

impl Objects {
    /// Those of the store at `url`, if there is one. Nothing is looked at yet.
    ///
    /// # Errors
    /// When a setting of S3 is missing or wrong.
    pub fn open(url: &StoreUrl, s3: &S3Settings) -> anyhow::Result<Option<Self>> {
        Ok(match url {
            StoreUrl::None => None,
            StoreUrl::Folder(folder) => Some(Self::in_folder(folder)),
            StoreUrl::Bucket(place) => Some(Self::at(Place::Bucket(Bucket::new(place, s3)?))),
        })
    }

    /// Those of the store in a folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self::at(Place::Folder(folder.into()))
    }

    fn at(place: Place) -> Self {
        Self { place, reads: Arc::new(Semaphore::new(READS)) }
    }

    /// Opens the object `key`, which has to be `bytes` long.
    ///
    /// # Errors
    /// When it is not there, has another length, or can't be read.
    pub async fn object(&self, key: &str, bytes: u64) -> Result<Object, ObjectError> {
        let folder = match &self.place {
            Place::Folder(folder) => folder,
            Place::Bucket(bucket) => {
                let object = BucketObject::open(bucket, key, bytes).await?;
                let content = Content::Object(object);
                return Ok(Object { content, length: bytes, reads: self.reads.clone() });
            }
        };
        let path = path_of(folder, key).ok_or(ObjectError::BadKey)?;
        let file = answer(&self.reads, move || open_file(&path)).await?;
        let (file, is) = file?;
        if is != bytes {
            return Err(ObjectError::OtherLength { is, should_be: bytes });
        }
        Ok(Object {
            content: Content::File(Arc::new(file)),
            length: bytes,
            reads: self.reads.clone(),
        })
    }
}

/// An object that is open. It stays readable when its name goes. Clones share it.
#[derive(Debug, Clone)]
pub struct Object {
    content: Content,
    length: u64,
    reads: Arc<Semaphore>,
}

/// What is read.
#[derive(Debug, Clone)]
enum Content {
    File(Arc<File>),
    Object(BucketObject),
}

#[allow(clippy::len_without_is_empty, reason = "none is empty")]
impl Object {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// The first bytes of a range, [`CHUNK`] at most. Empty at the end of the range.
    ///
    /// # Errors
    /// When they can't be read, or the object is shorter than it was.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let left = range.end.saturating_sub(range.start);
        let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let file = match &self.content {
            Content::File(file) => file.clone(),
            Content::Object(object) => {
                let mut bytes = object.read(range).await?;
                bytes.truncate(length);
                return Ok(bytes);
            }
        };
        answer(&self.reads, move || {
            let mut buffer = vec![0; length];
            match file.read_exact_at(&mut buffer, range.start) {
                Ok(()) => Ok(Bytes::from(buffer)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Err(ObjectError::CutShort)
                }
                Err(error) => Err(ObjectError::Failed(error)),
            }
        })
        .await?
    }

    /// Does something with the object that reads it piece by piece, on a thread that may wait for it.
    ///
    /// # Errors
    /// When the store does not answer in time.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ObjectError> {
        answer(&self.reads, work).await
    }

    /// A reader from its beginning, for threads that may wait.
    #[must_use]
    pub fn reader(&self) -> ObjectReader {
        ObjectReader { object: self.clone(), position: 0 }
    }
}

/// Reads an object from a place on, on a thread that may wait.
#[derive(Debug)]
pub struct ObjectReader {
    object: Object,
    position: u64,
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.object.length.saturating_sub(self.position);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if length == 0 {
            return Ok(0);
        }
        let read = match &self.object.content {
            Content::File(file) => file.read_at(&mut buffer[..length], self.position)?,
            Content::Object(object) => {
                let range = self.position..self.position + length as u64;
                let bytes = Handle::current().block_on(object.read(range))?;
                buffer[..bytes.len()].copy_from_slice(&bytes);
                bytes.len()
            }
        };
        if read == 0 {
            return Err(ObjectError::CutShort.into());
        }
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.object.length.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Waits for what a blocking thread does, no longer than [`ANSWER_TIMEOUT`]. The thread counts among [`READS`] until it
/// has ended.
async fn answer<T: Send + 'static>(
    reads: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ObjectError> {
    let waited = timeout(ANSWER_TIMEOUT, async {
        let turn: OwnedSemaphorePermit =
            reads.clone().acquire_owned().await.map_err(io::Error::other)?;
        spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(io::Error::other)
    });
    match waited.await {
        Ok(done) => done.map_err(ObjectError::Failed),
        Err(Elapsed { .. }) => Err(ObjectError::Slow(ANSWER_TIMEOUT)),
    }
}

/// Opens a file and looks at its length. What is no file, such as a pipe, could hold the thread up for ever.
fn open_file(path: &Path) -> Result<(File, u64), ObjectError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ObjectError::Missing,
        _ => ObjectError::Failed(error),
    };
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(ObjectError::Missing);
    }
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn store() -> (tempfile::TempDir, Objects) {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(folder.path());
        (folder, objects)
    }

    #[tokio::test]
    async fn an_object_is_read_by_ranges_and_from_a_place_on() {
        let (folder, objects) = store();
        fs::create_dir_all(folder.path().join("spool/node")).unwrap();
        let content: Vec<u8> = (0..300_000u32).map(|it| it as u8).collect();
        fs::write(folder.path().join("spool/node/a.dcm"), &content).unwrap();
        let object = objects.object("spool/node/a.dcm", 300_000).await.unwrap();
        let (mut read, mut at) = (Vec::new(), 0);
        loop {
            let bytes = object.read(at..object.len()).await.unwrap();
            if bytes.is_empty() {
                break;
            }
            assert!(bytes.len() <= CHUNK);
            at += bytes.len() as u64;
            read.extend_from_slice(&bytes);
        }
        assert!(read == content);
        assert_eq!(object.read(7..9).await.unwrap(), [7, 8][..]);
        assert_eq!(object.read(7..7).await.unwrap(), [][..]);
        let mut reader = object.reader();
        reader.seek(SeekFrom::End(-2)).unwrap();
        let mut end = Vec::new();
        reader.read_to_end(&mut end).unwrap();
        assert_eq!(end, content[299_998..]);
    }

    #[tokio::test]
    async fn one_that_is_missing_or_has_another_length_is_none() {
        let (folder, objects) = store();
        fs::write(folder.path().join("a.dcm"), [1; 100]).unwrap();
        fs::create_dir(folder.path().join("b.dcm")).unwrap();
        let opened = objects.object("a.dcm", 99).await;
        assert!(matches!(opened, Err(ObjectError::OtherLength { is: 100, should_be: 99 })));
        for key in ["c.dcm", "b.dcm", "a.dcm/b"] {
            assert!(matches!(objects.object(key, 100).await, Err(ObjectError::Missing)), "{key}");
        }
        let object = objects.object("a.dcm", 100).await.unwrap();
        File::options().write(true).open(folder.path().join("a.dcm")).unwrap().set_len(50).unwrap();
        assert!(matches!(object.read(0..100).await, Err(ObjectError::CutShort)));
        let error = object.reader().read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("ends before"), "{error}");
    }

    #[tokio::test]
    async fn no_key_leads_out_of_the_store() {
        let (folder, objects) = store();
        fs::write(folder.path().join("a.dcm"), [1]).unwrap();
        let absolute = folder.path().join("a.dcm").display().to_string();
        for key in [
            "",
            "/",
            ".",
            "..",
            "../a.dcm",
            "x/../a.dcm",
            "./a.dcm",
            "a.dcm/",
            "x//a.dcm",
            "/a.dcm",
            "a.dcm\0",
            &absolute,
        ] {
            assert!(matches!(objects.object(key, 1).await, Err(ObjectError::BadKey)), "{key:?}");
        }
    }
}
