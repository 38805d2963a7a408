//! When to publish that more of an instance has arrived.

use std::time::{Duration, Instant};

/// How long an instance may take before its first heartbeat, and the time between two of them: well
/// below any sensible quiet period, and rare enough not to weigh on the stream.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);

/// The heartbeat of one instance that is being received.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    last: Instant,
    /// What had arrived of its data set by then.
    bytes: u64,
}

impl Heartbeat {
    /// For a data set that begins `now`.
    #[must_use]
    pub(crate) fn new(now: Instant) -> Self {
        Self { last: now, bytes: 0 }
    }

    /// Whether it is time, with `bytes` of the data set here.
    #[must_use]
    pub(crate) fn is_due(&self, now: Instant, bytes: u64) -> bool {
        bytes > self.bytes && now.duration_since(self.last) >= HEARTBEAT
    }

    /// Records that a heartbeat with `bytes` is published.
    pub(crate) fn published(&mut self, now: Instant, bytes: u64) {
        *self = Self { last: now, bytes };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_arrives_within_a_second_has_no_heartbeat() {
        let start = Instant::now();
        let heartbeat = Heartbeat::new(start);
        assert!(!heartbeat.is_due(start + HEARTBEAT - Duration::from_millis(1), 1000));
        assert!(heartbeat.is_due(start + HEARTBEAT, 1000));
    }

    #[test]
    fn a_heartbeat_is_said_once_a_second() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(start);
        heartbeat.published(start + HEARTBEAT, 1000);
        assert!(!heartbeat.is_due(start + HEARTBEAT, 2000));
        assert!(!heartbeat.is_due(start + HEARTBEAT * 3 / 2, 2000));
        assert!(heartbeat.is_due(start + HEARTBEAT * 2, 2000));
    }

    #[test]
    fn a_sender_that_hangs_has_no_heartbeat() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(start);
        assert!(!heartbeat.is_due(start + HEARTBEAT * 10, 0));
        heartbeat.published(start + HEARTBEAT, 1000);
        assert!(!heartbeat.is_due(start + HEARTBEAT * 10, 1000));
    }
}
