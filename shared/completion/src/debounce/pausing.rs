//! How long a series was without activity before its sender went on: what the quiet period has to outlast. It is learnt
//! when the series is complete, and decides nothing.

use super::{Debouncer, Stored};
use crate::pauses::{MAX_LEARNT, rounded_up};
use crate::{Completed, OpenSeries, Pauses};
use contract::event::Reason;

impl Debouncer {
    /// Takes up the pauses that were learnt before a restart.
    pub fn restore_pauses(&mut self, pauses: impl IntoIterator<Item = (String, Pauses)>) {
        self.pauses.extend(pauses);
    }

    /// What is learnt of the pauses of each sender.
    pub fn pauses(&self) -> impl Iterator<Item = (&str, &Pauses)> {
        self.pauses.iter().map(|(sender, pauses)| (sender.as_str(), pauses))
    }

    /// The same of one sender.
    #[must_use]
    pub fn pauses_of(&self, sender: &str) -> Option<&Pauses> {
        self.pauses.get(sender)
    }

    /// Whether a quiet period could outlast a pause of so many milliseconds. What comes later than `max_open` after the
    /// last activity is a revision of its own whatever the quiet period is.
    pub(super) fn could_be_quiet(&self, sender: &str, pause_ms: u64) -> bool {
        rounded_up(self.senders.rules(sender).max_open).is_some_and(|most| pause_ms <= most)
    }

    /// A series is complete. Whose pauses those of several senders are, nobody knows.
    pub(super) fn learn_pause(&mut self, complete: &OpenSeries) {
        let Some(longest) = complete.longest_pause_ms.filter(|_| complete.senders.len() == 1)
        else {
            return;
        };
        let sender = &complete.sender;
        if !self.pauses.contains_key(sender) && self.pauses.len() >= MAX_LEARNT {
            return;
        }
        self.pauses.entry(sender.clone()).or_default().add(longest);
        self.changed_pauses.insert(sender.clone());
    }

    pub(super) fn take_pauses(&mut self) -> Vec<(String, Pauses)> {
        let changed = std::mem::take(&mut self.changed_pauses).into_iter();
        let of = |sender: String| {
            let pauses = self.pauses.get(&sender)?.clone();
            Some((sender, pauses))
        };
        changed.filter_map(of).collect()
    }
}

/// The pause of an open series that ends with this instance, in milliseconds, if it is longer than those before.
/// After an abort the grace period counts, and what is fetched comes when it is fetched.
pub(super) fn longer(stored: &Stored<'_>, open: &OpenSeries) -> Option<u64> {
    let pause = rounded_up(stored.at.duration_since(open.last_activity))?;
    let is_longer = open.longest_pause_ms.is_none_or(|longest| pause > longest);
    let is_fetched = || open.asking.as_ref().is_some_and(|asking| !asking.fetched.is_empty());
    let counts = is_longer && !open.interrupted && open.sender == stored.sender && !is_fetched();
    counts.then_some(pause)
}

