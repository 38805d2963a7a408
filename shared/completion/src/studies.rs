//! When it is time for a study to be complete: a while after the latest of its series was. A pure
//! state machine over the broker's time, beside `debounce`, which reads no clock either.
//!
//! It hears of completions, not of instances, and so costs an instance nothing. Whether a series of
//! the study is receiving is known to the catalogue, and looked up once it is time.

use crate::StudyCompletion;
use crate::clock::Step;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashMap};

/// Decides when it is time for which study.
#[derive(Debug, Clone)]
pub struct Studies {
    /// None when studies are not announced.
    quiet_period: Option<SignedDuration>,
    /// Everything stored before it has been observed.
    watermark: Timestamp,
    /// The studies that are not complete, each with when it is time for it.
    open: HashMap<String, Timestamp>,
    /// The same, by when it is time for them.
    due: BTreeSet<(Timestamp, String)>,
}

impl Studies {
    /// Without studies.
    #[must_use]
    pub fn new(quiet_period: Option<SignedDuration>) -> Self {
        let (open, due) = (HashMap::new(), BTreeSet::new());
        Self { quiet_period, watermark: Timestamp::MIN, open, due }
    }

    /// Whether studies are announced.
    #[must_use]
    pub fn are_announced(&self) -> bool {
        self.quiet_period.is_some()
    }

    /// Takes up what was known before a restart, at `now` by the broker's clock: the studies, each
    /// with when the latest of its series was complete, if that is known in the broker's time.
    pub fn restore(
        &mut self,
        open: impl IntoIterator<Item = (String, Option<Timestamp>)>,
        now: Timestamp,
    ) {
        for (study, at) in open {
            // One that is ahead of the clock is from before it was set back.
            self.series_completed(&study, at.map_or(now, |at| at.min(now)));
        }
    }

    /// A series of the study was complete at this time.
    pub fn series_completed(&mut self, study: &str, at: Timestamp) {
        // Series that name no study are in none.
        if !study.is_empty() {
            self.schedule(study, at);
        }
    }

    /// A series of the study is receiving, so it waits; it is looked at again after a quiet period,
    /// or when that series is complete.
    pub fn waits(&mut self, study: &str) {
        self.schedule(study, self.watermark);
    }

    fn schedule(&mut self, study: &str, from: Timestamp) {
        let Some(quiet_period) = self.quiet_period else { return };
        let due = from.saturating_add(quiet_period).unwrap_or(Timestamp::MAX);
        if let Some(before) = self.open.insert(study.to_owned(), due) {
            self.due.remove(&(before, study.to_owned()));
        }
        self.due.insert((due, study.to_owned()));
    }

    /// Everything stored before `watermark` has been observed. It never goes back.
    pub fn advance(&mut self, watermark: Timestamp) {
        self.watermark = self.watermark.max(watermark);
    }

    /// The broker's clock was set: all times move along.
    pub fn step(&mut self, step: &Step) {
        self.watermark = self.watermark.min(step.now());
        for (study, completed_at) in self.open() {
            self.schedule(&study, step.moved(completed_at));
        }
    }

    /// The studies that wait, each with when the latest of its series was complete.
    #[must_use]
    pub fn open(&self) -> Vec<(String, Timestamp)> {
        let Some(quiet_period) = self.quiet_period else { return Vec::new() };
        let since = |due: &Timestamp| due.saturating_sub(quiet_period).unwrap_or(Timestamp::MIN);
        self.open.iter().map(|(study, due)| (study.clone(), since(due))).collect()
    }

    /// When it is time for the next study.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whether [`Studies::poll`] has a study to give.
    #[must_use]
    pub fn are_due(&self) -> bool {
        self.next_due().is_some_and(|due| due < self.watermark)
    }

    /// The next study that it is time for: due is strictly before the watermark, as with series.
    #[must_use]
    pub fn poll(&mut self) -> Option<StudyCompletion> {
        if !self.are_due() {
            return None;
        }
        let (_, study) = self.due.pop_first()?;
        self.open.remove(&study);
        Some(StudyCompletion { study, decided_at: self.watermark })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number)
    }

    /// With a quiet period of a minute.
    fn studies() -> Studies {
        Studies::new(Some(SignedDuration::from_secs(60)))
    }

    fn polled(studies: &mut Studies, watermark: Timestamp) -> Vec<String> {
        studies.advance(watermark);
        std::iter::from_fn(|| studies.poll()).map(|completion| completion.study).collect()
    }

    #[test]
    fn it_is_time_a_quiet_period_after_the_latest_of_its_series() {
        let mut studies = studies();
        studies.series_completed("1.1", second(0));
        studies.series_completed("1.2", second(10));
        studies.series_completed("1.1", second(50));
        assert_eq!(studies.next_due(), Some(second(70)));
        assert!(polled(&mut studies, second(70)).is_empty(), "due is strictly before");
        assert_eq!(polled(&mut studies, second(71)), ["1.2"]);
        assert_eq!(studies.next_due(), Some(second(110)));
        assert_eq!(polled(&mut studies, second(111)), ["1.1"]);
        assert_eq!(studies.next_due(), None, "each once");
    }

    #[test]
    fn one_that_waits_for_a_series_is_looked_at_when_that_is_complete_or_after_a_while() {
        let mut studies = studies();
        studies.series_completed("1.1", second(0));
        assert_eq!(polled(&mut studies, second(61)), ["1.1"]);
        studies.waits("1.1");
        assert_eq!(studies.next_due(), Some(second(121)));
        studies.series_completed("1.1", second(55));
        assert_eq!(studies.next_due(), Some(second(115)), "the completion counts");
    }

    #[test]
    fn a_restart_forgets_none_and_what_has_no_time_of_the_brokers_has_its_own() {
        let mut studies = studies();
        let open = [("1.1".to_owned(), Some(second(3))), ("1.2".to_owned(), None)];
        studies.restore(open, second(40));
        assert_eq!(polled(&mut studies, second(99)), ["1.1"]);
        assert_eq!(studies.next_due(), Some(second(100)));
    }

    #[test]
    fn without_a_quiet_period_and_without_a_uid_there_is_none() {
        let mut off = Studies::new(None);
        off.series_completed("1.1", second(0));
        assert_eq!((off.next_due(), off.are_announced()), (None, false));
        let mut studies = studies();
        studies.series_completed("", second(0));
        assert_eq!(studies.next_due(), None);
    }
}
