//! What is searched for, and how lists are parted.

use crate::attributes::Level;
use crate::records::Details;
use contract::attributes::{Attribute, keyword};
use contract::event::Source;
use contract::uid::StudyInstanceUid;
use jiff::Timestamp;

/// Which series by their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listed {
    /// Those that were ever complete. One that was reopened is still there as it last was complete;
    /// one whose instances have all moved elsewhere is not.
    #[default]
    Complete,
    /// Those to which instances are coming, whether they were complete before or not.
    Receiving,
    /// Both.
    All,
}

/// What series are sorted by. Those that have no value come where the others end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesOrder {
    /// When they were first complete, which never changes.
    FirstCompleted,
    /// When they were last complete.
    Completed,
    /// When the catalogue first heard of them, which never changes.
    Arrival,
    /// Study Date (0008,0020).
    StudyDate,
}

/// Which series are listed, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesSearch {
    /// By their state.
    pub listed: Listed,
    /// By their attributes: each has to match.
    pub matching: Vec<(&'static Attribute, Matching)>,
    /// By where they came from.
    pub source: Option<Source>,
    /// By who sent their latest instance.
    pub calling_ae_title: Option<String>,
    /// By their last completion, which has to be later.
    pub completed_after: Option<Timestamp>,
    /// By their last completion, which has to be earlier.
    pub completed_before: Option<Timestamp>,
    /// What they are sorted by; equals by arrival.
    pub order: SeriesOrder,
    /// Whether the greatest comes first.
    pub descending: bool,
    /// Whether all of them are read, page after page.
    pub whole: bool,
}

impl Default for SeriesSearch {
    /// The complete series, oldest first.
    fn default() -> Self {
        Self {
            listed: Listed::Complete,
            matching: Vec::new(),
            source: None,
            calling_ae_title: None,
            completed_after: None,
            completed_before: None,
            order: SeriesOrder::FirstCompleted,
            descending: false,
            whole: false,
        }
    }
}

impl SeriesSearch {
    /// Whether each page takes a look at everything, since no index has the order.
    #[must_use]
    pub fn sorts_all(&self) -> bool {
        match self.order {
            SeriesOrder::StudyDate => true,
            SeriesOrder::Arrival => false,
            // Those that are receiving are few, and have an index.
            SeriesOrder::FirstCompleted | SeriesOrder::Completed => self.listed == Listed::All,
        }
    }

    /// Whether a page may look at much more than it lists.
    pub(crate) fn is_long(&self) -> bool {
        let found_by = [keyword::PatientID, keyword::StudyInstanceUID, keyword::AccessionNumber];
        let is_found = |(attribute, matching): &(&Attribute, Matching)| {
            found_by.contains(attribute) && matches!(matching, Matching::Equals(_))
        };
        let has_filters =
            !self.matching.is_empty() || self.source.is_some() || self.calling_ae_title.is_some();
        self.whole || self.sorts_all() || has_filters && !self.matching.iter().any(is_found)
    }
}

/// Which studies are listed, and in which order. Series without a Study Instance UID are in none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StudySearch {
    /// By their attributes: each has to match.
    pub matching: Vec<(&'static Attribute, Matching)>,
    /// Whether the one that the catalogue heard of last comes first, and not last.
    pub descending: bool,
    /// Whether all of them are read, page after page.
    pub whole: bool,
}

impl StudySearch {
    /// Whether a page may look at much more than it lists.
    pub(crate) fn is_long(&self) -> bool {
        self.whole || !self.matching.is_empty()
    }
}

