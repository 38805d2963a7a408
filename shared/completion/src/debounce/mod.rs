//! When a series is complete: a session window over event time, as a pure state machine.
//!
//! It reads no clock. Time is what the broker says it is: an observation carries the time at which
//! the stream stored it, and the watermark is the time up to which everything in the stream has
//! been processed. While a backlog is being read the watermark stands still, so nothing is decided
//! over the head of an instance that waits unread.
//!
//! What an observation does to a series is in `observing`, when a series is due in `rules`, and how
//! far time has come in `watermark`.

#[cfg(test)]
mod asked;
mod asking;
mod listing;
#[cfg(test)]
mod missing;
mod observing;
mod pausing;
mod rules;
#[cfg(test)]
mod tests;
mod watermark;

use rules::Due;

pub use asking::Answered;
pub use observing::{Closed, Receiving, Stored};
pub use watermark::{Reached, Watermark};

use crate::clock::{Step, TOLERANCE};
use crate::lists::Lists;
use crate::{AskedSource, OnDisagreement, Pauses, Senders};
use crate::{Completion, Consequences, Decided, Deletion, Late, Lesson, OpenSeries};
use contract::event::Reason;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Decides which of the open series are complete.
#[derive(Debug, Clone)]
pub struct Debouncer {
    senders: Senders,
    /// Everything stored before it has been observed.
    watermark: Timestamp,
    /// When the broker stored the latest event; `None` before the first.
    latest: Option<Timestamp>,
    /// Steps back of the broker's clock between events, since they were last taken.
    steps: Vec<Step>,
    /// Events were lost, so that what an association has sent and nobody has seen is missing.
    knows_losses: bool,
    /// The open series, each with when it is due and why.
    open: HashMap<SeriesInstanceUid, (OpenSeries, Due)>,
    /// The same, by when they are due.
    due: BTreeSet<(Due, SeriesInstanceUid)>,
    /// Evidence that is not believed: the sender's AE title and the rule.
    disproved: HashSet<(String, Reason)>,
    /// Series that have changed since the changes were last taken.
    changed: HashSet<SeriesInstanceUid>,
    /// What was learned since then.
    lessons: Vec<Lesson>,
    /// What is to be deleted after it.
    deletions: Vec<Deletion>,
    /// The sources that are asked.
    sources: HashMap<String, AskedSource>,
    /// Those of them that have changed since the changes were last taken.
    changed_sources: BTreeSet<String>,
    /// The pauses inside the series of each sender.
    pauses: HashMap<String, Pauses>,
    /// The senders of which they have changed since the changes were last taken.
    changed_pauses: BTreeSet<String>,
    /// The lists of instances that are not met.
    lists: Lists,
    /// What lists say of series that are complete, since it was last taken.
    late: Vec<Late>,
}

impl Debouncer {
    /// Without open series.
    #[must_use]
    pub fn new(senders: Senders) -> Self {
        Self {
            senders,
            watermark: Timestamp::MIN,
            latest: None,
            steps: Vec::new(),
            knows_losses: false,
            open: HashMap::new(),
            due: BTreeSet::new(),
            disproved: HashSet::new(),
            changed: HashSet::new(),
            lessons: Vec::new(),
            deletions: Vec::new(),
            sources: HashMap::new(),
            changed_sources: BTreeSet::new(),
            pauses: HashMap::new(),
            changed_pauses: BTreeSet::new(),
            lists: Lists::default(),
            late: Vec::new(),
        }
    }

    /// Takes up what was known before a restart: the open series, and which evidence of whom is not
    /// believed.
    pub fn restore(
        &mut self,
        open: impl IntoIterator<Item = (SeriesInstanceUid, OpenSeries)>,
        disproved: impl IntoIterator<Item = (String, Reason)>,
    ) {
        self.disproved.extend(disproved);
        for (series, state) in open {
            let due = self.due_of(&series, &state);
            self.due.insert((due, series.clone()));
            self.open.insert(series, (state, due));
        }
    }

    /// Takes up what was known of the sources that are asked.
    pub fn restore_sources(&mut self, sources: impl IntoIterator<Item = (String, AskedSource)>) {
        self.sources.extend(sources);
    }

    /// What has to be kept of the observations and decisions since this was last asked, so that a restart forgets
    /// nothing of them.
    #[must_use]
    pub fn take_consequences(&mut self) -> Consequences {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let open = changed.filter_map(|series| {
            let (state, _) = self.open.get(&series)?;
            Some((series, state.clone()))
        });
        Consequences {
            open: open.collect(),
            lessons: std::mem::take(&mut self.lessons),
            deletions: std::mem::take(&mut self.deletions),
            sources: self.take_sources(),
            pauses: self.take_pauses(),
            lists: self.lists.take_changed(),
            late: std::mem::take(&mut self.late),
        }
    }

