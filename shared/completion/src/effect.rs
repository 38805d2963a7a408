//! What an instance changes, by what is known of it already.

use contract::uid::SeriesInstanceUid;

/// What an event of an instance changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A new instance.
    Added,
    /// The same again: nothing changes.
    Resent,
    /// The same instance with other attributes.
    Corrected,
    /// It was in this other series until now.
    MovedFrom(SeriesInstanceUid),
}

/// What the catalogue knows of an instance that an event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The series that it is in.
    pub series: SeriesInstanceUid,
    /// Of its attributes.
    pub digest: String,
}

impl Effect {
    /// What an instance is that is `now`, and was `before` if it was known.
    #[must_use]
    pub fn of(before: Option<Known>, now: &Known) -> Self {
        match before {
            None => Self::Added,
            Some(before) if before.series != now.series => Self::MovedFrom(before.series),
            Some(before) if before.digest != now.digest => Self::Corrected,
            Some(_) => Self::Resent,
        }
    }
}
