//! What is observed, and what it does to the series that it concerns.

use super::{Debouncer, asking, pausing};
use crate::{Completed, Deletion, Disproof, Effect, Lesson, OpenSeries, Share};
use contract::event::{DeletionReason, Ending, Reason, SeriesShare};
use contract::uid::SeriesInstanceUid;
use jiff::{SignedDuration, Timestamp};

/// Senders of one series that are told apart, and associations that are followed. Beyond that a
/// release proves nothing, and the series is complete by the other rules.
const MAX_SENDERS: usize = 16;
const MAX_ASSOCIATIONS: usize = 256;

/// An instance was stored.
#[derive(Debug, Clone)]
pub struct Stored<'a> {
    /// Its SOP Instance UID.
    pub instance: &'a str,
    /// Its series.
    pub series: &'a SeriesInstanceUid,
    /// When the broker stored it.
    pub at: Timestamp,
    /// AE title of the sender.
    pub sender: &'a str,
    /// The association that brought it, and the receiver of that.
    pub association: &'a str,
    /// See `association`.
    pub node: &'a str,
    /// Number of its C-STORE in the association.
    pub ordinal: u64,
    /// The same among those of the series that were acknowledged.
    pub series_ordinal: u64,
    /// What it is to the catalogue.
    pub effect: &'a Effect,
    /// How many instances the series is to have, if it says so and is trusted with it.
    pub expected: Option<u64>,
}

/// An instance is arriving, slowly.
#[derive(Debug, Clone)]
pub struct Receiving<'a> {
    /// Its series.
    pub series: &'a SeriesInstanceUid,
    /// When the broker was told.
    pub at: Timestamp,
    /// The association that brings it, and the receiver of that.
    pub association: &'a str,
    /// See `association`.
    pub node: &'a str,
}

/// An association ended.
#[derive(Debug, Clone)]
pub struct Closed<'a> {
    /// Which one.
    pub association: &'a str,
    /// When the broker was told.
    pub at: Timestamp,
    /// How.
    pub ending: Ending,
    /// What it brought.
    pub series: &'a [SeriesShare],
    /// Failed C-STOREs of which nobody knows for which series they were.
    pub failed_of_unknown_series: u64,
}

impl Debouncer {
    /// An instance was stored. A new or changed one opens its series, if it is not open; one that
    /// came again unchanged is a sign of life and no more. `completed` is the series' last
    /// completion, if it is complete.
    pub fn stored(&mut self, stored: &Stored<'_>, completed: Option<&Completed>) {
        let known = self.open.get(stored.series);
        let is_first = completed.is_none() && known.is_none();
        let pause = match known {
            Some((open, _)) => pausing::longer(stored, open),
            None if *stored.effect == Effect::Resent => return,
            None => completed.and_then(|completed| {
                self.judge(stored, completed);
                pausing::since(stored, completed)
            }),
        };
        let pause = pause.filter(|pause| self.could_be_quiet(stored.sender, *pause));
        let is_new = *stored.effect == Effect::Added;
        let knows_losses = self.knows_losses;
        let open = self.open_at(stored.series, stored.at, stored.sender);
        open.longest_pause_ms = pause.or(open.longest_pause_ms);
        open.is_first |= is_first;
        let began_unseen = knows_losses && open.is_first;
        open.sender.clear();
        open.sender.push_str(stored.sender);
        open.interrupted = false;
        open.expected = stored.expected.or(open.expected);
        if !open.senders.contains(stored.sender) {
            open.tainted |= open.senders.len() >= MAX_SENDERS;
            if open.senders.len() < MAX_SENDERS {
                open.senders.insert(stored.sender.to_owned());
            }
        }
        if let Some(share) = share_of(open, stored.association, stored.node)
            && stored.ordinal > share.last_ordinal
        {
            let before = stored.series_ordinal.saturating_sub(1);
            if share.last_ordinal == 0 && !began_unseen {
                // What came before did not open the series: it was sent again, unchanged.
                share.stored = before;
            }
            let (makes_up, missing) = (share.makes_up, before.saturating_sub(share.stored));
            share.last_ordinal = stored.ordinal;
            share.stored = share.stored.max(before) + 1;
            if missing > 0 {
                open.missing += missing;
                open.tainted = true;
            } else if makes_up && is_new {
                open.missing = open.missing.saturating_sub(1);
            }
        }
        match stored.effect {
            Effect::Added => self.found(stored.instance, stored.series),
            Effect::MovedFrom(_) => self.lists.forget(stored.series),
            Effect::Resent | Effect::Corrected => {}
        }
        self.reschedule(stored.series);
    }

