//! What a store is, whatever it is kept in. This is the one place where a backend is chosen: a folder of a file system, or a
//! bucket of S3. Each has the same verbs.

use crate::s3::{Bucket, BucketRemover, Manifests, Upload, Uploaded, Uploads};
use crate::{KeepError, Removal, Removed, RevisionToKeep, SeriesFolder};
use crate::{StoreError, StoreSettings, StoreUrl};
use crate::{removing, series_folder, spool};
use anyhow::Context as _;
use bytesize::ByteSize;
use contract::event::StoredObject;
use std::io;
use tokio::task::spawn_blocking;

/// The part of the store that one receiver writes. Clones share it.
#[derive(Debug, Clone)]
pub enum Spool {
    /// In a folder.
    Folder(spool::Spool),
    /// In a bucket.
    Bucket(Uploads),
}

impl Spool {
    /// Opens the part of the receiver `node_name` in the store that the settings name, if they name one, and sees that it
    /// can be written.
    ///
    /// # Errors
    /// When it can't be used.
    pub async fn open(settings: &StoreSettings, node_name: &str) -> anyhow::Result<Option<Self>> {
        match settings.store_url.clone() {
            StoreUrl::None => Ok(None),
            StoreUrl::Folder(root) => {
                let (reserve, node_name) = (settings.store_reserve, node_name.to_owned());
                let opened = move || spool::Spool::open(&root, reserve, &node_name);
                Ok(Some(Self::Folder(spawn_blocking(opened).await??)))
            }
            StoreUrl::Bucket(place) => {
                let uploads = Uploads::new(Bucket::new(&place, &settings.s3)?, node_name);
                let probed = uploads.probe().await;
                probed.with_context(|| format!("STORE_URL: {place} can't be used"))?;
                Ok(Some(Self::Bucket(uploads)))
            }
        }
    }

    /// Begins an object, whose first bytes are `head`. Nothing is written yet. Its name is made of the association, a
    /// UUID, and the number of the C-STORE in it.
    ///
    /// # Errors
    /// While the store does not answer.
    pub fn begin(
        &self,
        association: &str,
        ordinal: u64,
        head: &[u8],
    ) -> Result<Writing, StoreError> {
        Ok(match self {
            Self::Folder(spool) => Writing::File(spool.begin(association, ordinal, head)?),
            Self::Bucket(uploads) => Writing::Upload(uploads.begin(association, ordinal, head)?),
        })
    }

    /// Removes an object that no event names. A failure is logged.
    pub fn remove(&self, object: &StoredObject) {
        match self {
            Self::Folder(spool) => spool.remove(object),
            Self::Bucket(uploads) => uploads.remove(object),
        }
    }

    /// Whether it is known what is free: of a bucket nothing says it.
    #[must_use]
    pub fn has_free_space(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// What is free, the reserve included, where that is known.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub async fn free(&self) -> Result<Option<ByteSize>, StoreError> {
        match self {
            Self::Folder(spool) => spool.free().await.map(Some),
            Self::Bucket(_) => Ok(None),
        }
    }

    /// Whether objects can be written: what is written can be removed again.
    ///
    /// # Errors
    /// Why not.
    pub async fn probe(&self) -> Result<(), StoreError> {
        match self {
            Self::Folder(spool) => spool.probe().await,
            Self::Bucket(uploads) => uploads.probe().await,
        }
    }
}

/// An object that is being written. Dropped before it is finished, nothing of it stays.
#[derive(Debug)]
pub enum Writing {
    /// A file.
    File(spool::Writing),
    /// An object of a bucket.
    Upload(Upload),
}

impl Writing {
    /// Takes the next bytes of the object. It waits only where the store is behind by a whole buffer.
    ///
    /// # Errors
    /// When an earlier write failed: then the object is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::File(writing) => writing.write(bytes).await,
            Self::Upload(upload) => upload.write(bytes).await,
        }
    }

    /// Writes what is left, and has the object in the store for good.
    ///
    /// # Errors
    /// When that fails: then nothing of the object stays.
    pub async fn finish(self) -> Result<Spooled, StoreError> {
        Ok(match self {
            Self::File(writing) => Spooled::File(writing.finish().await?),
            Self::Upload(upload) => Spooled::Uploaded(upload.finish().await?),
        })
    }
}

