//! The time up to which everything has been processed.

use crate::clock::Answer;
use std::ops::RangeInclusive;

/// Says how far time has come, from what the broker was asked and what was read since.
///
/// An answer of the broker has its time and where the stream ended then. Once everything up to there
/// is read, everything has been processed up to that time; what came in meanwhile is no reason to
/// wait, or a stream that never rests would never have a series complete.
#[derive(Debug, Clone, Default)]
pub struct Watermark {
    /// The answer whose end is not reached yet, and what the stream had then.
    waiting: Option<(RangeInclusive<u64>, Answer)>,
}

/// An answer of the broker, with all read that the stream had then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The time that has come, and when it was asked for.
    pub answer: Answer,
    /// Sequence of the last event of the stream then.
    pub last: u64,
}

impl Watermark {
    /// The broker has answered, when the stream had the events with these sequences. An earlier answer that is
    /// still waited for is forgotten: behind a backlog it would be an old one by the time it is reached.
    pub fn asked(&mut self, stream: RangeInclusive<u64>, answer: Answer) {
        self.waiting = Some((stream, answer));
    }

    /// Whether something is still to be read before the last answer says how far time has come.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// The time that has come, with everything read up to sequence `read`; `None` if that is no news.
    #[must_use]
    pub fn reached(&mut self, read: u64) -> Option<Reached> {
        // What an operator purged unread will never be read; waiting for it would be for ever.
        let is_read = |(stream, _): &mut (RangeInclusive<u64>, Answer)| {
            read.max(stream.start().saturating_sub(1)) >= *stream.end()
        };
        let (stream, answer) = self.waiting.take_if(is_read)?;
        Some(Reached { answer, last: *stream.end() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{SignedDuration, Timestamp};
    use std::time::Duration;

    fn second(number: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number)
    }

    /// What the stream has, and when.
    type Answered = (RangeInclusive<u64>, Timestamp);

    fn at(first: u64, last: u64, now: i64) -> Answered {
        (first..=last, second(now))
    }

    fn asked(watermark: &mut Watermark, (stream, now): Answered) {
        let (asked, answered) = (Duration::ZERO, Duration::ZERO);
        watermark.asked(stream, Answer { now, asked, answered });
    }

    fn come(watermark: &mut Watermark, read: u64) -> Option<Timestamp> {
        watermark.reached(read).map(|reached| reached.answer.now)
    }

    fn reached(answered: Answered, read: u64) -> Option<Timestamp> {
        let mut watermark = Watermark::default();
        asked(&mut watermark, answered);
        come(&mut watermark, read)
    }

    #[test]
    fn time_stands_still_until_everything_is_read() {
        assert_eq!(reached(at(1, 7, 9), 6), None);
        assert_eq!(reached(at(1, 7, 9), 7), Some(second(9)));
        assert_eq!(reached(at(1, 0, 9), 0), Some(second(9)), "a new stream");
        assert_eq!(reached(at(8, 7, 9), 3), Some(second(9)), "what was purged is never read");
        assert_eq!(Watermark::default().reached(7), None, "nobody asked");
    }

    #[test]
    fn what_comes_in_after_the_question_does_not_hold_time_up() {
        let mut watermark = Watermark::default();
        asked(&mut watermark, at(1, 7, 9));
        assert_eq!(come(&mut watermark, 6), None);
        assert!(watermark.is_waiting());
        // More came in before 7 was read, and was read with it.
        assert_eq!(come(&mut watermark, 9), Some(second(9)));
        assert!(!watermark.is_waiting());
    }

    #[test]
    fn a_later_answer_takes_the_place_of_one_that_is_not_reached() {
        let mut watermark = Watermark::default();
        asked(&mut watermark, at(1, 7, 9));
        assert_eq!(come(&mut watermark, 6), None);
        asked(&mut watermark, at(10, 9, 12));
        assert_eq!(come(&mut watermark, 6), Some(second(12)), "an operator purged it all");
    }
}
