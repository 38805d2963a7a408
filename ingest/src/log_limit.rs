//! Limit on log lines and events about what a peer can cause as often as it likes: a sender that is rejected or
//! refused tries again at once, and must fill neither the stream nor the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time over which the limit holds.
const WINDOW: Duration = Duration::from_secs(1);

/// A limit on reports of one kind in one process. It counts what it leaves out.
#[derive(Debug)]
pub(crate) struct LogLimit {
    /// How many are reported in a second.
    most: u32,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    unreported: u64,
    /// When this second began, and how many were reported in it.
    window: Option<(Instant, u32)>,
}

impl LogLimit {
    /// At most `most` reports in a second.
    #[must_use]
    pub(crate) fn per_second(most: u32) -> Self {
        Self { most, counted: Mutex::default() }
    }

    /// Counts one more. If it may be reported, returns how many there were since the last report; the
    /// rest of a burst is counted with the next report.
    pub(crate) fn count(&self, now: Instant) -> Option<u64> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.unreported += 1;
        let (began, reported) = match counted.window {
            Some((began, reported)) if now.duration_since(began) < WINDOW => (began, reported),
            _ => (now, 0),
        };
        if reported >= self.most {
            return None;
        }
        counted.window = Some((began, reported + 1));
        Some(std::mem::take(&mut counted.unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(most: u32, times: u32) -> Vec<u64> {
        let (start, step) = (Instant::now(), Duration::from_millis(10));
        let limit = LogLimit::per_second(most);
        (0..times).filter_map(|number| limit.count(start + step * number)).collect()
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
        let limit = LogLimit::per_second(1);
        assert_eq!(limit.count(start), Some(1));
        assert_eq!(limit.count(start), None);
        assert_eq!(limit.count(start + Duration::from_secs(3600)), Some(2));
    }
}
