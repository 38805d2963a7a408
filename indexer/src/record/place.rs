//! Where in INSTANCES something was decided, as far as the stream still goes.

use crate::decision::Decision;
use jiff::Timestamp;
use shared::stream::Position;

/// Where in INSTANCES something was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before INSTANCES was made as it is now: the sequence that it names is one of a stream that is gone.
    FormerStream,
    /// After the event of this sequence; 0 before the first.
    After(u64),
    /// After an event that the stream has lost from its end.
    BeyondEnd,
    /// Since the stream was looked at.
    Later,
}

impl Place {
    /// Where a decision belongs that the broker stored in SERIES at this time, in an INSTANCES that stood
    /// at `end`.
    #[must_use]
    pub fn of(decision: &Decision, stored_at: Timestamp, end: &Position) -> Self {
        let Some(sequence) = decision.sequence() else { return Self::After(0) };
        let decided_at = decision.decided_at().map_or(stored_at, |at| at.min(stored_at));
        if decided_at < end.created {
            Self::FormerStream
        } else if sequence <= end.last {
            Self::After(sequence)
        } else if stored_at <= end.now {
            Self::BeyondEnd
        } else {
            Self::Later
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::event::{DeletionReason, SeriesDeleted};
    use contract::uid::SeriesInstanceUid;

    fn second(number: i64) -> Timestamp {
        Timestamp::from_second(number).unwrap()
    }

    fn deleted(decided: i64, sequence: u64) -> Decision {
        Decision::Deleted(SeriesDeleted {
            series_instance_uid: SeriesInstanceUid::parse("1.2").unwrap(),
            revision: 1,
            reason: DeletionReason::Requested,
            instances_count: 1,
            study_instance_uid: "1.1".to_owned(),
            modality: None,
            deleted_at: second(decided),
            instances_sequence: sequence,
            disagrees: Vec::new(),
        })
    }

    #[test]
    fn a_sequence_names_a_place_only_in_the_stream_that_it_was_decided_on() {
        let (created, now) = (second(100), second(200));
        let end = Position { created, first: 5, last: 20, bytes: 0, replicas: 1, now };
        let place = |decided, stored, sequence| {
            Place::of(&deleted(decided, sequence), second(stored), &end)
        };
        assert_eq!(place(150, 151, 7), Place::After(7));
        assert_eq!(place(150, 151, 3), Place::After(3), "trimmed since");
        assert_eq!(place(99, 99, 7), Place::FormerStream);
        assert_eq!(place(99, 150, 7), Place::FormerStream, "announced later than decided");
        assert_eq!(place(150, 151, 21), Place::BeyondEnd, "INSTANCES has lost its tail");
        assert_eq!(place(201, 201, 21), Place::Later);
    }
}
