//! How long to wait before a delivery is tried again.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use std::time::Duration;

/// Pause after the first try; it doubles with each further one.
const FIRST: Duration = Duration::from_secs(1);

/// Longest pause: a receiver that is back after a night waits no longer for what it missed. What
/// the receiver asks for is held to it too.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The pause after so many tries, as long as the receiver asked for at least. `chance` is from 0 to
/// 1: a quarter more or less, so that what failed together does not come back together.
pub(super) fn after(tries: u32, asked: Option<Duration>, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(2u32.saturating_pow(tries.saturating_sub(1)));
    let asked = asked.unwrap_or_default().min(LONGEST);
    doubled.min(LONGEST).mul_f64(0.75 + chance / 2.0).max(asked)
}

/// What `Retry-After` asks for (RFC 9110 section 10.2.3): seconds, or a date.
pub(super) fn asked(retry_after: &str, now: Timestamp) -> Option<Duration> {
    let text = retry_after.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Duration::try_from(at.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_differ() {
        let mean = |tries| after(tries, None, 0.5).as_secs();
        assert_eq!([1, 2, 3, 12, 13, 280].map(mean), [1, 2, 4, 2048, 3600, 3600]);
        assert_eq!(after(3, None, 0.0), Duration::from_secs(3));
        assert_eq!(after(3, None, 1.0), Duration::from_secs(5));
    }

    #[test]
    fn a_receiver_can_ask_for_more_but_not_for_less_nor_for_days() {
        let seconds = |asked| after(3, Some(Duration::from_secs(asked)), 0.5).as_secs();
        assert_eq!([1, 90, 1_000_000].map(seconds), [4, 90, 3600]);
        let now = "1994-11-06T08:49:07Z".parse().unwrap();
        assert_eq!(asked("120", now), Some(Duration::from_secs(120)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(asked(date, now), Some(Duration::from_secs(30)));
        for past_or_none in ["Sun, 06 Nov 1994 08:00:00 GMT", "soon", "-1", ""] {
            assert_eq!(asked(past_or_none, now), None, "{past_or_none}");
        }
    }
}
