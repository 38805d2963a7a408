//! Pauses inside series, by sender: how long one was at most without activity before the next instance came. They are
//! reported, with the quiet period that they suggest; no rule goes by them.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Values of one [`Sample`]: when it has as many, the next one begins. Two are kept.
pub(crate) const SAMPLE: u32 = 500;

/// Senders whose pauses are learnt. AE titles are what a sender calls itself, so their number has to be bounded.
pub(crate) const MAX_LEARNT: usize = 1000;

/// Fewer values than this suggest nothing.
pub(crate) const ENOUGH: u32 = 20;

/// Bits of a value that tell its bucket: 16 buckets from each power of two to the next, so that the upper bound of a
/// bucket is at most a sixteenth above the values in it.
const BITS: u32 = 4;

/// The pauses of one sender: the longest of each completion of a series, of the latest 500 to 1,000.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pauses {
    /// The sample before the latest.
    #[serde(default)]
    earlier: Sample,
    latest: Sample,
}

/// Values as a histogram.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sample {
    /// How many values there are.
    count: u32,
    /// The largest, in milliseconds.
    max_ms: u64,
    /// How many values there are in each bucket, without those that have none.
    buckets: BTreeMap<u16, u32>,
}

/// What the pauses of a sender say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PauseSummary {
    /// Of how many completions of series.
    pub series_count: u32,
    /// Half of them had no longer pause. It is at most a sixteenth too long, and 1 ms.
    pub p50: SignedDuration,
    /// The same of 99 in 100.
    pub p99: SignedDuration,
    /// The longest, to 1 ms.
    pub max: SignedDuration,
    /// One and a half times `p99`, in whole seconds; `None` of fewer than 20 completions.
    pub suggested_quiet_period: Option<SignedDuration>,
}

impl Pauses {
    /// One more completion, the longest pause of which was this long, in milliseconds.
    pub fn add(&mut self, longest_ms: u64) {
        if self.latest.count >= SAMPLE {
            self.earlier = std::mem::take(&mut self.latest);
        }
        self.latest.count += 1;
        self.latest.max_ms = self.latest.max_ms.max(longest_ms);
        *self.latest.buckets.entry(bucket(longest_ms)).or_default() += 1;
    }

    /// What they say; `None` before the first.
    #[must_use]
    pub fn summary(&self) -> Option<PauseSummary> {
        let series_count = self.earlier.count + self.latest.count;
        if series_count == 0 {
            return None;
        }
        let max_ms = self.earlier.max_ms.max(self.latest.max_ms);
        let mut buckets = self.earlier.buckets.clone();
        for (bucket, values) in &self.latest.buckets {
            *buckets.entry(*bucket).or_default() += values;
        }
        let percentile = |percent: u32| {
            // The nearest rank: the smallest value that as many are not above.
            let rank = (u64::from(series_count) * u64::from(percent)).div_ceil(100);
            let mut values = 0;
            let of_rank = buckets.iter().find(|(_, here)| {
                values += u64::from(**here);
                values >= rank
            });
            of_rank.map_or(max_ms, |(bucket, _)| upper_bound(*bucket).min(max_ms))
        };
        let (p50, p99) = (percentile(50), percentile(99));
        let suggested = p99.saturating_mul(3).div_ceil(2000).max(1);
        let enough = series_count >= ENOUGH;
        Some(PauseSummary {
            series_count,
            p50: milliseconds(p50),
            p99: milliseconds(p99),
            max: milliseconds(max_ms),
            suggested_quiet_period: enough.then(|| milliseconds(suggested.saturating_mul(1000))),
        })
    }
}

/// How long that is in milliseconds, rounded up; `None` of what is before it began.
pub(crate) fn rounded_up(pause: SignedDuration) -> Option<u64> {
    u64::try_from(pause.as_nanos()).ok().map(|nanoseconds| nanoseconds.div_ceil(1_000_000))
}

fn milliseconds(number: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The bucket of a value. In whole numbers, so that it is the same on every machine.
fn bucket(value: u64) -> u16 {
    let shift = value.checked_ilog2().map_or(0, |bits| bits.saturating_sub(BITS));
    let mantissa = value >> shift;
    // At most 60 shifts of 16 and a mantissa of 31.
    u16::try_from((u64::from(shift) << BITS) + mantissa).unwrap_or(u16::MAX)
}

/// The largest value of a bucket.
fn upper_bound(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    let Some(shift) = (bucket >> BITS).checked_sub(1) else { return bucket };
    let mantissa = bucket - (shift << BITS);
    u64::try_from(((u128::from(mantissa) + 1) << shift.min(64)) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: impl IntoIterator<Item = u64>) -> PauseSummary {
        let mut pauses = Pauses::default();
        values.into_iter().for_each(|value| pauses.add(value));
        pauses.summary().unwrap()
    }

    #[test]
    fn a_sender_without_pauses_says_nothing() {
        assert_eq!(Pauses::default().summary(), None);
    }

    #[test]
    fn too_few_series_suggest_nothing() {
        assert_eq!(of([800; 19]).suggested_quiet_period, None);
        let summary = of([800; 20]);
        assert_eq!(summary.max, SignedDuration::from_millis(800));
        assert_eq!(summary.suggested_quiet_period, Some(SignedDuration::from_secs(2)));
        assert_eq!(of([3; 20]).suggested_quiet_period, Some(SignedDuration::from_secs(1)));
    }

    #[test]
    fn one_long_pause_in_a_hundred_series_is_the_longest_and_two_are_the_99th() {
        let summary = of((0..99).map(|_| 100).chain([20_000]));
        assert_eq!(summary.p99, SignedDuration::from_millis(103));
        assert_eq!(summary.max, SignedDuration::from_secs(20));
        let summary = of((0..98).map(|_| 100).chain([20_000, 20_000]));
        assert_eq!(summary.p99, SignedDuration::from_secs(20));
        assert_eq!(summary.suggested_quiet_period, Some(SignedDuration::from_secs(30)));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut pauses = Pauses::default();
        pauses.add(60_000);
        for value in 1..=1000 {
            pauses.add(5);
            let summary = pauses.summary().unwrap();
            let longest = if value < 1000 { 60_000 } else { 5 };
            assert_eq!(summary.max, SignedDuration::from_millis(longest), "{value}");
            assert!(summary.series_count <= 2 * SAMPLE);
            assert!(summary.series_count >= SAMPLE.min(value + 1));
        }
    }

    proptest! {
        #[test]
        fn percentiles_are_at_most_a_sixteenth_above_the_true_ones(
            mut values in prop::collection::vec(0_u64..7_200_000, 1..900),
        ) {
            let summary = of(values.iter().copied());
            values.sort_unstable();
            for (percent, told) in [(50, summary.p50), (99, summary.p99)] {
                let truth = values[(values.len() * percent).div_ceil(100) - 1];
                let told = told.as_millis() as u64;
                prop_assert!((truth..=truth + truth / 16).contains(&told), "{truth} {told}");
            }
            prop_assert_eq!(summary.max.as_millis() as u64, *values.last().unwrap());
        }

        #[test]
        fn every_value_is_in_its_bucket(value: u64) {
            let bound = upper_bound(bucket(value));
            prop_assert!(bound >= value && bound - value <= value / 16, "{value} {bound}");
        }
    }
}
