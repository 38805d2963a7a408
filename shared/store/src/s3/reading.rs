//! An object of the bucket as it is read: by requests for ranges, which get longer where it is read from one end to the other.

use super::bucket::Bucket;
use super::failure::BucketError;
use crate::ObjectError;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Mutex;

/// What is asked for first: the whole header of most instances.
const FIRST: u64 = 128 * 1024;

/// The most that is asked for at a time, and what a reader holds. An answer takes some 30 ms whatever its length.
const MOST: u64 = 1024 * 1024;

/// An object that was there, and the part of it that was read last. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct BucketObject {
    bucket: Bucket,
    key: Arc<str>,
    length: u64,
    window: Arc<Mutex<Window>>,
}

/// A part of an object.
#[derive(Debug)]
struct Window {
    start: u64,
    bytes: Bytes,
    /// What was asked for.
    asked: u64,
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The first bytes of a range, if they are in it.
    fn within(&self, range: &Range<u64>) -> Option<Bytes> {
        let is_within = (self.start..self.end()).contains(&range.start);
        let place = |at: u64| usize::try_from(at - self.start).ok();
        let (start, end) = (range.start, range.end.min(self.end()));
        is_within.then(|| Some(self.bytes.slice(place(start)?..place(end)?))).flatten()
    }
}

impl BucketObject {
    /// Opens the object `key`, which has to be `length` long, by reading its beginning.
    pub(crate) async fn open(bucket: &Bucket, key: &str, length: u64) -> Result<Self, ObjectError> {
        let (bytes, is) = bucket.read(key, 0..FIRST.min(length.max(1))).await?;
        if is != length {
            return Err(ObjectError::OtherLength { is, should_be: length });
        }
        let window = Arc::new(Mutex::new(Window { start: 0, bytes, asked: FIRST }));
        Ok(Self { bucket: bucket.clone(), key: key.into(), length, window })
    }

    /// The first bytes of a range within the object that is not empty.
    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let mut window = self.window.lock().await;
        if let Some(bytes) = window.within(&range) {
            return Ok(bytes);
        }
        let asked = match range.start == window.end() {
            true => (window.asked * 2).min(MOST),
            false => FIRST,
        };
        let end = (range.start + asked).min(self.length);
        if end <= range.start {
            return Err(ObjectError::CutShort);
        }
        let (bytes, length) = self.bucket.read(&self.key, range.start..end).await?;
        if length != self.length || bytes.is_empty() {
            return Err(ObjectError::CutShort);
        }
        *window = Window { start: range.start, bytes, asked };
        window.within(&range).ok_or(ObjectError::CutShort)
    }
}

impl From<BucketError> for ObjectError {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::Missing => Self::Missing,
            BucketError::Slow(limit) => Self::Slow(limit),
            BucketError::Unreachable(_) => Self::Unreachable,
            refused @ BucketError::Refused { .. } => Self::Failed(refused.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_what_lies_within_it() {
        let window = Window { start: 10, bytes: Bytes::from_static(b"abcde"), asked: 5 };
        assert_eq!(window.within(&(10..12)).unwrap(), "ab");
        assert_eq!(window.within(&(14..99)).unwrap(), "e");
        assert_eq!((window.within(&(9..12)), window.within(&(15..16))), (None, None));
    }
}
