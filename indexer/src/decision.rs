//! Decisions, as the SERIES stream keeps them: each names the sequence of INSTANCES up to which it was made. What follows
//! from one beside it, a series folder, follows it in the stream.

use contract::event::{
    SeriesCompleted, SeriesDeleted, SeriesKept, SeriesPurged, Source, StudyCompleted,
};
use contract::subject::Subject;
use jiff::Timestamp;

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// A series was complete.
    Completed(Box<SeriesCompleted>),
    /// A series was taken out of the catalogue.
    Deleted(SeriesDeleted),
    /// A study was complete.
    Study(Box<StudyCompleted>),
    /// A revision that was decided before is kept.
    Kept(Box<SeriesKept>),
    /// The files of a series are no longer kept.
    Purged(Box<SeriesPurged>),
}

impl Decision {
    /// Reads what was announced; `None` for what decides nothing, as far as this version knows.
    ///
    /// # Errors
    /// When it is not what its subject says.
    pub fn read(subject: &str, payload: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        Ok(match subject.parse() {
            Ok(Subject::SeriesCompleted { .. }) => {
                Some(Self::Completed(serde_json::from_slice(payload)?))
            }
            Ok(Subject::SeriesDeleted { .. }) => {
                Some(Self::Deleted(serde_json::from_slice(payload)?))
            }
            Ok(Subject::SeriesKept { .. }) => Some(Self::Kept(serde_json::from_slice(payload)?)),
            Ok(Subject::SeriesPurged { .. }) => {
                Some(Self::Purged(serde_json::from_slice(payload)?))
            }
            Ok(Subject::StudyCompleted { .. }) => {
                Some(Self::Study(serde_json::from_slice(payload)?))
            }
            _ => None,
        })
    }

    /// Sequence of INSTANCES up to which it was decided. A series that was stored while there was no
    /// stream yet has none, nor has what is kept.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        match self {
            Self::Completed(decision) => decision.instances_sequence,
            Self::Deleted(decision) => Some(decision.instances_sequence),
            Self::Study(decision) => Some(decision.instances_sequence),
            Self::Purged(decision) => Some(decision.instances_sequence),
            Self::Kept(_) => None,
        }
    }

    /// When it was decided, in the broker's time; `None` of a series that was stored by HTTP, of which
    /// the API's clock says when, and of what is kept.
    #[must_use]
    pub fn decided_at(&self) -> Option<Timestamp> {
        match self {
            Self::Completed(decision) if decision.source == Source::Api => None,
            Self::Completed(decision) => Some(decision.completed_at),
            Self::Deleted(decision) => Some(decision.deleted_at),
            Self::Study(decision) => Some(decision.completed_at),
            Self::Purged(decision) => Some(decision.purged_at),
            Self::Kept(_) => None,
        }
    }

    /// The same without a place in INSTANCES, since the stream that it names is gone: what comes into the
    /// series is new to it, whatever its sequence. (Of a deletion it is part of its name, and stays.)
    #[must_use]
    pub fn of_no_sequence(mut self) -> Self {
        match &mut self {
            Self::Completed(decision) => decision.instances_sequence = None,
            Self::Study(decision) => decision.instances_sequence = 0,
            // All that is there is of the stream that is gone.
            Self::Purged(decision) => decision.instances_sequence = u64::MAX,
            Self::Deleted(_) | Self::Kept(_) => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_version_does_not_know_decides_nothing() {
        assert_eq!(Decision::read("dicom.series.archived.MR.1.2", b"{}").unwrap(), None);
        assert!(Decision::read("dicom.series.completed.MR.1.2", b"{}").is_err());
    }
}
