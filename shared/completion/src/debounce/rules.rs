//! The rules: when an open series is complete if nothing more happens to it.

use super::Debouncer;
use crate::OpenSeries;
use crate::asking::later;
use contract::event::{Ending, Reason};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use std::cmp::Ordering;

/// The rules by precedence: of several that are due at the same moment the first is the one that is named.
const PRECEDENCE: [Reason; 9] = [
    Reason::Requested,
    Reason::Confirmed,
    Reason::Performed,
    Reason::Available,
    Reason::Expected,
    Reason::Released,
    Reason::Quiet,
    Reason::Interrupted,
    Reason::Overdue,
];

/// When a series is complete if nothing happens before, and why. The earliest comes first, and of the same moment
/// the one that has precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at: Timestamp,
    pub(super) reason: Reason,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |due: &Self| PRECEDENCE.iter().position(|rule| *rule == due.reason);
        self.at.cmp(&other.at).then_with(|| place(self).cmp(&place(other)))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Debouncer {
    /// When a series in this state is due, by the rule that comes first.
    pub(super) fn due_of(&self, series: &SeriesInstanceUid, open: &OpenSeries) -> Due {
        let rules = self.senders.rules(&open.sender);
        let after = |period, reason| Due { at: later(open.last_activity, period), reason };
        let requested = open.requested.map(|at| Due { at, reason: Reason::Requested });
        let expected =
            self.has_all_expected(open).then(|| after(rules.settle_period, Reason::Expected));
        let released = self.is_released(open).then(|| after(rules.settle_period, Reason::Released));
        // An abort is followed by another try, which may take its time.
        let silence = match open.interrupted {
            true => after(rules.abort_grace, Reason::Interrupted),
            false => after(rules.quiet_period, Reason::Quiet),
        };
        let overdue = Due { at: later(open.opened_at, rules.max_open), reason: Reason::Overdue };
        let inferred = [expected, released].into_iter().flatten().fold(silence, Due::min);
        let inferred = match (&open.asking, rules.ask_timeout) {
            // Waits for an answer, or for what the source has more.
            (Some(asking), Some(_)) => Due { at: inferred.at.max(asking.until), ..inferred },
            _ => inferred,
        };
        // Waits for instances that lists name.
        let inferred = match self.held_until(series, open, rules) {
            Some(until) => Due { at: inferred.at.max(until), ..inferred },
            None => inferred,
        };
        let listed = self.listed_due(series, open);
        [requested, listed].into_iter().flatten().fold(inferred.min(overdue), Due::min)
    }

    /// As many as were announced are there, and the sender's announcements were right so far.
    fn has_all_expected(&self, open: &OpenSeries) -> bool {
        open.expected.is_some_and(|expected| open.counted >= expected)
            && self.is_believed(&open.sender, Reason::Expected)
    }

    /// Every association that brought instances is closed, the last one by release; all that they
    /// acknowledged is there, and none of it failed; the senders' releases meant something so far.
    pub(super) fn is_released(&self, open: &OpenSeries) -> bool {
        open.associations.is_empty()
            && open.last_closed == Some(Ending::Released)
            && !open.tainted
            && open.senders.iter().all(|sender| self.is_believed(sender, Reason::Released))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_precedence() {
        for rule in Reason::rules() {
            assert!(PRECEDENCE.contains(&rule), "{} is not in PRECEDENCE", rule.as_str());
        }
    }
}
