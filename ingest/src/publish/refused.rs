//! Why the broker does not store an event, for its sender and for whoever runs the broker.

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use shared::acknowledgements::{is_passing, jetstream_error};
use std::time::Duration;

/// What JetStream says of a stream that may not grow.
const FULL: &str = "maximum bytes exceeded";

/// The broker does not vouch for the event; its sender must keep the instance. What a sender is shown names
/// nothing of the broker's inside; [`PublishRefused::detail`] does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishRefused {
    /// Not in the time there was.
    #[error("NATS did not acknowledge within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// Nobody takes events: JetStream is turned off, as by a full disk, or INSTANCES is gone.
    #[error("NATS stores no events: {0}")]
    Nobody(&'static str),
    /// The event is larger than a message may be.
    #[error("the event does not fit a NATS message")]
    TooLarge,
    /// The broker had an event of this id before the first try: two events share an id.
    #[error("NATS holds another event of the same id")]
    Duplicate,
    /// INSTANCES is full.
    #[error("NATS refused: the stream is full")]
    Full,
    /// The broker says no, for example since it can't write to its disk.
    #[error("NATS refused the event{}", .code.map(|code| format!(" (error {})", code.0)).unwrap_or_default())]
    Refused {
        /// JetStream's number for the reason.
        code: Option<ErrorCode>,
        /// The reason, with paths and names of the broker's machine.
        detail: String,
    },
}

impl PublishRefused {
    /// What an error of the client means for the event.
    pub(crate) fn from_error(error: &PublishError) -> Self {
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => return Self::TooLarge,
            PublishErrorKind::StreamNotFound => return Self::Nobody("nobody takes them"),
            PublishErrorKind::BrokenPipe => return Self::Nobody("the connection is lost"),
            _ => {}
        }
        match jetstream_error(error) {
            Some(answer) if answer.to_string().contains(FULL) => Self::Full,
            Some(_) if is_passing(error) => Self::Nobody("the stream has no leader"),
            answer => Self::Refused {
                code: answer.map(jetstream::Error::error_code),
                detail: answer.map_or_else(|| error.to_string(), ToString::to_string),
            },
        }
    }

    /// What whoever runs the broker needs to know.
    #[must_use]
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Refused { detail, .. } => format!("NATS refused: {detail}"),
            other => other.to_string(),
        }
    }
}

/// Whether an event may be stored though its publish failed: all but where JetStream has said no for good, nobody took
/// the message, or it was never sent.
pub(crate) fn may_be_stored(error: &PublishError) -> bool {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded | PublishErrorKind::StreamNotFound => false,
        _ => jetstream_error(error).is_none() || is_passing(error),
    }
}
