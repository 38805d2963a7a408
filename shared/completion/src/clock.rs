//! Steps of the broker's clock. Its answers are compared with a monotonic clock of ours: what passes on the
//! one and not on the other is a step, and not time. Pure: it reads no clock.
//!
//! All times that the rules go by are the broker's. When its clock steps, those from before the step move
//! along with it, so that what was due in a second still is.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How far the two clocks may be apart before it is a step: a clock that is being set right runs up to 8 %
/// faster or slower, and what an answer takes is known only within bounds.
pub const TOLERANCE: SignedDuration = SignedDuration::from_millis(250);
const DRIFT: i32 = 10; // one in this many

/// How much later than an answer an event can be that is read before that answer is gone by: the driver asks
/// anew after a second.
const ANSWER_LIFETIME: SignedDuration = SignedDuration::from_secs(2);

/// An answer of the broker that has its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The broker's time in it.
    pub now: Timestamp,
    /// When it was asked, by our monotonic clock.
    pub asked: Duration,
    /// When it had answered, by the same.
    pub answered: Duration,
}

/// The broker's clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The latest time from before the step that is known.
    pub from: Timestamp,
    /// How much has passed since then.
    pub passed: SignedDuration,
    /// By how much the clock was set, forward or back.
    pub by: SignedDuration,
}

/// The broker's clock as its answers show it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    last: Option<Answer>,
}

impl Clock {
    /// The broker has answered; gives the step that its clock made since the answer before.
    ///
    /// `latest` is the time of the latest event that was read. A time before it is a step back, whatever is
    /// known of answers: the clock was set while we did not run.
    #[must_use]
    pub fn answered(&mut self, answer: Answer, latest: Option<Timestamp>) -> Option<Step> {
        let seen = self.last.replace(answer).and_then(|last| between(last, answer));
        seen.or_else(|| latest.and_then(|latest| Step::back(latest, answer.now)))
    }

    /// Events have shown that the clock was set: the last answer says nothing of what comes.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// How long until the broker's clock is past `time`, by ours, which says `now`.
    #[must_use]
    pub fn until(&self, time: Timestamp, now: Duration) -> Duration {
        let Some(last) = self.last else { return Duration::ZERO };
        // One more millisecond, since due is strictly before.
        let after = time.duration_since(last.now).saturating_add(SignedDuration::from_millis(1));
        let after = Duration::try_from(after).unwrap_or(Duration::ZERO);
        last.answered.saturating_add(after).saturating_sub(now)
    }
}

fn between(last: Answer, answer: Answer) -> Option<Step> {
    let broker = answer.now.duration_since(last.now);
    let least = signed(answer.asked.saturating_sub(last.answered));
    let most = signed(answer.answered.saturating_sub(last.asked));
    let tolerance = TOLERANCE + most / DRIFT;
    let passed = if broker > most + tolerance {
        most
    } else if broker < least - tolerance || broker.is_negative() {
        least
    } else {
        return None;
    };
    Some(Step { from: last.now, passed, by: broker - passed })
}

impl Step {
    /// One back, from the latest time that was seen to `now`; nothing says how much passed meanwhile.
    #[must_use]
    pub fn back(latest: Timestamp, now: Timestamp) -> Option<Self> {
        let by = now.duration_since(latest);
        (by < SignedDuration::ZERO).then_some(Self {
            from: latest,
            passed: SignedDuration::ZERO,
            by,
        })
    }

