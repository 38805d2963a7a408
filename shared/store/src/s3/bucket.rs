//! The bucket: what is asked of it, each in bounded time.

use super::connector::Connector;
use super::failure::BucketError;
use super::settings::{BucketPlace, S3Settings};
use anyhow::Context as _;
use bytes::Bytes;
use object_store::ObjectStore as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    BackoffConfig, GetOptions, GetRange, MultipartUpload, ObjectStoreExt as _, PutPayload,
    RetryConfig,
};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{error::Elapsed, timeout};

/// How long the bucket may take for one thing that is asked of it, repetitions included: as long as a file system.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What is tried again: answers of 5xx, and connections that break.
const RETRIES: usize = 3;

/// First and longest pause before that.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A bucket, below a prefix. Clones share connections.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    s3: Arc<AmazonS3>,
    place: Arc<BucketPlace>,
}

impl Bucket {
    /// That of the settings. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When a setting is missing or wrong, or a file can't be read.
    pub(crate) fn new(place: &BucketPlace, settings: &S3Settings) -> anyhow::Result<Self> {
        let access = settings.read()?;
        let is_secure = !access.endpoint.as_deref().is_some_and(|it| it.starts_with("http:"));
        let backoff =
            BackoffConfig { init_backoff: PAUSE.0, max_backoff: PAUSE.1, ..Default::default() };
        let mut builder = AmazonS3Builder::new()
            .with_http_connector(Connector::new(is_secure).context("STORE_URL")?)
            .with_bucket_name(place.bucket())
            .with_region(access.region)
            .with_access_key_id(access.access_key_id)
            .with_secret_access_key(access.secret_access_key)
            .with_allow_http(!is_secure)
            .with_retry(RetryConfig {
                backoff,
                max_retries: RETRIES,
                retry_timeout: ANSWER_TIMEOUT,
            });
        if let Some(endpoint) = access.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(token) = access.session_token {
            builder = builder.with_token(token);
        }
        let s3 = builder.build().context("STORE_URL")?;
        Ok(Self { s3: Arc::new(s3), place: Arc::new(place.clone()) })
    }

    /// Writes an object of one piece. It is there whole or not at all.
    pub(super) async fn put(&self, key: &str, payload: PutPayload) -> Result<(), BucketError> {
        let path = self.path(key)?;
        answer(self.s3.put(&path, payload)).await.map(drop)
    }

    /// Begins an object of several pieces, which is there once it is completed.
    pub(super) async fn put_multipart(
        &self,
        key: &str,
    ) -> Result<Box<dyn MultipartUpload>, BucketError> {
        let path = self.path(key)?;
        answer(self.s3.put_multipart(&path)).await
    }

    /// A range of an object that is not empty, and the length of the whole object. The range may end before.
    pub(super) async fn read(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<(Bytes, u64), BucketError> {
        let path = self.path(key)?;
        let range = Some(GetRange::Bounded(range));
        answer(async {
            let found = self.s3.get_opts(&path, GetOptions { range, ..Default::default() }).await?;
            let length = found.meta.size;
            Ok((found.bytes().await?, length))
        })
        .await
    }

    /// The whole of a small object, if it is there.
    pub(super) async fn read_all(&self, key: &str) -> Result<Option<Bytes>, BucketError> {
        let path = self.path(key)?;
        match answer(async { self.s3.get(&path).await?.bytes().await }).await {
            Err(BucketError::Missing) => Ok(None),
            read => read.map(Some),
        }
    }

    /// The length of an object.
    pub(super) async fn length(&self, key: &str) -> Result<u64, BucketError> {
        let path = self.path(key)?;
        answer(self.s3.head(&path)).await.map(|found| found.size)
    }

    /// Removes an object, if it is there.
    pub(super) async fn remove(&self, key: &str) -> Result<(), BucketError> {
        let path = self.path(key)?;
        match answer(self.s3.delete(&path)).await {
            Err(BucketError::Missing) => Ok(()),
            removed => removed,
        }
    }

    /// Whether objects can be written and removed.
    pub(super) async fn probe(&self, key: &str) -> Result<(), BucketError> {
        self.put(key, PutPayload::from_static(b"probe")).await?;
        self.remove(key).await
    }

    fn path(&self, key: &str) -> Result<Path, BucketError> {
        let key = self.place.key(key).ok_or(BucketError::Missing)?;
        Path::parse(key).map_err(|_| BucketError::Missing)
    }
}

/// Waits for an answer, no longer than [`ANSWER_TIMEOUT`].
pub(super) async fn answer<T>(
    request: impl Future<Output = object_store::Result<T>>,
) -> Result<T, BucketError> {
    match timeout(ANSWER_TIMEOUT, request).await {
        Ok(answered) => answered.map_err(BucketError::from),
        Err(Elapsed { .. }) => Err(BucketError::slow()),
    }
}
