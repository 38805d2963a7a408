//! Why an instance can't be kept.

use bytesize::ByteSize;
use rustix::io::Errno;
use std::io;
use std::time::Duration;

/// An instance can't be kept. What is shown to its sender names no folder.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system, or our share of it, has no room left.
    #[error("the instance store is full")]
    Full,
    /// What is left of the file system is for others.
    #[error("the instance store has {} free, less than STORE_RESERVE", .free.display().iec())]
    Reserved {
        /// What is free.
        free: ByteSize,
    },
    /// The file system does not answer.
    #[error("the instance store did not answer within {}", humantime::format_duration(*.0))]
    Slow(Duration),
    /// The file system refuses.
    #[error("the instance store fails: {}", .0.kind())]
    Failed(#[source] io::Error),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::Full,
            _ => Self::Failed(error),
        }
    }
}
