//! What is announced, and to whom it was delivered.

use crate::encoding::timestamp;
use crate::error::CatalogError;
use contract::event::ReleaseRequested;
use contract::subject::{Subject, UnknownSubject};
use jiff::Timestamp;

/// An announcement that waits for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Its place in the outbox; announcements go out in this order.
    pub id: i64,
    /// Where it is published.
    pub subject: Subject,
    /// `SeriesInstanceUID:Revision` of a completion: published twice, it is still one.
    pub message_id: String,
    /// When it was decided.
    pub time: Timestamp,
    /// The event as JSON.
    pub payload: String,
    /// Why it is not announced but becomes a dead letter, for a person to decide on.
    pub held: Option<String>,
}

/// An announcement as its row has it: its id, subject, message id, time, payload, and why it is held.
pub(crate) type AnnouncementRow = (i64, String, String, i64, String, Option<String>);

impl Announcement {
    /// Reads a row.
    pub(crate) fn of(row: AnnouncementRow) -> Result<Self, CatalogError> {
        let (id, subject, message_id, time, payload, held) = row;
        let subject = subject
            .parse()
            .map_err(|error: UnknownSubject| CatalogError::Unreadable(error.to_string()))?;
        Ok(Self { id, subject, message_id, time: timestamp(time)?, payload, held })
    }
}

/// Bytes of the id of an announcement at most. It is a key, and an entry of an index has at most 2.7 KB; an id that was
/// made here is a UID and a number.
const MESSAGE_ID_LENGTH: usize = 256;

/// Whether an announcement can be published as somebody asks for it. One that can't would hold up what follows.
pub(crate) fn can_be_announced(release: &ReleaseRequested) -> bool {
    release.subject.parse::<Subject>().is_ok() && release.message_id.len() <= MESSAGE_ID_LENGTH
}

/// How far a webhook is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// When SERIES was made: its sequences mean nothing in a later stream of the same name.
    pub series_created: Timestamp,
    /// Sequence of SERIES up to which everything was taken, or is a dead letter.
    pub up_to: u64,
}

impl Delivered {
    /// Reads the row of a webhook: when SERIES was made, and the sequence.
    pub(crate) fn of(webhook: &str, (created, up_to): (i64, i64)) -> Result<Self, CatalogError> {
        let up_to = u64::try_from(up_to).map_err(|_| {
            CatalogError::Unreadable(format!("webhook {webhook:?}: sequence {up_to}"))
        })?;
        Ok(Self { series_created: timestamp(created)?, up_to })
    }
}
