//! Whether the broker acknowledges what is published: a server that is connected and answers may all the
//! same store nothing any more, and nobody but its publishers can tell.

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The acknowledgements that one publisher waits for. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Acknowledgements(Arc<Mutex<Option<Instant>>>);

impl Acknowledgements {
    /// The broker has answered a publish, be it with a refusal (see [`is_silence`]).
    pub fn arrived(&self) {
        *self.missing() = None;
    }

    /// It has not answered in time.
    pub fn missed(&self) {
        self.missing().get_or_insert_with(Instant::now);
    }

    /// For how long none has come, though some were waited for.
    #[must_use]
    pub fn missing_for(&self) -> Option<Duration> {
        self.missing().map(|since| since.elapsed())
    }

    fn missing(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether JetStream said nothing at all to a publish that failed: it hangs, or is turned off, as
/// nats-server does by itself when its disk is full.
#[must_use]
pub fn is_silence(error: &PublishError) -> bool {
    use PublishErrorKind::{BrokenPipe, StreamNotFound, TimedOut};
    matches!(error.kind(), TimedOut | BrokenPipe | StreamNotFound)
}

/// What JetStream answered to a publish that failed, if it answered with an error of its own.
#[must_use]
pub fn jetstream_error(error: &PublishError) -> Option<&jetstream::Error> {
    error.source()?.downcast_ref()
}

/// JetStream's error codes for what has no leader, or is being restored.
pub(crate) const LEADERLESS: [ErrorCode; 5] = [
    ErrorCode::CLUSTER_NOT_AVAILABLE,
    ErrorCode::CLUSTER_NOT_LEADER,
    ErrorCode::CLUSTER_NOT_ACTIVE,
    ErrorCode::STREAM_OFFLINE,
    ErrorCode::STREAM_OFFLINE_REASON,
];

/// Whether the same publish may succeed a moment later, without anybody doing anything: the stream has no
/// leader or is being restored, the connection is being made anew, an earlier try is still being stored. Status 503
/// alone is not enough: a full stream and a disk that can't be written have it too.
#[must_use]
pub fn is_passing(error: &PublishError) -> bool {
    is_silence(error)
        || jetstream_error(error).map(jetstream::Error::error_code).is_some_and(|code| {
            LEADERLESS.contains(&code) || code == ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_missing_from_the_first_that_is_missed_to_the_next_that_arrives() {
        let acknowledgements = Acknowledgements::default();
        assert_eq!(acknowledgements.missing_for(), None);
        acknowledgements.missed();
        let first = *acknowledgements.missing();
        acknowledgements.missed();
        assert_eq!(*acknowledgements.missing(), first);
        assert!(acknowledgements.clone().missing_for().is_some());
        acknowledgements.arrived();
        assert_eq!(acknowledgements.missing_for(), None);
    }
}