/// An object that is in the store. Dropped before it is kept, it is removed.
#[derive(Debug)]
pub enum Spooled {
    /// On disk under its name.
    File(spool::Spooled),
    /// In a bucket.
    Uploaded(Uploaded),
}

impl Spooled {
    /// What an event says of it.
    #[must_use]
    pub fn object(&self) -> &StoredObject {
        match self {
            Self::File(spooled) => spooled.object(),
            Self::Uploaded(uploaded) => uploaded.object(),
        }
    }

    /// Keeps it, whatever happens: from now on an event may name it.
    #[must_use]
    pub fn keep(self) -> StoredObject {
        match self {
            Self::File(spooled) => spooled.keep(),
            Self::Uploaded(uploaded) => uploaded.keep(),
        }
    }
}

/// Where the revisions of series are kept. Clones share it.
#[derive(Debug, Clone)]
pub enum SeriesFolders {
    /// As folders with links to the files.
    Folders(series_folder::SeriesFolders),
    /// As manifests that name the objects.
    Manifests(Manifests),
}

impl SeriesFolders {
    /// Those of the store that the settings name, if they name one. Nothing is looked at yet.
    ///
    /// # Errors
    /// When a setting of the store is missing or wrong.
    pub fn of(settings: &StoreSettings) -> anyhow::Result<Option<Self>> {
        Ok(match &settings.store_url {
            StoreUrl::None => None,
            StoreUrl::Folder(_) => series_folder::SeriesFolders::of(settings).map(Self::Folders),
            StoreUrl::Bucket(place) => {
                Some(Self::Manifests(Manifests::new(Bucket::new(place, &settings.s3)?)))
            }
        })
    }

    /// Keeps a revision, unless it is kept already. In a folder it stops between two steps when it is told to; a bucket may
    /// be left at any time.
    ///
    /// # Errors
    /// When an object of it is missing, or the store refuses. Nothing is under its name then that was not there before.
    pub async fn keep(
        &self,
        revision: RevisionToKeep,
        is_stopped: impl Fn() -> bool + Send + 'static,
    ) -> Result<SeriesFolder, KeepError> {
        match self {
            Self::Folders(folders) => {
                let folders = folders.clone();
                let kept = spawn_blocking(move || folders.keep(&revision, is_stopped)).await;
                kept.unwrap_or_else(|error| Err(io::Error::other(error).into()))
            }
            Self::Manifests(manifests) => manifests.keep(&revision).await,
        }
    }

    /// Removes what keepers did not finish that ended before. Gives how much that was.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn remove_unfinished(&self) -> io::Result<u64> {
        match self {
            Self::Folders(folders) => {
                let folders = folders.clone();
                spawn_blocking(move || folders.remove_unfinished()).await?
            }
            // A manifest is one object.
            Self::Manifests(_) => Ok(0),
        }
    }
}

/// Removes from a store what nothing names any more. Clones share it.
#[derive(Debug, Clone)]
pub enum StoreRemover {
    /// From a folder.
    Folder(removing::StoreRemover),
    /// From a bucket.
    Bucket(BucketRemover),
}

impl StoreRemover {
    /// From the store that the settings name, if they name one. Nothing is looked at yet.
    ///
    /// # Errors
    /// When a setting of the store is missing or wrong.
    pub fn of(settings: &StoreSettings) -> anyhow::Result<Option<Self>> {
        Ok(match &settings.store_url {
            StoreUrl::None => None,
            StoreUrl::Folder(root) => Some(Self::Folder(removing::StoreRemover::of(root))),
            StoreUrl::Bucket(place) => {
                Some(Self::Bucket(BucketRemover::new(Bucket::new(place, &settings.s3)?)))
            }
        })
    }

    /// Removes what can be removed, for good. Gives what came of each, in their order.
    ///
    /// # Errors
    /// When the store is not there, or does not work.
    pub async fn remove(&self, removals: Vec<Removal>) -> io::Result<Vec<io::Result<Removed>>> {
        match self {
            Self::Folder(folder) => {
                let folder = folder.clone();
                spawn_blocking(move || folder.remove(&removals)).await?
            }
            Self::Bucket(bucket) => bucket.remove(&removals).await,
        }
    }
}