    /// An instance of a series turned up in another one: the one that it left has a new count to
    /// tell.
    pub fn lost_instance(
        &mut self,
        series: &SeriesInstanceUid,
        at: Timestamp,
        completed: Option<&Completed>,
    ) {
        let sender = completed.map_or("", |completed| completed.sender.as_str());
        self.open_at(series, at, sender);
        self.lists.forget(series);
        self.reschedule(series);
    }

    /// An instance is arriving. That keeps an open series open, and opens none.
    pub fn receiving(&mut self, receiving: &Receiving<'_>) {
        let Some((open, _)) = self.open.get_mut(receiving.series) else { return };
        open.is_active(receiving.at);
        share_of(open, receiving.association, receiving.node);
        self.reschedule(receiving.series);
    }

    /// An association ended: activity of the series that it brought instances of.
    pub fn closed(&mut self, closed: &Closed<'_>) {
        for share in closed.series {
            let series = &share.series_instance_uid;
            let Some((open, _)) = self.open.get_mut(series) else { continue };
            open.tainted |= share.failed > 0;
            if let Some(seen) = open.associations.remove(closed.association) {
                open.tainted |= closed.failed_of_unknown_series > 0;
                open.tainted |= seen.stored < share.acknowledged;
                if seen.last_ordinal > 0 {
                    open.missing += share.acknowledged.saturating_sub(seen.stored);
                }
                end(open, closed.ending, closed.at);
            }
            self.reschedule(series);
        }
    }

    /// A series was complete before an association said of it that it had acknowledged so many instances more
    /// than there are: INSTANCES has lost them, and the next revision says so.
    pub fn contradicted(&mut self, series: &SeriesInstanceUid, sender: &str, missing: u64) {
        // What an open one misses, it knows by the associations that it follows.
        let Some(at) = self.latest.filter(|_| !self.open.contains_key(series)) else { return };
        let open = self.open_at(series, at, sender);
        open.missing = missing;
        open.tainted = true;
        self.reschedule(series);
    }

    /// A receiver has ended, as the start of the next one of its name shows or an operator says: whatever it left open
    /// has been aborted.
    pub fn receiver_ended(&mut self, node: &str, at: Timestamp) {
        let left_open = |open: &OpenSeries| open.associations.values().any(|s| s.node == node);
        let left_open = self.open.iter().filter(|(_, (open, _))| left_open(open));
        let left_open: Vec<_> = left_open.map(|(series, _)| series.clone()).collect();
        for series in left_open {
            if let Some((open, _)) = self.open.get_mut(&series) {
                open.associations.retain(|_, share| share.node != node);
                end(open, Ending::Aborted, at);
            }
            self.reschedule(&series);
        }
    }

    /// An operator wants a series to be complete as it is.
    pub fn requested(&mut self, series: &SeriesInstanceUid, at: Timestamp) {
        if let Some((open, _)) = self.open.get_mut(series) {
            open.requested.get_or_insert(at);
            self.reschedule(series);
        }
    }

    /// An operator wants a series out of the catalogue, whatever state it is in. Nothing of it may be
    /// observed before that is done.
    pub fn deletion_requested(&mut self, series: &SeriesInstanceUid, at: Timestamp) {
        self.close(series);
        self.lists.forget(series);
        let (series, reason) = (series.clone(), DeletionReason::Requested);
        self.deletions.push(Deletion { series, reason, decided_at: at });
    }

    /// An operator wants a sender to be believed again.
    pub fn trusted(&mut self, sender: &str) {
        self.disproved.retain(|(disproved, _)| disproved != sender);
        self.lessons.push(Lesson::Trusted { sender: sender.to_owned() });
        self.reschedule_all_of(sender);
    }

