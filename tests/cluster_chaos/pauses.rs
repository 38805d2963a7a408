//! For how long nothing was acknowledged and nothing was announced, by kind of fault.

use super::fault::Fault;
use super::load::Answer;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// From the beginning of a fault until all goes on after it.
pub struct Window {
    pub fault: Fault,
    pub began: Timestamp,
    pub ended: Timestamp,
}

impl Window {
    fn clamp(&self, moment: Timestamp) -> Timestamp {
        moment.clamp(self.began, self.ended)
    }

    /// The longest time in the window between two moments that follow each other.
    fn longest_pause(&self, moments: impl Iterator<Item = Timestamp>) -> SignedDuration {
        let (mut longest, mut before) = (SignedDuration::ZERO, self.began);
        for moment in moments.chain([self.ended]) {
            let moment = self.clamp(moment);
            longest = longest.max(moment.duration_since(before));
            before = moment;
        }
        longest
    }
}

/// What was seen of a fault; of several, the longest of each.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    times: u32,
    acknowledgements: SignedDuration,
    slowest: SignedDuration,
    refused: usize,
    announcements: SignedDuration,
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [acknowledgements, slowest, announcements] =
            [self.acknowledgements, self.slowest, self.announcements].map(|it| it.as_secs_f64());
        let refused = self.refused;
        write!(
            formatter,
            "{acknowledgements:.1} s | {slowest:.1} s | {refused} | {announcements:.1} s |"
        )
    }
}

/// What was seen of each kind of fault.
#[derive(Default)]
pub struct Pauses(BTreeMap<Fault, Seen>);

impl Pauses {
    /// Counts a fault; gives a line about it. The answers and the announcements are in order.
    pub fn count(
        &mut self,
        window: &Window,
        answers: &[Answer],
        announced: &[Timestamp],
    ) -> String {
        let successes = answers.iter().filter(|answer| answer.is_success);
        // As much of it as was in the window: what takes longer belongs to the next fault too.
        let took = |answer: &Answer| {
            window.clamp(answer.at).duration_since(window.clamp(answer.at - answer.took))
        };
        let is_refusal = |answer: &&Answer| {
            !answer.is_success && window.began < answer.at && answer.at <= window.ended
        };
        let seen = Seen {
            times: 1,
            acknowledgements: window.longest_pause(successes.clone().map(|answer| answer.at)),
            slowest: successes.map(took).max().unwrap_or_default(),
            refused: answers.iter().filter(is_refusal).count(),
            announcements: window.longest_pause(announced.iter().copied()),
        };
        let all = self.0.entry(window.fault).or_default();
        *all = Seen {
            times: all.times + 1,
            acknowledgements: all.acknowledgements.max(seen.acknowledgements),
            slowest: all.slowest.max(seen.slowest),
            refused: all.refused + seen.refused,
            announcements: all.announcements.max(seen.announcements),
        };
        format!("| {} | {seen}", window.fault)
    }

    /// All of them.
    pub fn table(&self) -> String {
        let mut table =
            "| fault | times | longest pause of acknowledgements | slowest C-STORE | refused | \
             longest pause of announcements |\n| --- | --- | --- | --- | --- | --- |\n"
                .to_owned();
        for (fault, seen) in &self.0 {
            writeln!(table, "| {fault} | {} | {seen}", seen.times).unwrap();
        }
        table
    }
}
