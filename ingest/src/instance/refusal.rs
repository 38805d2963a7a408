//! Why an instance is refused, and the Status (PS3.4 table B.2-1) that its sender gets.

use crate::data_set::header::HeaderError;
use crate::publish::refused::PublishRefused;
use crate::sink::NotKept;
use dimse::Status;
use store::StoreError;

/// Why an instance or a list is refused: the Status and what else its response says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// A failure Status.
    pub status: Status,
    /// The label of a counter.
    pub cause: &'static str,
    /// The Error Comment (0000,0902), which names no patient.
    pub comment: String,
    /// The Error ID (0000,0903), where the service has one for this failure.
    pub error_id: Option<u16>,
}

impl Refusal {
    /// A refusal with this Status and Error Comment.
    #[must_use]
    pub(crate) fn new(status: Status, cause: &'static str, comment: impl Into<String>) -> Self {
        Self { status, cause, comment: comment.into(), error_id: None }
    }
}

/// The table from what is wrong with a data set to the Status that its sender gets.
impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        let (status, cause) = match error {
            HeaderError::TooLong(_) => (Status::CannotUnderstand, "header_too_long"),
            HeaderError::Inflates(_) => (Status::OutOfResources, "inflates_too_far"),
            HeaderError::Truncated => (Status::CannotUnderstand, "truncated"),
            HeaderError::Nesting => (Status::CannotUnderstand, "nesting_contradicts"),
            HeaderError::Unplaced => (Status::CannotUnderstand, "element_without_vr"),
            HeaderError::TooDeep => (Status::CannotUnderstand, "nested_too_deep"),
            HeaderError::Inflate => (Status::CannotUnderstand, "not_deflated"),
        };
        Self::new(status, cause, error.to_string())
    }
}

/// The table from why an event is not stored to the Status that the sender gets.
impl From<PublishRefused> for Refusal {
    fn from(error: PublishRefused) -> Self {
        let (status, cause) = match error {
            PublishRefused::TimedOut(_) => (Status::OutOfResources, "nats_silent"),
            PublishRefused::Nobody(_) => (Status::OutOfResources, "nats_stores_nothing"),
            PublishRefused::Full | PublishRefused::Refused { .. } => {
                (Status::OutOfResources, "nats_refused")
            }
            PublishRefused::Duplicate => (Status::OutOfResources, "event_duplicate"),
            PublishRefused::TooLarge => (Status::CannotUnderstand, "event_too_large"),
        };
        Self::new(status, cause, error.to_string())
    }
}

/// The table from why an instance can't be kept to the Status that the sender gets.
impl From<NotKept> for Refusal {
    fn from(error: NotKept) -> Self {
        let (status, cause) = match &error {
            NotKept::NoUid(_) => (Status::DataSetDoesNotMatch, "no_affected_uid"),
            NotKept::Store(StoreError::Full) => (Status::OutOfResources, "store_full"),
            NotKept::Store(StoreError::Reserved { .. }) => {
                (Status::OutOfResources, "store_reserve")
            }
            NotKept::Store(StoreError::Slow(_)) => (Status::OutOfResources, "store_silent"),
            NotKept::Store(StoreError::Failed(_)) => (Status::OutOfResources, "store_failed"),
        };
        Self::new(status, cause, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::jetstream::ErrorCode;
    use bytesize::ByteSize;
    use std::io::{Error, ErrorKind};
    use std::time::Duration;

    /// Longest Error Comment, in characters: VR LO (PS3.5 section 6.2). Longer ones are cut when they are sent.
    const MAX_COMMENT: usize = 64;

    #[test]
    fn senders_are_shown_all_of_what_is_wrong_with_the_store_or_the_broker() {
        let failed = |kind| NotKept::from(StoreError::from(Error::from(kind)));
        let duration = Duration::from_millis(90_500);
        let free = ByteSize::gib(1023) + ByteSize::mib(1000);
        let refused = |code| PublishRefused::Refused { code, detail: "long ".repeat(99) };
        let refusals: [Refusal; 20] = [
            NotKept::NoUid("Affected SOP Instance UID").into(),
            NotKept::NoUid("Affected SOP Class UID").into(),
            NotKept::from(StoreError::Full).into(),
            NotKept::from(StoreError::Reserved { free }).into(),
            NotKept::from(StoreError::Slow(duration)).into(),
            failed(ErrorKind::NotFound).into(),
            failed(ErrorKind::PermissionDenied).into(),
            failed(ErrorKind::ReadOnlyFilesystem).into(),
            failed(ErrorKind::StaleNetworkFileHandle).into(),
            failed(ErrorKind::AlreadyExists).into(),
            failed(ErrorKind::Other).into(),
            PublishRefused::TimedOut(duration).into(),
            PublishRefused::Nobody("nobody takes them").into(),
            PublishRefused::Nobody("the connection is lost").into(),
            PublishRefused::Nobody("the stream has no leader").into(),
            PublishRefused::TooLarge.into(),
            PublishRefused::Duplicate.into(),
            PublishRefused::Full.into(),
            refused(None).into(),
            refused(Some(ErrorCode::STREAM_STORE_FAILED)).into(),
        ];
        for Refusal { comment, .. } in refusals {
            assert!(comment.chars().count() <= MAX_COMMENT, "{comment}");
            assert!(comment.is_ascii(), "{comment}");
        }
    }
}
