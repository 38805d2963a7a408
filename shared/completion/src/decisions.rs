//! What is decided and learned, for the catalogue to write down.

use crate::asking::{AskedSource, Question};
use crate::lists::List;
use crate::open_series::OpenSeries;
use crate::pauses::Pauses;
use contract::event::{DeletionReason, Evidence, Reason};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

/// What is decided of a series that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// It is complete.
    Complete(Completion),
    /// Its source is asked first.
    Ask(Question),
    /// It waits, since its source has more.
    Wait,
}

/// The decision that a series is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The series.
    pub series: SeriesInstanceUid,
    /// By which rule.
    pub reason: Reason,
    /// When the first event of this revision was stored, in the broker's time.
    pub opened_at: Timestamp,
    /// The watermark at which it was decided, in the broker's time.
    pub decided_at: Timestamp,
    /// How many instances there were to be, if that is known.
    pub expected: Option<u64>,
    /// How many its source has, if it was asked and that is more than are here.
    pub at_source: Option<u64>,
    /// How many instances lists name, if some of those are not here and it is known that they are of this series.
    pub listed: Option<u64>,
    /// Which instances are not here, as far as the source or lists name them.
    pub absent: Vec<String>,
    /// Which were fetched from the source, or tried to be.
    pub fetched: Vec<String>,
    /// What is known of it, the strongest first.
    pub evidence: Vec<Evidence>,
    /// How many instances the receivers answered with Success and INSTANCES does not have.
    pub missing: u64,
    /// Where the DICOMweb service is that has the sender's pixels, if that is configured.
    pub retrieve_from: Option<String>,
    /// Whether it is held back for a person if its instances disagree on their patient or study.
    pub hold_disagreeing: bool,
}

/// The decision that it is time for a study to be complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyCompletion {
    /// Study Instance UID (0020,000D).
    pub study: String,
    /// The watermark at which it was decided, in the broker's time.
    pub decided_at: Timestamp,
}

/// The decision that a series is no longer to be in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The series.
    pub series: SeriesInstanceUid,
    /// Why.
    pub reason: DeletionReason,
    /// When, in the broker's time.
    pub decided_at: Timestamp,
}

/// A series that was complete before a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// By which rule.
    pub reason: Reason,
    /// Broker's time of the last activity before.
    pub last_activity: Timestamp,
    /// AE title of the sender of its latest instance.
    pub sender: String,
}

/// What follows from a batch for the completion rules, to be kept with it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Consequences {
    /// The series that are arriving, as far as they have changed.
    pub open: Vec<(SeriesInstanceUid, OpenSeries)>,
    /// What was learned of senders, in order.
    pub lessons: Vec<Lesson>,
    /// The lists of instances that are not met, as far as they have changed; `None` of one that is gone.
    pub lists: Vec<(String, Option<List>)>,
    /// What lists that came after it say of series that are complete.
    pub late: Vec<Late>,
    /// The series that are deleted after it.
    pub deletions: Vec<Deletion>,
    /// What is known of the sources that are asked, as far as it has changed.
    pub sources: Vec<(String, AskedSource)>,
    /// The pauses of senders, as far as they have changed.
    pub pauses: Vec<(String, Pauses)>,
}

/// A list names more instances of a series that is complete than was known then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The series.
    pub series: SeriesInstanceUid,
    /// How many instances of it the list names.
    pub named: u64,
}

/// Something learned about a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lesson {
    /// A series that was complete by this evidence grew again within the quiet period.
    Disproved(Disproof),
    /// An operator says that all evidence of the sender is to be believed again.
    Trusted {
        /// Its AE title.
        sender: String,
    },
}

/// Why a kind of evidence of a sender is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disproof {
    /// Its AE title.
    pub sender: String,
    /// The rule that was wrong, one that believes a sender.
    pub rule: Reason,
    /// Broker's time of the instance that showed it.
    pub at: Timestamp,
    /// The series that grew again.
    pub series: SeriesInstanceUid,
}
