//! How often something happened that a peer can make happen as often as it likes, and when to say so:
//! a sender that is turned away or refused tries again at once, and must fill neither the stream nor
//! the log.

use std::time::{Duration, Instant};

/// Over which the limit holds.
const WINDOW: Duration = Duration::from_secs(1);

/// A limit on reports of one kind in one process.
#[derive(Debug)]
pub struct LogLimit {
    /// How many are said in a second.
    most: u32,
    unsaid: u64,
    /// When this second began, and how many were said in it.
    window: Option<(Instant, u32)>,
}

impl LogLimit {
    /// Of which `most` are to be said in a second.
    #[must_use]
    pub fn per_second(most: u32) -> Self {
        Self { most, unsaid: 0, window: None }
    }

    /// Counts one more. When it may be said, this is how many there were since one was said last; at
    /// the end of a burst the rest waits for the next one.
    pub fn count(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        let (began, said) = match self.window {
            Some((began, said)) if now.duration_since(began) < WINDOW => (began, said),
            _ => (now, 0),
        };
        if said >= self.most {
            return None;
        }
        self.window = Some((began, said + 1));
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(most: u32, times: u32) -> Vec<u64> {
        let (start, step) = (Instant::now(), Duration::from_millis(10));
        let mut occurrences = LogLimit::per_second(most);
        (0..times).filter_map(|number| occurrences.count(start + step * number)).collect()
    }

    #[test]
    fn a_burst_is_said_once_a_second_with_none_left_out() {
        assert_eq!(said(1, 1), [1]);
        assert_eq!(said(1, 250), [1, 100, 100]);
    }

    #[test]
    fn the_first_of_each_second_are_said_one_by_one() {
        assert_eq!(said(3, 250), [1, 1, 1, 98, 1, 1, 98, 1, 1]);
    }

    #[test]
    fn what_was_not_said_is_said_with_the_next_one_however_late() {
        let start = Instant::now();
        let mut occurrences = LogLimit::per_second(1);
        assert_eq!(occurrences.count(start), Some(1));
        assert_eq!(occurrences.count(start), None);
        assert_eq!(occurrences.count(start + Duration::from_secs(3600)), Some(2));
    }
}
