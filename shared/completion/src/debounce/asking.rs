//! Counted evidence: before a series is complete by a rule its source is asked how many instances it has. A larger
//! number proves a gap and holds the series back. An equal one proves nothing, since a source may be forwarding
//! while it still receives; so an answer never makes a series complete earlier than its rule does.

use super::Debouncer;
use super::rules::Due;
use crate::asking::{AskedFor, Asking, MAX_NAMED, Phase, SILENT_AFTER, later};
use crate::clock::Step;
use crate::{AskedSource, Decided, OpenSeries, Question};
use contract::event::Reason;
use contract::uid::{SeriesInstanceUid, is_legal_uid};
use jiff::Timestamp;

/// A source was asked, and this came of it.
#[derive(Debug, Clone)]
pub struct Answered<'a> {
    /// The series that it was asked about.
    pub series: &'a SeriesInstanceUid,
    /// When the broker stored the answer.
    pub at: Timestamp,
    /// The source, by its calling AE title.
    pub source: &'a str,
    /// Which question it answers.
    pub question: &'a str,
    /// How many instances it has; `None` when it gave no answer.
    pub count: Option<u64>,
    /// Which of them are not here, as far as it names them.
    pub absent: &'a [String],
}

impl Debouncer {
    /// A question is on the record. Whoever put it knows; to a catalogue that is made of the record it is news.
    pub fn asked(&mut self, question: &Question) {
        let Some((open, _)) = self.open.get_mut(&question.series) else { return };
        let is_asked = self.senders.rules(&open.sender).ask_timeout.is_some();
        // It may be of an earlier revision, or of before the last activity, which is nothing to what is fetched.
        let since = match question.asked_for {
            AskedFor::Instances(_) => open.opened_at,
            AskedFor::Count | AskedFor::Names => open.last_activity,
        };
        if !is_asked || open.sender != question.source || question.asked_at <= since {
            return;
        }
        let asking = open.asking.get_or_insert_with(Asking::new);
        if let AskedFor::Instances(instances) = &question.asked_for {
            asking.fetched.clone_from(instances);
            self.reschedule(&question.series);
        } else if number(&asking.question) < number(&question.id) {
            asking.ask(question.id.clone(), question.asked_at);
            self.reschedule(&question.series);
        }
    }

    /// A source has answered, or could not be asked.
    pub fn answered(&mut self, answered: &Answered<'_>) {
        let asked = self.open.get(answered.series).and_then(|(open, _)| open.asking.as_ref());
        let is_awaited = asked.is_some_and(|asking| {
            asking.phase == Phase::Asked && asking.question == answered.question
        });
        self.hear_of(answered, is_awaited);
        let Some((open, _)) = self.open.get_mut(answered.series) else { return };
        let rules = self.senders.rules(&open.sender);
        let Some(timeout) = rules.ask_timeout else { return };
        let most = rules.fetch_limit.map_or(MAX_NAMED, |limit| MAX_NAMED.max(limit + 1));
        let asking = open.asking.get_or_insert_with(Asking::new);
        let is_latest = asking.question == answered.question;
        if let Some(count) = answered.count {
            // An answer to an earlier question can only be a reason to wait.
            if is_latest || asking.count.is_none_or(|known| count > known) {
                asking.count = Some(count);
                asking.absent = answered.absent.iter().take(most).cloned().collect();
            }
        }
        let has_more = asking.more_than(open.counted).is_some();
        match asking.phase {
            // An equal number that is older than the last activity proves nothing.
            Phase::Unasked => {}
            // The answer to the latest question is still to come.
            Phase::Asked if !is_latest => {}
            Phase::Asked | Phase::Settled if has_more => {
                asking.hold(answered.at, timeout);
                if asking.wanted(rules.fetch_limit, open.counted).is_some() {
                    // It is fetched at once.
                    asking.until = asking.until.min(answered.at);
                }
            }
            Phase::Held if has_more || !is_latest => {}
            Phase::Asked | Phase::Held | Phase::Settled => asking.settle(),
        }
        self.reschedule(answered.series);
    }

