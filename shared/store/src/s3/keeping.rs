//! A revision of a series in a bucket: a manifest that names the objects of its instances. It is one object, which is written
//! once all others are there, so whoever finds it finds the whole revision.

use super::bucket::Bucket;
use super::failure::BucketError;
use crate::series_folder::{MANIFEST, Manifest};
use crate::{KeepError, RevisionToKeep, SeriesFolder};
use contract::event::StoredObject;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

/// Objects that are looked at at one time.
const AT_ONCE: usize = 16;

/// The manifests of a bucket.
#[derive(Debug, Clone)]
pub struct Manifests(Bucket);

impl Manifests {
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self(bucket)
    }

    /// Writes the manifest of a revision, unless it is there. Dropped before it has ended, the manifest is there whole or not
    /// at all.
    ///
    /// # Errors
    /// When an object of it is missing, or the bucket refuses.
    pub(crate) async fn keep(&self, revision: &RevisionToKeep) -> Result<SeriesFolder, KeepError> {
        let manifest = Manifest::in_bucket(revision);
        let written = manifest.json();
        let folder = manifest.folder(&written);
        stream::iter(&manifest.objects)
            .map(|(_, object)| self.check(object))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        let failed = |error: BucketError| KeepError::Folder(error.into());
        let key = format!("{}/{MANIFEST}", folder.place);
        let found = self.0.read_all(&key).await.map_err(failed)?;
        if found.as_deref() == Some(&*written) {
            return Ok(folder);
        }
        if let Some(other) = found {
            self.put_aside(&folder.place, other).await.map_err(failed)?;
        }
        self.0.put(&key, written.into()).await.map_err(failed)?;
        Ok(folder)
    }

    /// Checks that an object is there, as long as its event says.
    async fn check(&self, object: &StoredObject) -> Result<(), KeepError> {
        let key = || object.key.clone();
        match self.0.length(&object.key).await {
            Ok(found) if found == object.bytes => Ok(()),
            Ok(found) => Err(KeepError::Length { key: key(), expected: object.bytes, found }),
            Err(BucketError::Missing) => Err(KeepError::Missing { key: key() }),
            Err(error) => Err(KeepError::File { key: key(), source: error.into() }),
        }
    }

    /// Keeps a manifest of another content, which is of an earlier catalogue, under the first name that is free of
    /// `<place>.replaced-1`, `-2` and so on.
    async fn put_aside(&self, place: &str, other: bytes::Bytes) -> Result<(), BucketError> {
        let mut number = 1;
        let aside = loop {
            let key = format!("{place}.replaced-{number}/{MANIFEST}");
            match self.0.length(&key).await {
                Ok(_) => number += 1,
                Err(BucketError::Missing) => break key,
                Err(error) => return Err(error),
            }
        };
        tracing::warn!("a manifest of another content was put aside: {aside}");
        self.0.put(&aside, other.into()).await
    }
}
