//! Equal events that come one after the other: the first is said at once, the others of a second (of
//! refusals, of a minute) together, as one message that says how many they were. A dashboard that asks
//! again and again, or somebody who knocks a thousand times a second, must not fill the stream, nor the
//! disk's time.
//!
//! It takes times and returns values.

use super::Draft;
use super::EventId;
use jiff::Timestamp;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Within which equal events are one.
const WINDOW: Duration = Duration::from_secs(1);

/// The same for refusals, so that one who is refused all day long does not drive everybody else's
/// messages out of the stream.
const WINDOW_OF_REFUSALS: Duration = Duration::from_secs(60);

/// Events that are known at one time: of each there is a draft, of a kilobyte or two. Beyond that all
/// refusals are alike, and everything else is said by itself.
const MOST: usize = 1024;

/// The key of refusals beyond that.
const OTHERS: u64 = 0;

/// What was said within the last second.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<u64, Repeated>);

#[derive(Debug)]
struct Repeated {
    draft: Draft,
    /// When its window began.
    since: Instant,
    /// How long that is.
    window: Duration,
    /// How many were in it that are not said yet.
    more: u64,
    /// When the latest of them was.
    latest: Timestamp,
}

/// Events that are due to be said: what, how many, and when the latest was.
#[derive(Debug, PartialEq)]
pub(super) struct Due {
    pub(super) draft: Draft,
    pub(super) events: u64,
    pub(super) latest: Timestamp,
}

impl Repeats {
    /// Counts an event, if its like was said within the last second. Otherwise it is to be said now.
    pub(super) fn count(&mut self, key: u64, at: Timestamp) -> bool {
        let said = self.0.get_mut(&key);
        if let Some(said) = said {
            (said.more, said.latest) = (said.more + 1, at);
            return true;
        }
        false
    }

    /// This is to be said: its like is counted from now on. Whether it is to be said at once.
    pub(super) fn begin(&mut self, key: u64, draft: &Draft, now: Instant, at: Timestamp) -> bool {
        let (mut key, is_refusal) = (key, draft.event == EventId::SecurityAlert);
        if self.0.len() >= MOST {
            if !is_refusal {
                return true;
            }
            key = OTHERS;
            if self.count(key, at) {
                return false;
            }
        }
        let window = if is_refusal { WINDOW_OF_REFUSALS } else { WINDOW };
        let said = Repeated { draft: draft.clone(), since: now, window, more: 0, latest: at };
        self.0.insert(key, said);
        true
    }

    /// When there is something to do next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|said| said.since + said.window).min()
    }

    /// What is due to be said now. What had no like for a second is forgotten.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Due> {
        let mut due = Vec::new();
        self.0.retain(|_, said| {
            if now.duration_since(said.since) < said.window {
                return true;
            }
            if said.more == 0 {
                return false;
            }
            due.push(said.take(now));
            true
        });
        due
    }

    /// All that is not said yet.
    pub(super) fn end(&mut self, now: Instant) -> Vec<Due> {
        let unsaid = self.0.values_mut().filter(|said| said.more > 0);
        let due = unsaid.map(|said| said.take(now)).collect();
        self.0.clear();
        due
    }
}

impl Repeated {
    fn take(&mut self, now: Instant) -> Due {
        self.since = now;
        let events = std::mem::take(&mut self.more);
        Due { draft: self.draft.clone(), events, latest: self.latest }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Action, Outcome};
    use super::*;

    /// Whether an event is said at once.
    fn says(repeats: &mut Repeats, event: EventId, key: u64, now: Instant) -> bool {
        let draft = Draft::new(event, Action::Execute, Outcome::Success);
        let at = Timestamp::UNIX_EPOCH;
        !repeats.count(key, at) && repeats.begin(key, &draft, now, at)
    }

    fn is_said(repeats: &mut Repeats, key: u64, now: Instant) -> bool {
        says(repeats, EventId::Query, key, now)
    }

    #[test]
    fn of_a_thousand_in_three_seconds_few_are_said_and_their_counts_add_up() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let (mut said, mut counts) = (0, Vec::new());
        for number in 0..1000 {
            let now = start + Duration::from_millis(3) * number;
            counts.extend(repeats.due(now).into_iter().map(|due| due.events));
            said += u64::from(is_said(&mut repeats, 1, now));
        }
        counts.extend(repeats.end(start).into_iter().map(|due| due.events));
        assert_eq!(said, 1);
        assert!(counts.len() <= 3, "{counts:?}");
        assert_eq!(said + counts.iter().sum::<u64>(), 1000);
    }

    #[test]
    fn what_is_not_the_same_is_said_by_itself_and_after_a_second_the_same_is_again() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        assert!(is_said(&mut repeats, 1, start));
        assert!(is_said(&mut repeats, 2, start));
        assert!(!is_said(&mut repeats, 1, start));
        assert_eq!(repeats.next_due(), Some(start + WINDOW));
        assert_eq!(repeats.due(start + WINDOW).len(), 1, "one had a like");
        assert_eq!(repeats.due(start + 2 * WINDOW), []);
        assert!(is_said(&mut repeats, 1, start + 2 * WINDOW));
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        for key in 1..MOST as u64 + 10 {
            assert!(is_said(&mut repeats, key, start));
        }
        assert_eq!(repeats.0.len(), MOST);
        assert!(is_said(&mut repeats, u64::MAX, start), "there was no room, so it is said");
        assert!(!is_said(&mut repeats, 1, start));
        let mut is_refused = |key| says(&mut repeats, EventId::SecurityAlert, key, start);
        assert_eq!((10_000..20_000).filter(|key| is_refused(*key)).count(), 1);
        assert!(repeats.0.len() <= MOST + 1);
    }

    #[test]
    fn who_is_refused_all_day_long_leaves_a_message_a_minute() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let (mut said, mut events) = (0, 0);
        for second in 0..3600 {
            let now = start + Duration::from_secs(second);
            for due in repeats.due(now) {
                (said, events) = (said + 1, events + due.events);
            }
            events += u64::from(says(&mut repeats, EventId::SecurityAlert, 1, now));
        }
        events += repeats.end(start).into_iter().map(|due| due.events).sum::<u64>();
        assert_eq!(events, 3600);
        assert!((50..=60).contains(&said), "{said}");
    }
}