/// The same of a series that was complete: it was announced in a pause.
pub(super) fn since(stored: &Stored<'_>, completed: &Completed) -> Option<u64> {
    let by_itself = !matches!(completed.reason, Reason::Interrupted | Reason::Stored);
    let counts = by_itself && completed.sender == stored.sender;
    let pause = || rounded_up(stored.at.duration_since(completed.last_activity));
    counts.then(pause).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::Closed;
    use super::*;
    use crate::{Decided, Effect, Rules, Senders};
    use contract::event::{Ending, SeriesShare};
    use contract::uid::SeriesInstanceUid;
    use jiff::{SignedDuration, Timestamp};

    fn second(number: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number)
    }

    fn series() -> SeriesInstanceUid {
        SeriesInstanceUid::parse("2.25.1").unwrap()
    }

    /// A series in which instances come at these seconds, by their sender; it is never released.
    #[derive(Default)]
    struct Arriving {
        ordinal: u64,
        completed: Option<Completed>,
    }

    impl Arriving {
        fn stored(&mut self, debouncer: &mut Debouncer, at: i64, sender: &str, effect: &Effect) {
            self.ordinal += 1;
            let series = series();
            let (ordinal, association) = (self.ordinal, format!("{sender} {}", self.ordinal / 100));
            let stored = Stored {
                instance: "1.2",
                series: &series,
                at: second(at),
                sender,
                association: &association,
                node: "node",
                ordinal,
                series_ordinal: ordinal,
                effect,
                expected: None,
            };
            debouncer.stored(&stored, self.completed.as_ref());
            self.completed = None;
        }

        /// Everything up to this second is observed.
        fn complete(&mut self, debouncer: &mut Debouncer, by: i64, last: i64, sender: &str) {
            debouncer.advance(second(by));
            let Some(Decided::Complete(completion)) = debouncer.poll() else {
                panic!("not complete at {by}");
            };
            self.completed = Some(Completed {
                reason: completion.reason,
                last_activity: second(last),
                sender: sender.to_owned(),
            });
        }
    }

    fn debouncer() -> Debouncer {
        Debouncer::new(Senders::new(Rules::default()))
    }

    /// How many completions are learnt of a sender, and the longest pause in seconds.
    fn learnt(debouncer: &Debouncer, sender: &str) -> Option<(u32, i64)> {
        let summary = debouncer.pauses_of(sender)?.summary()?;
        Some((summary.series_count, summary.max.as_secs()))
    }

    #[test]
    fn the_longest_pause_of_a_series_is_learnt_when_it_is_complete() {
        let (mut debouncer, mut arriving) = (debouncer(), Arriving::default());
        for at in [0, 1, 8, 9] {
            arriving.stored(&mut debouncer, at, "MR1", &Effect::Added);
        }
        assert_eq!(learnt(&debouncer, "MR1"), None);
        arriving.complete(&mut debouncer, 20, 9, "MR1");
        assert_eq!(learnt(&debouncer, "MR1"), Some((1, 7)));
        let kept = debouncer.take_consequences().pauses;
        assert_eq!(kept.len(), 1);
        assert!(debouncer.take_consequences().pauses.is_empty(), "nothing has changed since");
        let mut next = self::debouncer();
        next.restore_pauses(kept);
        assert_eq!(learnt(&next, "MR1"), Some((1, 7)));
    }

    #[test]
    fn a_pause_in_which_the_series_was_announced_counts() {
        for effect in [Effect::Added, Effect::Corrected] {
            let (mut debouncer, mut arriving) = (debouncer(), Arriving::default());
            arriving.stored(&mut debouncer, 0, "MR1", &Effect::Added);
            arriving.complete(&mut debouncer, 11, 0, "MR1");
            assert_eq!(learnt(&debouncer, "MR1"), None, "one instance has no pause");
            arriving.stored(&mut debouncer, 45, "MR1", &effect);
            arriving.complete(&mut debouncer, 56, 45, "MR1");
            assert_eq!(learnt(&debouncer, "MR1"), Some((1, 45)));
        }
    }

    #[test]
    fn what_no_quiet_period_could_outlast_is_no_pause() {
        let (mut debouncer, mut arriving) = (debouncer(), Arriving::default());
        arriving.stored(&mut debouncer, 0, "MR1", &Effect::Added);
        arriving.complete(&mut debouncer, 11, 0, "MR1");
        arriving.stored(&mut debouncer, 3601, "MR1", &Effect::Added);
        arriving.complete(&mut debouncer, 3620, 3601, "MR1");
        assert_eq!(learnt(&debouncer, "MR1"), None);
    }

    #[test]
    fn another_sender_that_goes_on_has_made_no_pause() {
        let (mut debouncer, mut arriving) = (debouncer(), Arriving::default());
        arriving.stored(&mut debouncer, 0, "MR1", &Effect::Added);
        arriving.stored(&mut debouncer, 7, "PACS", &Effect::Added);
        arriving.stored(&mut debouncer, 9, "PACS", &Effect::Added);
        arriving.complete(&mut debouncer, 20, 9, "PACS");
        arriving.stored(&mut debouncer, 50, "MR1", &Effect::Added);
        arriving.complete(&mut debouncer, 70, 50, "MR1");
        assert_eq!((learnt(&debouncer, "MR1"), learnt(&debouncer, "PACS")), (None, None));
    }

    #[test]
    fn a_sender_that_tries_again_after_an_abort_has_made_no_pause() {
        let (mut debouncer, mut arriving) = (debouncer(), Arriving::default());
        arriving.stored(&mut debouncer, 0, "MR1", &Effect::Added);
        let share = SeriesShare { series_instance_uid: series(), acknowledged: 1, failed: 0 };
        debouncer.closed(&Closed {
            association: "MR1 0",
            at: second(1),
            ending: Ending::Aborted,
            series: &[share],
            failed_of_unknown_series: 0,
        });
        arriving.stored(&mut debouncer, 40, "MR1", &Effect::Added);
        arriving.stored(&mut debouncer, 43, "MR1", &Effect::Added);
        arriving.complete(&mut debouncer, 60, 43, "MR1");
        assert_eq!(learnt(&debouncer, "MR1"), Some((1, 3)));
    }

    #[test]
    fn a_replay_learns_the_same_and_a_deletion_nothing() {
        let (mut live, mut arriving) = (debouncer(), Arriving::default());
        let (mut replayed, mut deleted) = (debouncer(), debouncer());
        for at in [0, 4] {
            arriving.stored(&mut live, at, "MR1", &Effect::Added);
        }
        for debouncer in [&mut replayed, &mut deleted] {
            let mut again = Arriving::default();
            for at in [0, 4] {
                again.stored(debouncer, at, "MR1", &Effect::Added);
            }
        }
        arriving.complete(&mut live, 20, 4, "MR1");
        replayed.completed(&series());
        deleted.close(&series());
        assert_eq!(live.pauses_of("MR1"), replayed.pauses_of("MR1"));
        assert_eq!(learnt(&deleted, "MR1"), None);
    }

    #[test]
    fn the_senders_that_are_learnt_are_bounded() {
        let mut debouncer = debouncer();
        for number in 0..MAX_LEARNT + 5 {
            let mut arriving = Arriving::default();
            let sender = format!("S{number}");
            let began = number as i64 * 100;
            arriving.stored(&mut debouncer, began, &sender, &Effect::Added);
            arriving.stored(&mut debouncer, began + 1, &sender, &Effect::Added);
            arriving.complete(&mut debouncer, began + 20, began + 1, &sender);
        }
        assert_eq!(debouncer.pauses().count(), MAX_LEARNT);
    }
}
