//! The rules: when an open series is complete if nothing more happens to it.

use super::{Debouncer, Due};
use jiff::{SignedDuration, Timestamp};
use shared::catalog::OpenSeries;
use shared::event::{Ending, Reason};

impl Debouncer {
    /// When a series in this state is due, by the rule that comes first.
    pub(super) fn due_of(&self, open: &OpenSeries) -> Due {
        let rules = self.sources.rules(&open.source);
        let after = |period| later(open.last_activity, period);
        let requested = open.requested.map(|at| (at, Reason::Requested));
        let expected =
            self.has_all_expected(open).then(|| (after(rules.settle_period), Reason::Expected));
        let released =
            self.is_released(open).then(|| (after(rules.settle_period), Reason::Released));
        // An abort is followed by another try, which may take its time.
        let silence = match open.interrupted {
            true => (after(rules.abort_grace), Reason::Interrupted),
            false => (after(rules.quiet_period), Reason::Quiet),
        };
        let overdue = (later(open.opened_at, rules.max_open), Reason::Overdue);
        [requested, expected, released].into_iter().flatten().fold(silence.min(overdue), Due::min)
    }

    /// As many as were announced are there, and the sender's announcements were right so far.
    fn has_all_expected(&self, open: &OpenSeries) -> bool {
        open.expected.is_some_and(|expected| open.counted >= expected)
            && self.is_believed(&open.source, Reason::Expected)
    }

    /// Every association that brought instances is closed, the last one by release; all that they
    /// acknowledged is there, and none of it failed; the senders' releases meant something so far.
    fn is_released(&self, open: &OpenSeries) -> bool {
        open.associations.is_empty()
            && open.last_closed == Some(Ending::Released)
            && !open.tainted
            && open.sources.iter().all(|source| self.is_believed(source, Reason::Released))
    }
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}