    /// What the clock said as the step was seen.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        later(self.from, self.passed + self.by)
    }

    /// What a time of the clock as it was before is on the clock as it is now. A time that is from after the
    /// step stays; of one that may be either, it is made what has the series wait longer.
    #[must_use]
    pub fn moved(&self, time: Timestamp) -> Timestamp {
        let (from, now) = (later(self.from, self.by), self.now());
        if self.by > SignedDuration::ZERO {
            let since = from.max(later(self.from, self.passed));
            return if time < since { later(time, self.by).min(now) } else { time };
        }
        let may_be_after = from..=later(now, ANSWER_LIFETIME);
        let is_after = time > later(self.from, self.passed);
        let stays = is_after || (!self.passed.is_zero() && may_be_after.contains(&time));
        if stays { time } else { later(time, self.by) }
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    let furthest = if by < SignedDuration::ZERO { Timestamp::MIN } else { Timestamp::MAX };
    time.saturating_add(by).unwrap_or(furthest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000 + milliseconds).unwrap()
    }

    /// An answer that took 10 ms, at this moment of ours.
    fn answer(ours: u64, broker: i64) -> Answer {
        let asked = Duration::from_millis(ours);
        Answer { now: at(broker), asked, answered: asked + Duration::from_millis(10) }
    }

    fn step(first: Answer, second: Answer) -> Option<Step> {
        let mut clock = Clock::default();
        assert_eq!(clock.answered(first, None), None, "nothing to compare with");
        clock.answered(second, None)
    }

    #[test]
    fn a_clock_that_goes_on_makes_no_step_and_neither_does_a_slow_answer() {
        assert_eq!(step(answer(0, 0), answer(1000, 1000)), None);
        assert_eq!(step(answer(0, 0), answer(1000, 1080)), None, "it is being set right");
        let slow = Answer { answered: Duration::from_secs(9), ..answer(1000, 8500) };
        assert_eq!(step(answer(0, 0), slow), None, "it answered late");
        assert_eq!(step(answer(0, 0), Answer { now: at(1000), ..slow }), None, "or soon");
    }

    #[test]
    fn what_passes_on_one_clock_only_is_a_step() {
        let forward = step(answer(0, 0), answer(1000, 61_000)).unwrap();
        assert_eq!(forward.by.as_secs(), 59, "but for what the answers took");
        let back = step(answer(0, 0), answer(1000, -89_000)).unwrap();
        assert_eq!(back.by.as_secs(), -89);
        // A machine that slept: its monotonic clock stood still with everything that might have sent.
        assert_eq!(step(answer(0, 0), answer(1000, 3_601_000)).unwrap().by.as_secs(), 3599);
    }

    #[test]
    fn a_time_from_before_a_step_moves_along_and_one_from_after_it_stays() {
        let step = Step {
            from: at(0),
            passed: SignedDuration::from_secs(1),
            by: SignedDuration::from_secs(60),
        };
        assert_eq!(step.moved(at(-5000)), at(55_000));
        assert_eq!(step.moved(at(900)), at(60_900));
        assert_eq!(step.moved(at(60_500)), at(60_500));
        let back = Step { by: SignedDuration::from_secs(-90), ..step };
        assert_eq!(back.moved(at(-5000)), at(-95_000));
        assert_eq!(back.moved(at(900)), at(-89_100));
        assert_eq!(back.moved(at(-89_500)), at(-89_500));
    }

    #[test]
    fn a_clock_that_goes_back_was_set_however_long_nobody_looked() {
        let step = step(answer(0, 0), answer(3_600_000, -1)).unwrap();
        assert_eq!(step.by.as_secs(), -3599);
    }

    #[test]
    fn a_small_step_forward_in_a_long_time_makes_nothing_early() {
        let step = Step {
            from: at(0),
            passed: SignedDuration::from_secs(600),
            by: SignedDuration::from_secs(60),
        };
        assert_eq!(step.moved(at(-1000)), at(59_000));
        assert_eq!(step.moved(at(599_000)), at(659_000));
        assert_eq!(step.moved(at(599_999)), at(659_999));
        assert_eq!(step.moved(at(655_000)), at(655_000), "only after the step");
    }

    #[test]
    fn a_broker_that_is_before_the_latest_event_was_set_back_while_nobody_looked() {
        let mut clock = Clock::default();
        let step = clock.answered(answer(0, -90_000), Some(at(0))).unwrap();
        assert_eq!(step.moved(at(-1000)), at(-91_000));
        assert_eq!(step.moved(at(0)), at(-90_000));
        assert_eq!(clock.answered(answer(1000, -89_000), Some(at(-90_000))), None);
    }
}
