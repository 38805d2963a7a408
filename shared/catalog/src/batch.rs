//! What the indexer writes in one transaction, and what came of it.

use crate::encoding::{optional_timestamp, timestamp};
use crate::error::CatalogError;
use crate::losses::Contradicted;
use completion::{Completed, Effect};
use contract::event::{
    InstanceStored, RegistrationRequested, ReleaseRequested, SeriesCompleted, SeriesDeleted,
    StudyCompleted,
};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use std::collections::HashMap;

/// How far the INSTANCES stream is in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bookmark {
    /// When the stream was made: names it.
    pub stream_created: Timestamp,
    /// Sequence of the last event in the catalogue; 0 before the first.
    pub last_sequence: u64,
    /// What tells that event from another one of its sequence; `None` where that is not known.
    pub event: Option<EventMark>,
    /// How far the broker's clock had come then, as it is set now; `None` where that is not known.
    pub latest: Option<Timestamp>,
}

/// A bookmark as its row has it: when the stream was made, the last sequence, when the broker stored that event, its
/// message id, and how far the broker's clock had come.
pub(crate) type BookmarkRow = (i64, i64, Option<i64>, Option<String>, Option<i64>);

impl Bookmark {
    /// After the event of a sequence of which nothing else is known.
    #[must_use]
    pub fn new(stream_created: Timestamp, last_sequence: u64) -> Self {
        Self { stream_created, last_sequence, event: None, latest: None }
    }

    /// Reads a row.
    pub(crate) fn of(row: BookmarkRow) -> Result<Self, CatalogError> {
        let (created, last, at, message_id, latest) = row;
        let event = optional_timestamp(at)?
            .zip(message_id)
            .map(|(at, message_id)| EventMark { at, message_id });
        let stream_created = timestamp(created)?;
        let (last_sequence, latest) = (last.unsigned_abs(), optional_timestamp(latest)?);
        Ok(Self { stream_created, last_sequence, event, latest })
    }
}

/// What tells an event from another one that has its sequence, in a stream that gave it out again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMark {
    /// When the broker stored it.
    pub at: Timestamp,
    /// Its `Nats-Msg-Id`; empty where it has none.
    pub message_id: String,
}

/// One stored instance as it was read from the stream.
#[derive(Debug)]
pub struct Received {
    /// Its sequence in INSTANCES.
    pub sequence: u64,
    /// When the broker stored it.
    pub at: Timestamp,
    /// The event.
    pub event: Box<InstanceStored>,
}

/// What is committed in one transaction.
#[derive(Debug)]
pub struct Batch {
    /// Stored instances in the order of the stream.
    pub instances: Vec<Received>,
    /// Series whose instances are to be counted.
    pub counted: Vec<SeriesInstanceUid>,
    /// Instances of which sources say that they have them.
    pub named: Vec<Named>,
    /// Instances that peers list.
    pub listed: Vec<Listing>,
    /// How many instances of which series associations acknowledged, by their own accounts.
    pub accounts: Vec<(SeriesInstanceUid, u64)>,
    /// Series that somebody vouches for. They come after all instances of the batch.
    pub registrations: Vec<Registration>,
    /// Announcements that were held back and go out now.
    pub releases: Vec<Box<ReleaseRequested>>,
    /// Where the stream has been read to, dead letters included.
    pub bookmark: Bookmark,
}

impl Batch {
    /// Without events, after the bookmark.
    #[must_use]
    pub fn new(bookmark: Bookmark) -> Self {
        Self {
            instances: Vec::new(),
            counted: Vec::new(),
            named: Vec::new(),
            listed: Vec::new(),
            accounts: Vec::new(),
            registrations: Vec::new(),
            releases: Vec::new(),
            bookmark,
        }
    }
}

/// What the rows of a batch turned out to be.
#[derive(Debug, Default)]
pub struct Recorded {
    /// What each instance of the batch is to the catalogue, in the same order.
    pub effects: Vec<Effect>,
    /// The last completion of the series that the batch touches, of those that are complete.
    pub completed: HashMap<SeriesInstanceUid, Completed>,
    /// How many instances they have now: those that were to be counted, and those that lost one.
    pub counts: HashMap<SeriesInstanceUid, u64>,
    /// Of what sources have which instances are not here, by the sequence of the answer.
    pub absent: HashMap<u64, Vec<String>>,
    /// In which series those that peers list are, as far as they are here, by the sequence of the list.
    pub listed: HashMap<u64, HashMap<String, SeriesInstanceUid>>,
    /// The series that are complete with fewer instances than an account has, since INSTANCES has lost some.
    pub contradicted: HashMap<SeriesInstanceUid, Contradicted>,
}

/// Instances that a source has, as it answered.
#[derive(Debug, Clone)]
pub struct Named {
    /// Sequence of the answer in INSTANCES.
    pub sequence: u64,
    /// Their series.
    pub series: SeriesInstanceUid,
    /// Their SOP Instance UIDs.
    pub instances: Vec<String>,
}

/// Instances that a peer lists.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Sequence of the list in INSTANCES.
    pub sequence: u64,
    /// Their SOP Instance UIDs.
    pub instances: Vec<String>,
}

/// What will be announced of a batch.
#[derive(Debug, Default, PartialEq)]
pub struct Committed {
    /// The series that were deleted by it.
    pub deleted: Vec<SeriesDeleted>,
    /// The series that were registered by it.
    pub registered: Vec<SeriesCompleted>,
}

/// A request to register a series, as it was read from the stream.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its sequence in INSTANCES.
    pub sequence: u64,
    /// When the broker stored it. The series is complete from then on, or from just after all that are
    /// complete already.
    pub at: Timestamp,
    /// The request.
    pub event: Box<RegistrationRequested>,
}

/// What became of a request to register a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationOutcome {
    /// The series is in the catalogue by this request, complete, and will be announced.
    Registered,
    /// The series was known in some state; nothing changed.
    AlreadyExists,
}

impl RegistrationOutcome {
    /// By whether the history has this request, and whether the catalogue has the series.
    pub(crate) fn of(by_this: bool, is_known: bool) -> Option<Self> {
        match (by_this, is_known) {
            (true, _) => Some(Self::Registered),
            (false, true) => Some(Self::AlreadyExists),
            (false, false) => None,
        }
    }
}

/// How far the SERIES stream is in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesBookmark {
    /// When the stream was made: names it.
    pub stream_created: Timestamp,
    /// Sequence up to which all that was announced is in the catalogue.
    pub last_sequence: u64,
}

impl SeriesBookmark {
    /// Reads a row: when the stream was made, and the last sequence.
    pub(crate) fn of((created, last): (i64, i64)) -> Result<Self, CatalogError> {
        Ok(Self { stream_created: timestamp(created)?, last_sequence: last.unsigned_abs() })
    }
}

/// What a fact was to the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// It agrees with the rows that lead up to it.
    Whole,
    /// Some of what led up to it is no longer on the record; its series is marked partial, and has
    /// the numbers that the fact tells.
    Partial,
    /// It is there already, or a later one is.
    Known,
}

/// What became of studies that it was time for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct StudiesDecided {
    /// What will be announced.
    pub complete: Vec<StudyCompleted>,
    /// Those that wait for a series which is receiving.
    pub waiting: Vec<String>,
}