/// A search at one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelSearch {
    /// What is listed.
    pub level: Level,
    /// By their attributes: each has to match. None is of a deeper level.
    pub matching: Vec<(&'static Attribute, Matching)>,
    /// By an attribute of one item of the Request Attributes Sequence (0040,0275), by its keyword.
    pub requested: Vec<(&'static str, Matching)>,
    /// What is told of each.
    pub attributes: Vec<&'static Attribute>,
    /// How many come before the first that is told.
    pub offset: u32,
    /// How many are told at most.
    pub limit: u32,
    /// Whether to tell which have objects in the instance store: as [`KEPT`].
    pub with_objects: bool,
}

/// Under this key a search tells how many instances of a result have objects: [`NONE_KEPT`], [`SOME_KEPT`] or
/// [`ALL_KEPT`].
pub const KEPT: &str = "Kept";
/// No instance has an object.
pub const NONE_KEPT: u64 = 0;
/// Some have.
pub const SOME_KEPT: u64 = 1;
/// All have.
pub const ALL_KEPT: u64 = 2;

impl LevelSearch {
    /// What is told of results, of which there is one more than the limit if there are more; and whether there are.
    pub(crate) fn cut(&self, mut found: Vec<Details>) -> (Vec<Details>, bool) {
        let more = found.len() > self.limit as usize;
        found.truncate(self.limit as usize);
        for details in &mut found {
            details.retain(|_, value| !value.is_null() && value != "");
        }
        (found, more)
    }
}

/// Which instances are retrieved: those of a series that are of this study, or one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSearch {
    /// Their study.
    pub study: StudyInstanceUid,
    /// Their series, as [`series_of_study`](crate::CatalogReader::series_of_study) has it.
    pub series: String,
    /// SOP Instance UID of the only one.
    pub instance: Option<String>,
    /// What they are sorted by; equals by SOP Instance UID.
    pub order: StoredOrder,
}

/// What instances are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredOrder {
    /// When they came into the series, for which there is an index.
    Arrival,
    /// Instance Number (0020,0013), as people look at them. Each page sorts the whole series.
    Number,
}

/// What the value of an attribute has to be. Blanks around it count no more than those around what is
/// catalogued: they are padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// This.
    Equals(String),
    /// This integer, however it is written: `3`, `03`, `+3` and ` 3` are one (PS3.5 section 6.2, IS).
    /// It is text, without leading zeros and with a sign only below zero, since it may have any length.
    Number(String),
    /// One of these UIDs.
    OneOf(Vec<String>),
    /// This, where `*` stands for any characters, none too, and `?` for one.
    Pattern(String),
    /// Between these, both included, in the order of the text. A bound also includes what begins
    /// with it: `1200` is before the end of `1200`, whatever its seconds. What is no date or time is
    /// never between two.
    Within {
        /// Not before this.
        from: Option<String>,
        /// Not after this.
        to: Option<String>,
    },
    /// Any of these.
    Any(Vec<Self>),
}

impl Matching {
    /// Whether an index finds it, which it does by how it begins.
    pub(crate) fn has_a_beginning(&self) -> bool {
        match self {
            Self::Equals(_) => true,
            Self::Pattern(pattern) => !pattern.starts_with(['*', '?']),
            Self::Any(alternatives) => alternatives.iter().all(Self::has_a_beginning),
            Self::Number(_) | Self::OneOf(_) | Self::Within { .. } => false,
        }
    }
}

/// A place in a list: what it is sorted by, and what decides among equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// By which the list is sorted.
    pub key: i64,
    /// Different for each.
    pub id: i64,
}

impl Position {
    /// Before the first of a list.
    #[must_use]
    pub fn before_all(descending: bool) -> Self {
        let end = if descending { i64::MAX } else { i64::MIN };
        Self { key: end, id: end }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In the order of the list.
    pub records: Vec<T>,
    /// Where the next page begins, if there is more.
    pub next: Option<Position>,
}

impl<T> Page<T> {
    /// Of rows with the key, the id and the record of each, one more than the limit if there are.
    pub(crate) fn of(mut rows: Vec<(i64, i64, T)>, limit: u32) -> Self {
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().map(|(key, id, _)| Position { key: *key, id: *id });
        let records = rows.into_iter().map(|(_, _, record)| record).collect();
        Self { records, next: last.filter(|_| more) }
    }
}
