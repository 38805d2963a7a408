//! Removing from a bucket what nothing names any more. It needs no list of the bucket: what a revision has is in its manifest.

use super::bucket::Bucket;
use super::failure::BucketError;
use crate::files::OBJECTS;
use crate::removing::{is_folder, is_object, no_place};
use crate::series_folder::MANIFEST;
use crate::{Removal, Removed};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use std::io;

/// Requests at one time.
const AT_ONCE: usize = 16;

/// What of a manifest is beside it: the files of a series folder that was copied into the bucket. Other objects are removed
/// by their own keys.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Beside {
    instances: Vec<File>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    #[serde(default)]
    file: String,
}

/// Removes objects and manifests of a bucket. Clones share connections.
#[derive(Debug, Clone)]
pub struct BucketRemover(Bucket);

impl BucketRemover {
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self(bucket)
    }

    /// Removes what can be removed. Gives what came of each.
    ///
    /// # Errors
    /// When the bucket does not work.
    pub(crate) async fn remove(
        &self,
        removals: &[Removal],
    ) -> io::Result<Vec<io::Result<Removed>>> {
        // Of a bucket that is not there all is missing, and nothing is gone.
        self.0.probe(&format!("{OBJECTS}/probe")).await?;
        // All successors before anything goes: one may be to be removed as well.
        let checked = stream::iter(removals).map(|it| self.check_successor(it)).buffered(AT_ONCE);
        let checked: Vec<_> = checked.collect().await;
        let removed = stream::iter(removals.iter().zip(checked))
            .map(|(it, checked)| async move {
                checked?;
                match it.is_folder {
                    true => self.remove_folder(&it.place).await,
                    false => self.remove_object(&it.place).await,
                }
            })
            .buffered(AT_ONCE);
        Ok(removed.collect().await)
    }

    async fn check_successor(&self, removal: &Removal) -> io::Result<()> {
        let Some((key, _)) = &removal.successor else { return Ok(()) };
        removal.check_successor(self.length(key).await?)
    }

    async fn length(&self, key: &str) -> Result<Option<u64>, BucketError> {
        match self.0.length(key).await {
            Err(BucketError::Missing) => Ok(None),
            found => found.map(Some),
        }
    }

    async fn remove_object(&self, key: &str) -> io::Result<Removed> {
        if !is_object(key) {
            return Err(no_place(key));
        }
        if self.length(key).await?.is_none() {
            return Ok(Removed::WasGone);
        }
        self.0.remove(key).await?;
        Ok(Removed::Gone)
    }

    /// The manifest goes last: while it is there a further try finds what is beside it.
    async fn remove_folder(&self, place: &str) -> io::Result<Removed> {
        if !is_folder(place) {
            return Err(no_place(place));
        }
        let manifest = format!("{place}/{MANIFEST}");
        let Some(json) = self.0.read_all(&manifest).await? else { return Ok(Removed::WasGone) };
        let beside = serde_json::from_slice::<Beside>(&json)?.instances.into_iter();
        let files = beside.map(|it| it.file).filter(|it| it.ends_with(".dcm") && !it.contains('/'));
        let removed = stream::iter(files)
            .map(|file| async move { self.0.remove(&format!("{place}/{file}")).await })
            .buffer_unordered(AT_ONCE);
        let removed: Vec<_> = removed.collect().await;
        removed.into_iter().collect::<Result<(), _>>()?;
        self.0.remove(&manifest).await?;
        Ok(Removed::Gone)
    }
}
