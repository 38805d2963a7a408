//! When a series is complete: a session window over event time, as a pure state machine.
//!
//! It reads no clock. Time is what the broker says it is: activity carries the time at which the
//! stream stored it, and the watermark is the time up to which everything in the stream has been
//! processed. While a backlog is being read the watermark stands still, so nothing is decided over
//! the head of an instance that waits unread.
//!
//! There is one rule so far, `quiet`. The others of the design (`released`, `expected`,
//! `interrupted`, `requested`, `overdue`) each give an open series another due time in
//! `Debouncer::due_of`, and another [`Reason`].

use jiff::{SignedDuration, Timestamp};
use shared::catalog::{Completion, OpenSeries};
use shared::event::Reason;
use shared::uid::SeriesInstanceUid;
use std::collections::{BTreeSet, HashMap};

/// Decides which of the open series are complete.
#[derive(Debug)]
pub struct Debouncer {
    quiet_period: SignedDuration,
    /// Everything stored before it has been observed.
    watermark: Timestamp,
    /// The open series, with the time of their last activity.
    open: HashMap<SeriesInstanceUid, Timestamp>,
    /// The same, by when they are due.
    due: BTreeSet<(Timestamp, SeriesInstanceUid)>,
}

impl Debouncer {
    /// Without open series. A series is complete when it had no activity for `quiet_period`.
    #[must_use]
    pub fn new(quiet_period: SignedDuration) -> Self {
        let (open, due) = (HashMap::new(), BTreeSet::new());
        Self { quiet_period, watermark: Timestamp::MIN, open, due }
    }

    /// Takes up a series that was open before a restart.
    pub fn restore(&mut self, open: OpenSeries) {
        self.observe(open.series, open.last_activity);
    }

    /// Something happened to a series, which is open from then on.
    pub fn observe(&mut self, series: SeriesInstanceUid, at: Timestamp) {
        let last_activity = match self.open.get(&series) {
            Some(before) => at.max(*before),
            None => at,
        };
        if let Some(before) = self.open.insert(series.clone(), last_activity) {
            self.due.remove(&(self.due_of(before), series.clone()));
        }
        self.due.insert((self.due_of(last_activity), series));
    }

    /// Everything stored before `watermark` has been observed. It never goes back.
    pub fn advance(&mut self, watermark: Timestamp) {
        self.watermark = self.watermark.max(watermark);
    }

    /// When the next series is due: [`Debouncer::poll`] gives it once the watermark has passed
    /// that time, unless there is activity before.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The next series that is complete. Due means strictly before the watermark: what was stored
    /// in the very instant of the watermark may not have been observed.
    #[must_use]
    pub fn poll(&mut self) -> Option<Completion> {
        if self.next_due()? >= self.watermark {
            return None;
        }
        let (_, series) = self.due.pop_first()?;
        self.open.remove(&series);
        Some(Completion { series, reason: Reason::Quiet, decided_at: self.watermark })
    }

    /// When a series with this last activity is due.
    fn due_of(&self, last_activity: Timestamp) -> Timestamp {
        last_activity.saturating_add(self.quiet_period).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn series(number: u64) -> SeriesInstanceUid {
        SeriesInstanceUid::parse(&format!("2.25.{number}")).unwrap()
    }

    fn second(number: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number as i64)
    }

    fn debouncer() -> Debouncer {
        Debouncer::new(SignedDuration::from_secs(10))
    }

    fn completed(debouncer: &mut Debouncer) -> Vec<SeriesInstanceUid> {
        std::iter::from_fn(|| debouncer.poll()).map(|completion| completion.series).collect()
    }

    #[test]
    fn a_series_is_complete_once_the_watermark_is_past_its_quiet_period() {
        let mut debouncer = debouncer();
        debouncer.observe(series(1), second(5));
        assert_eq!(debouncer.next_due(), Some(second(15)));
        debouncer.advance(second(15));
        assert_eq!(debouncer.poll(), None);
        debouncer.advance(second(16));
        let expected =
            Completion { series: series(1), reason: Reason::Quiet, decided_at: second(16) };
        assert_eq!(debouncer.poll(), Some(expected));
        assert_eq!(debouncer.poll(), None);
        assert_eq!(debouncer.next_due(), None);
    }

    #[test]
    fn activity_puts_it_off_and_old_activity_does_not_bring_it_forward() {
        let mut debouncer = debouncer();
        debouncer.observe(series(1), second(5));
        debouncer.observe(series(1), second(9));
        debouncer.observe(series(1), second(2));
        assert_eq!(debouncer.next_due(), Some(second(19)));
        debouncer.advance(second(18));
        assert_eq!(debouncer.poll(), None);
    }

    #[test]
    fn the_watermark_never_goes_back() {
        let mut debouncer = debouncer();
        debouncer.advance(second(100));
        debouncer.advance(second(1));
        debouncer.observe(series(1), second(5));
        assert_eq!(completed(&mut debouncer), [series(1)]);
    }

    #[test]
    fn a_restored_series_is_due_as_if_nothing_had_happened() {
        let mut debouncer = debouncer();
        debouncer.restore(OpenSeries { series: series(1), last_activity: second(5) });
        assert_eq!(debouncer.next_due(), Some(second(15)));
    }

    #[test]
    fn a_completed_series_opens_again_with_new_activity() {
        let mut debouncer = debouncer();
        debouncer.observe(series(1), second(5));
        debouncer.advance(second(20));
        assert_eq!(completed(&mut debouncer), [series(1)]);
        debouncer.observe(series(1), second(21));
        debouncer.advance(second(32));
        assert_eq!(completed(&mut debouncer), [series(1)]);
    }

    /// The rule, word for word and slow: every series, every time.
    fn model(
        activity: &mut HashMap<SeriesInstanceUid, Timestamp>,
        watermark: Timestamp,
    ) -> Vec<SeriesInstanceUid> {
        let mut due: Vec<_> = activity
            .iter()
            .map(|(series, at)| (*at + SignedDuration::from_secs(10), series.clone()))
            .filter(|(due, _)| *due < watermark)
            .collect();
        due.sort();
        due.into_iter()
            .map(|(_, series)| {
                activity.remove(&series);
                series
            })
            .collect()
    }

    proptest! {
        #[test]
        fn it_decides_what_the_slow_model_decides(
            steps in prop::collection::vec((0_u64..5, 0_u64..200, any::<bool>()), 1..200),
        ) {
            let mut debouncer = debouncer();
            let (mut activity, mut watermark) = (HashMap::new(), Timestamp::MIN);
            for (number, time, is_activity) in steps {
                if is_activity {
                    debouncer.observe(series(number), second(time));
                    let last = activity.entry(series(number)).or_insert(second(time));
                    *last = second(time).max(*last);
                } else {
                    debouncer.advance(second(time));
                    watermark = watermark.max(second(time));
                    prop_assert_eq!(completed(&mut debouncer), model(&mut activity, watermark));
                }
                prop_assert_eq!(debouncer.open.len(), debouncer.due.len());
            }
        }
    }
}
