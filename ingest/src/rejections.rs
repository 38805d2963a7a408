//! How many callers were turned away, and when to say so: a sender that may not or cannot get in
//! calls again at once, and must fill neither the stream nor the log.

use std::time::{Duration, Instant};

/// The shortest time between two times that rejections are spoken of.
const SAID_EVERY: Duration = Duration::from_secs(1);

/// The rejections of one process.
#[derive(Debug, Default)]
pub struct Rejections {
    unsaid: u64,
    said: Option<Instant>,
}

impl Rejections {
    /// Counts one more. When it is time to speak of them, this is how many there were since the
    /// last time; those of a burst's end wait for the next one.
    pub fn count(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.said.is_some_and(|said| now.duration_since(said) < SAID_EVERY) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rejection_is_said_at_once() {
        assert_eq!(Rejections::default().count(Instant::now()), Some(1));
    }

    #[test]
    fn a_burst_is_said_once_a_second_with_none_left_out() {
        let (start, step) = (Instant::now(), Duration::from_millis(10));
        let mut rejections = Rejections::default();
        let said: Vec<_> =
            (0..250).filter_map(|number| rejections.count(start + step * number)).collect();
        assert_eq!(said, [1, 100, 100]);
        // The other 49 are said with the next one, however late.
        assert_eq!(rejections.count(start + Duration::from_secs(3600)), Some(50));
    }
}