    /// What an answer says of its source.
    fn hear_of(&mut self, answered: &Answered<'_>, is_awaited: bool) {
        if self.senders.rules(answered.source).ask_timeout.is_none() {
            return;
        }
        let source = self.sources.entry(answered.source.to_owned()).or_default();
        source.answered_at = source.answered_at.max(Some(answered.at));
        match answered.count {
            Some(_) => source.answers(answered.at),
            // What nobody waits for any more was counted when it was silent.
            None if is_awaited => source.fails(answered.at),
            None => {}
        }
        self.changed_sources.insert(answered.source.to_owned());
    }

    /// What comes before a series that is due is complete; `None` when that is nothing. Afterwards the series is due
    /// later.
    pub(super) fn ask_first(&mut self, due: Due, series: &SeriesInstanceUid) -> Option<Decided> {
        // An operator is not held up, nothing is held for longer than `max_open`, and a list is exact.
        if due.reason.is_by_list() || matches!(due.reason, Reason::Requested | Reason::Overdue) {
            return None;
        }
        // What is no UID can't be asked for.
        if !is_legal_uid(series.as_str()) {
            return None;
        }
        let (now, (open, _)) = (self.watermark, self.open.get_mut(series)?);
        let rules = self.senders.rules(&open.sender);
        let (timeout, limit) = (rules.ask_timeout?, rules.fetch_limit);
        let has_more = open.more_at_source().is_some();
        let source = self.sources.entry(open.sender.clone()).or_default();
        let asking = open.asking.get_or_insert_with(Asking::new);
        match asking.phase {
            Phase::Settled => return None,
            Phase::Held if asking.until >= asking.end(timeout) => return None,
            Phase::Asked => {
                let progress = source.answered_at.map(|at| later(at, SILENT_AFTER));
                // It is answering other questions.
                if let Some(until) = progress.filter(|until| *until >= now) {
                    asking.until = until.min(asking.end(timeout));
                    if asking.until >= now {
                        return Some(Decided::Wait);
                    }
                }
                source.fails(now);
                self.changed_sources.insert(open.sender.clone());
                if !has_more {
                    return None;
                }
                asking.hold(now, timeout);
                return still_waits(asking, now);
            }
            Phase::Unasked | Phase::Held => {}
        }
        let id = now.as_nanosecond().to_string();
        let here = open.counted;
        if let Some(instances) = asking.wanted(limit, here).map(<[_]>::to_vec) {
            asking.fetched.clone_from(&instances);
            asking.hold(now, timeout);
            let (series, source) = (series.clone(), open.sender.clone());
            let asked_for = AskedFor::Instances(instances);
            return Some(Decided::Ask(Question { series, id, source, asked_at: now, asked_for }));
        }
        if source.is_left_alone(now) {
            if !has_more {
                return None;
            }
            asking.hold_to_the_end(now, timeout);
            return still_waits(asking, now);
        }
        let asked_for = match asking.wants_names(limit) {
            true => AskedFor::Names,
            false => AskedFor::Count,
        };
        asking.ask(id.clone(), now);
        let (series, source) = (series.clone(), open.sender.clone());
        Some(Decided::Ask(Question { series, id, source, asked_at: now, asked_for }))
    }

    pub(super) fn take_sources(&mut self) -> Vec<(String, AskedSource)> {
        let changed = std::mem::take(&mut self.changed_sources).into_iter();
        let of = |source: String| {
            let known = self.sources.get(&source)?.clone();
            Some((source, known))
        };
        changed.filter_map(of).collect()
    }

    /// The broker's clock was set.
    pub(super) fn step_sources(&mut self, step: &Step) {
        for (source, known) in &mut self.sources {
            known.step(step);
            self.changed_sources.insert(source.clone());
        }
    }
}

/// Questions of a series are numbered by when they are put.
fn number(question: &str) -> Option<i128> {
    question.parse().ok()
}

/// The number of instances of a series is known anew: what it is held for may be there.
pub(super) fn counted(open: &mut OpenSeries) {
    let counted = open.counted;
    let Some(asking) = &mut open.asking else { return };
    if asking.phase == Phase::Held && asking.more_than(counted).is_none() {
        asking.settle();
    }
}

/// A series that was held for as long as it may be is complete at once.
fn still_waits(asking: &Asking, now: Timestamp) -> Option<Decided> {
    (asking.until >= now).then_some(Decided::Wait)
}
