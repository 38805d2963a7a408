//! What the source of a series is asked, and what it answered: counted evidence, which may hold a series back and
//! never hastens it. Kept with the open series, and of each source.

use crate::clock::Step;
use contract::uid::SeriesInstanceUid;
use jiff::fmt::serde::timestamp::nanosecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A source that has answered nothing for so long is silent.
pub const SILENT_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// First pause before a source that has more is asked again; each that follows is twice as long.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(2);

/// Failures in a row after which a source is left alone, and for how long.
const MAX_FAILURES: u32 = 3;
const LEFT_ALONE: SignedDuration = SignedDuration::from_mins(5);

/// The most instances of a series that are fetched from its source.
pub const MAX_FETCHED: usize = 500;

/// Instances that a completion names as missing at most.
pub const MAX_NAMED: usize = 100;

/// What a source is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedFor {
    /// How many instances it has.
    Count,
    /// Which they are.
    Names,
    /// These instances, which are not here.
    Instances(Vec<String>),
}

/// A question to a source: how many instances has it of a series? Or a request for some of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The series.
    pub series: SeriesInstanceUid,
    /// Which question it is among all of that series.
    pub id: String,
    /// AE title by which the source calls us: what has to be known to ask it is under that name.
    pub source: String,
    /// The watermark at which the series was due.
    pub asked_at: Timestamp,
    /// What it is asked for.
    pub asked_for: AskedFor,
}

/// Where the question of an open series stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Something has happened since the last question: once a rule is due, it is asked again.
    Unasked,
    /// The source is asked; the series waits for the answer until `Asking::until`.
    Asked,
    /// The source has more; it is asked again at `Asking::until`.
    Held,
    /// The answer is no reason to wait.
    Settled,
}

/// What the source of an open series was asked and has answered. All times are the broker's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Asking {
    /// The latest question; empty before the first.
    #[serde(default)]
    pub question: String,
    /// Where it stands.
    pub phase: Phase,
    /// When the first question since the last activity was put: the series is held for so long since then.
    #[serde(rename = "SinceNanoseconds", with = "nanosecond::required")]
    pub since: Timestamp,
    /// Until when the series waits.
    #[serde(rename = "UntilNanoseconds", with = "nanosecond::required")]
    pub until: Timestamp,
    /// How often the source had more since the last activity.
    #[serde(default)]
    pub holds: u32,
    /// How many instances the source has, by its latest answer.
    #[serde(default)]
    pub count: Option<u64>,
    /// Which of them are not here, as far as the source names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// Which were fetched from the source in this revision, or tried to be: that is done once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fetched: Vec<String>,
}

impl Asking {
    /// Before the first question.
    pub(crate) fn new() -> Self {
        Self {
            question: String::new(),
            phase: Phase::Unasked,
            since: Timestamp::MIN,
            until: Timestamp::MIN,
            holds: 0,
            count: None,
            absent: Vec::new(),
            fetched: Vec::new(),
        }
    }

    /// Something happened to the series: whatever was asked before says nothing of what is here now. A larger
    /// number stays one.
    pub(crate) fn restart(&mut self) {
        (self.phase, self.holds) = (Phase::Unasked, 0);
        self.until = Timestamp::MIN;
    }

    /// The series is due by another rule, without anything having happened to it: by then its source is asked anew. A series
    /// that is held for what its source has more stays so, and for no longer than it would have been.
    pub(crate) fn ask_anew(&mut self) {
        match self.phase {
            Phase::Settled => self.restart(),
            Phase::Asked if self.holds == 0 => self.restart(),
            Phase::Unasked | Phase::Asked | Phase::Held => {}
        }
    }

    /// A question is put.
    pub(crate) fn ask(&mut self, question: String, now: Timestamp) {
        if self.phase == Phase::Unasked {
            self.since = now;
        }
        (self.phase, self.question) = (Phase::Asked, question);
        self.until = later(now, SILENT_AFTER);
    }

    /// There is no reason to wait.
    pub(crate) fn settle(&mut self) {
        (self.phase, self.until) = (Phase::Settled, Timestamp::MIN);
    }

    /// The source has more: it is asked again after a pause, for as long as it may hold the series.
    pub(crate) fn hold(&mut self, now: Timestamp, timeout: SignedDuration) {
        let pause = FIRST_PAUSE * 2_i32.saturating_pow(self.holds.min(16));
        self.holds = self.holds.saturating_add(1);
        self.phase = Phase::Held;
        self.until = later(now, pause).min(self.end(timeout));
    }

    /// The source is left alone, but has said that there is more.
    pub(crate) fn hold_to_the_end(&mut self, now: Timestamp, timeout: SignedDuration) {
        if self.phase == Phase::Unasked {
            self.since = now;
        }
        self.phase = Phase::Held;
        self.until = self.end(timeout);
    }

    /// When it is held no longer.
    pub(crate) fn end(&self, timeout: SignedDuration) -> Timestamp {
        later(self.since, timeout)
    }

    /// Whether the names of what the source has are asked for: it had more before, and still has. A PACS that goes on
    /// by itself is left a pause to do so.
    pub(crate) fn wants_names(&self, limit: Option<usize>) -> bool {
        limit.is_some() && self.holds > 0 && self.fetched.is_empty()
    }

    /// What is fetched now: what the source named when it was asked again, all of it or nothing.
    pub(crate) fn wanted(&self, limit: Option<usize>, here: u64) -> Option<&[String]> {
        let is_time = self.phase == Phase::Held && self.holds > 1 && self.fetched.is_empty();
        let limit = limit.filter(|_| is_time && self.more_than(here).is_some())?;
        let absent = &self.absent[..];
        (!absent.is_empty() && absent.len() <= limit).then_some(absent)
    }

    /// How many there are at the source, if that is more than are here.
    #[must_use]
    pub fn more_than(&self, here: u64) -> Option<u64> {
        self.count.filter(|count| *count > here)
    }

    pub(crate) fn step(&mut self, step: &Step) {
        if self.phase != Phase::Unasked {
            self.since = step.moved(self.since);
            self.until = step.moved(self.until);
        }
    }
}

/// What is known of a source that is asked. All times are the broker's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AskedSource {
    /// Questions in a row that it did not answer.
    pub failures: u32,
    /// When anything was last known of it, be it a failure: questions that wait behind others are not silence.
    #[serde(rename = "AnsweredAtNanoseconds", default, with = "nanosecond::optional")]
    pub answered_at: Option<Timestamp>,
    /// It is not asked before.
    #[serde(rename = "NotBeforeNanoseconds", default, with = "nanosecond::optional")]
    pub not_before: Option<Timestamp>,
}

impl AskedSource {
    /// It has answered with a number.
    pub(crate) fn answers(&mut self, at: Timestamp) {
        *self = Self { answered_at: Some(at), ..Self::default() };
    }

    /// It did not answer.
    pub(crate) fn fails(&mut self, at: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MAX_FAILURES {
            self.not_before = Some(later(at, LEFT_ALONE));
        }
    }

    /// Whether it is left alone.
    #[must_use]
    pub fn is_left_alone(&self, now: Timestamp) -> bool {
        self.not_before.is_some_and(|not_before| now < not_before)
    }

    pub(crate) fn step(&mut self, step: &Step) {
        for time in [&mut self.answered_at, &mut self.not_before] {
            *time = time.map(|time| step.moved(time));
        }
    }
}

pub(crate) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}
