//! How the deliveries of one webhook went, as far as this process made them.

use super::metrics::Counted;
use jiff::Timestamp;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The latest that is known.
#[derive(Debug, Default)]
pub(super) struct DeliveryRecord {
    seen: Mutex<DeliveryState>,
    counted: Counted,
}

#[derive(Debug, Clone, Default)]
pub(super) struct DeliveryState {
    /// When it last took a delivery.
    pub(super) succeeded_at: Option<Timestamp>,
    /// When a delivery last failed, and what was wrong.
    pub(super) failed: Option<(Timestamp, String)>,
    /// Whether the latest one failed.
    fails: bool,
    /// Completions that were given up since it last took one.
    dead_letters: u64,
}

impl DeliveryRecord {
    /// One that counts.
    pub(super) fn new(counted: Counted) -> Self {
        Self { counted, ..Self::default() }
    }

    /// It took a delivery. If that is news, how many were given up meanwhile.
    pub(super) fn succeeded(&self) -> Option<u64> {
        let mut seen = self.lock();
        self.counted.taken.inc();
        self.counted.failing.set(0);
        seen.succeeded_at = Some(Timestamp::now());
        let dead_letters = std::mem::take(&mut seen.dead_letters);
        std::mem::take(&mut seen.fails).then_some(dead_letters)
    }

    /// A delivery failed. Whether that is news.
    pub(super) fn failed(&self, cause: &str) -> bool {
        let mut seen = self.lock();
        self.counted.failed.inc();
        self.counted.failing.set(1);
        seen.failed = Some((Timestamp::now(), cause.to_owned()));
        !std::mem::replace(&mut seen.fails, true)
    }

    /// A completion was given up. Whether it is the first since a delivery succeeded.
    pub(super) fn gave_up(&self) -> bool {
        let mut seen = self.lock();
        self.counted.dead_letters.inc();
        seen.dead_letters += 1;
        seen.dead_letters == 1
    }

    pub(super) fn seen(&self) -> DeliveryState {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, DeliveryState> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_news_when_it_begins_when_it_costs_something_and_when_it_ends() {
        let record = DeliveryRecord::default();
        assert_eq!(record.succeeded(), None, "it was well before");
        let failed: Vec<_> = (0..3).map(|_| record.failed("the answer was 503")).collect();
        assert_eq!(failed, [true, false, false]);
        let gave_up: Vec<_> = (0..3).map(|_| record.gave_up()).collect();
        assert_eq!(gave_up, [true, false, false]);
        assert_eq!(record.counted.failing.get(), 1);
        assert_eq!((record.succeeded(), record.succeeded()), (Some(3), None));
        assert_eq!(record.counted.failing.get(), 0);
        assert!(record.failed("the answer was 503") && record.gave_up(), "trouble again");
    }
}
