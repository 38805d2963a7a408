//! Why the broker does not store an event, for its sender and for whoever runs the broker.

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use shared::acknowledgements::{is_passing, jetstream_error};
use std::time::Duration;

/// What JetStream says of a stream that may not grow.
const FULL: &str = "maximum bytes exceeded";

/// What JetStream says of a limit of the stream, with the code that errors of its disk have too.
const LIMITS: [&str; 3] = [FULL, "maximum messages", "message too large"];

/// JetStream's codes for what it refuses before it writes a message.
const UNWRITTEN: [ErrorCode; 5] = [
    ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM,
    ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM,
    ErrorCode::STREAM_NOT_MATCH,
    ErrorCode::STREAM_SEALED,
    ErrorCode::STREAM_TOO_MANY_REQUESTS,
];

/// The broker does not vouch for the event; its sender must keep the instance. What a sender is shown names
/// nothing of the broker's inside; [`PublishRefused::detail`] does.
#[derive(Debug, Clone, thiserror::Error)]
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

/// Whether the event of one failed try may be stored: unless it was not sent, nobody took it, or JetStream refused it
/// before it wrote anything. Of other answers even an error proves nothing: one server of a cluster that can't write
/// answers with an error, while the others store the message.
pub(crate) fn may_be_stored(error: &PublishError) -> bool {
    use PublishErrorKind::{
        BrokenPipe, MaxAckPending, MaxPayloadExceeded, Other, StreamNotFound, TimedOut,
        WrongLastMessageId, WrongLastSequence,
    };
    match error.kind() {
        MaxPayloadExceeded | MaxAckPending | StreamNotFound => false,
        WrongLastMessageId | WrongLastSequence => false,
        TimedOut | BrokenPipe => true,
        Other => !jetstream_error(error).is_some_and(refuses_unwritten),
    }
}

/// Whether JetStream answers so only before it writes a message or has it replicated.
fn refuses_unwritten(answer: &jetstream::Error) -> bool {
    match answer.error_code() {
        ErrorCode::STREAM_STORE_FAILED => {
            LIMITS.iter().any(|limit| answer.to_string().contains(limit))
        }
        code => UNWRITTEN.contains(&code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: usize, code: u64, description: &str) -> PublishError {
        let json = serde_json::json!({
            "code": status, "err_code": code, "description": description
        });
        let answer: jetstream::Error = serde_json::from_value(json).unwrap();
        PublishError::with_source(PublishErrorKind::Other, answer)
    }

    #[test]
    fn an_event_is_surely_not_stored_only_where_nothing_was_written() {
        let of_kind = PublishError::new;
        let not_stored = [
            of_kind(PublishErrorKind::MaxPayloadExceeded),
            of_kind(PublishErrorKind::MaxAckPending),
            of_kind(PublishErrorKind::StreamNotFound),
            of_kind(PublishErrorKind::WrongLastMessageId),
            of_kind(PublishErrorKind::WrongLastSequence),
            answer(503, 10077, "maximum bytes exceeded"),
            answer(503, 10077, "maximum messages exceeded"),
            answer(503, 10077, "message too large"),
            answer(400, 10054, "message size exceeds maximum allowed"),
            answer(400, 10109, "invalid operation on sealed stream"),
            answer(429, 10167, "too many requests"),
        ];
        for error in not_stored {
            assert!(!may_be_stored(&error), "{error:?}");
        }
        let no_json = serde_json::from_str::<u8>("no").unwrap_err();
        let unknown = [
            of_kind(PublishErrorKind::TimedOut),
            of_kind(PublishErrorKind::BrokenPipe),
            of_kind(PublishErrorKind::Other),
            PublishError::with_source(PublishErrorKind::Other, no_json),
            PublishError::with_source(PublishErrorKind::Other, "the channel is closed"),
            // Errors of one server, which others of a cluster may not have.
            answer(503, 10077, "store is closed"),
            answer(503, 10077, "write 3.blk: input/output error"),
            answer(503, 10023, "insufficient resources"),
            // What is being stored by an earlier try.
            answer(409, 10158, "duplicate message id is in process"),
            answer(503, 10008, "JetStream system temporarily unavailable"),
            answer(500, 10009, "JetStream cluster can not handle request"),
            answer(500, 99999, "of a version to come"),
        ];
        for error in unknown {
            assert!(may_be_stored(&error), "{error:?}");
        }
    }
}