    /// The last event before was stored at this time.
    pub fn resume(&mut self, latest: Timestamp) {
        self.latest = Some(latest);
    }

    /// When the broker stored the latest event, if there was one.
    #[must_use]
    pub fn latest(&self) -> Option<Timestamp> {
        self.latest
    }

    /// The next event was stored at this time. That is later than the one before it in the stream, and than
    /// all that was decided without it, or the broker's clock was set back.
    pub fn time_is(&mut self, at: Timestamp) {
        let step = self.latest.and_then(|latest| Step::back(latest.max(self.watermark), at));
        match step {
            // The clocks of two brokers, one after the other the leader.
            Some(step) if step.by >= -TOLERANCE => self.latest = self.latest.max(Some(at)),
            Some(step) => {
                self.step(&step);
                self.steps.push(step);
                self.latest = Some(at);
            }
            None => self.latest = Some(at),
        }
    }

    /// The broker's clock was set: all times move along.
    pub fn step(&mut self, step: &Step) {
        self.watermark = self.watermark.min(step.now());
        self.latest = self.latest.map(|latest| latest.min(step.now()));
        for (open, _) in self.open.values_mut() {
            for time in [&mut open.opened_at, &mut open.last_activity] {
                *time = step.moved(*time);
            }
            open.requested = open.requested.map(|requested| step.moved(requested));
            if let Some(asking) = &mut open.asking {
                asking.step(step);
            }
        }
        self.step_sources(step);
        self.lists.step(step);
        self.reschedule_all();
    }

    /// The steps back that events have shown since this was last asked.
    #[must_use]
    pub fn take_steps(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.steps)
    }

    /// INSTANCES has lost events that nobody has read.
    pub fn know_losses(&mut self) {
        self.knows_losses = true;
    }

    /// Everything stored before `watermark` has been observed. It never goes back, but with a step.
    pub fn advance(&mut self, watermark: Timestamp) {
        self.watermark = self.watermark.max(watermark);
    }

    /// When the next series is due: [`Debouncer::poll`] gives it once the watermark has passed
    /// that time, unless something happens before.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| due.at)
    }

    /// Whether [`Debouncer::poll`] has a series to give.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.next_due().is_some_and(|due| due < self.watermark)
    }

    /// What is decided of the next series that is due: it is complete, or its source is asked first. What has to be
    /// kept of the latter is in [`Debouncer::take_consequences`]. Due means strictly before the watermark: what was
    /// stored in the very instant of the watermark may not have been observed.
    #[must_use]
    pub fn poll(&mut self) -> Option<Decided> {
        if !self.is_due() {
            return None;
        }
        let (due, series) = self.due.first()?.clone();
        if let Some(decided) = self.ask_first(due, &series) {
            self.reschedule(&series);
            return Some(decided);
        }
        self.complete(due, series).map(Decided::Complete)
    }

    fn complete(&mut self, due: Due, series: SeriesInstanceUid) -> Option<Completion> {
        self.due.remove(&(due, series.clone()));
        let (state, _) = self.open.remove(&series)?;
        self.learn_pause(&state);
        let evidence = self.evidence(&series, &state);
        let (listed, mut absent) = self.short_of(&series);
        self.lists.completed(&series);
        let rules = self.senders.rules(&state.sender);
        let more = state.more_at_source().filter(|_| rules.ask_timeout.is_some());
        let fetched = match state.asking {
            Some(asking) => {
                if more.is_some() {
                    absent.extend(asking.absent);
                }
                asking.fetched
            }
            None => Vec::new(),
        };
        absent.sort();
        absent.dedup();
        Some(Completion {
            series,
            reason: due.reason,
            opened_at: state.opened_at,
            decided_at: self.watermark,
            expected: state.expected,
            at_source: more,
            missing: state.missing,
            listed,
            absent,
            fetched,
            evidence,
            retrieve_from: rules.retrieve_url.clone(),
            hold_disagreeing: rules.on_disagreement == OnDisagreement::Hold,
        })
    }

    /// Closes a series because the record says that a rule was met at this point.
    pub fn completed(&mut self, series: &SeriesInstanceUid) {
        if let Some((state, due)) = self.open.remove(series) {
            self.due.remove(&(due, series.clone()));
            self.learn_pause(&state);
        }
        self.lists.completed(series);
    }

    /// Closes a series because the record says that it was registered at this point, or deleted.
    pub fn close(&mut self, series: &SeriesInstanceUid) {
        if let Some((_, due)) = self.open.remove(series) {
            self.due.remove(&(due, series.clone()));
        }
        self.lists.completed(series);
    }

    /// How many series are open.
    #[must_use]
    pub fn open_series(&self) -> usize {
        self.open.len()
    }

    fn is_believed(&self, sender: &str, rule: Reason) -> bool {
        // Nothing is disproved, most of the time: no key is made for the look.
        self.disproved.is_empty() || !self.disproved.contains(&(sender.to_owned(), rule))
    }
}