    /// How many instances a series has. It matters only where it is known how many there are to be.
    pub fn counted(&mut self, series: &SeriesInstanceUid, count: u64) {
        if let Some((open, _)) = self.open.get_mut(series) {
            open.counted = count;
            asking::counted(open);
            self.reschedule(series);
        }
    }

    /// A series grows that was complete. Had nobody believed the evidence that made it complete, it
    /// would still have been open if this came within the quiet period.
    fn judge(&mut self, stored: &Stored<'_>, completed: &Completed) {
        let Completed { reason, last_activity, sender } = completed;
        let grows = matches!(stored.effect, Effect::Added | Effect::MovedFrom(_));
        let by_evidence =
            reason.is_by_list() || matches!(reason, Reason::Released | Reason::Expected);
        let quiet_period = self.senders.rules(sender).quiet_period;
        // Before it, by a clock that was set back, says nothing.
        let within = SignedDuration::ZERO..=quiet_period;
        if !grows || !by_evidence || !within.contains(&stored.at.duration_since(*last_activity)) {
            return;
        }
        if self.disproved.insert((sender.clone(), *reason)) {
            let (sender, rule, series) = (sender.clone(), *reason, stored.series.clone());
            self.reschedule_all_of(&sender);
            let disproof = Disproof { sender, rule, at: stored.at, series };
            self.lessons.push(Lesson::Disproved(disproof));
        }
    }

    /// The series, open, with something happening to it.
    fn open_at(
        &mut self,
        series: &SeriesInstanceUid,
        at: Timestamp,
        sender: &str,
    ) -> &mut OpenSeries {
        if !self.open.contains_key(series) {
            let state = OpenSeries::new(at, sender);
            let due = self.due_of(series, &state);
            self.due.insert((due, series.clone()));
            self.open.insert(series.clone(), (state, due));
        }
        // It is there: it has just been put there if it was not.
        let (open, _) = self.open.get_mut(series).unwrap_or_else(|| unreachable!("{series}"));
        open.is_active(at);
        open
    }

    /// Finds out anew when each series is due.
    pub(super) fn reschedule_all(&mut self) {
        let open: Vec<_> = self.open.keys().cloned().collect();
        for series in open {
            self.reschedule(&series);
        }
    }

    /// Finds out anew when a series is due, and remembers that it has changed.
    pub(super) fn reschedule(&mut self, series: &SeriesInstanceUid) {
        let Some((open, before)) = self.open.get(series) else { return };
        let (before, due) = (*before, self.due_of(series, open));
        if due != before {
            self.due.remove(&(before, series.clone()));
            self.due.insert((due, series.clone()));
            if let Some((_, kept)) = self.open.get_mut(series) {
                *kept = due;
            }
        }
        if !self.changed.contains(series) {
            self.changed.insert(series.clone());
        }
    }

    fn reschedule_all_of(&mut self, sender: &str) {
        let of_sender = |open: &OpenSeries| open.sender == sender || open.senders.contains(sender);
        let theirs = self.open.iter().filter(|(_, (open, _))| of_sender(open));
        let theirs: Vec<_> = theirs.map(|(series, _)| series.clone()).collect();
        for series in theirs {
            // It is due by another rule, and at another time.
            if let Some((open, _)) = self.open.get_mut(&series)
                && let Some(asking) = &mut open.asking
            {
                asking.ask_anew();
            }
            self.reschedule(&series);
        }
    }
}

/// The association's share in a series, if it is one of those that are followed.
fn share_of<'a>(open: &'a mut OpenSeries, association: &str, node: &str) -> Option<&'a mut Share> {
    if !open.associations.contains_key(association) {
        if open.associations.len() >= MAX_ASSOCIATIONS {
            open.tainted = true;
            return None;
        }
        let makes_up = open.missing > 0;
        let share = Share { node: node.to_owned(), makes_up, ..Share::default() };
        open.associations.insert(association.to_owned(), share);
    }
    open.associations.get_mut(association)
}

/// One of the associations that brought instances of the series has ended.
fn end(open: &mut OpenSeries, ending: Ending, at: Timestamp) {
    open.is_active(at);
    open.last_closed = Some(ending);
    open.interrupted |= ending == Ending::Aborted;
}
