//! What must be true in any world, found out the slow way from the whole stream.

use super::indexer::Announced;
use super::stream::{Millis, Stream, time};
use completion::Rules;
use contract::event::{Ending, Reason};
use contract::uid::SeriesInstanceUid;
use indexer::reading::Reading;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};

pub struct Check<'a> {
    stream: &'a Stream,
    announced: HashMap<SeriesInstanceUid, Announced>,
}

impl<'a> Check<'a> {
    pub fn new(stream: &'a Stream) -> Self {
        Self { stream, announced: HashMap::new() }
    }

    /// A completion that was announced at `now`, and decided of what there was at `decided`. Steps of the
    /// broker's clock were `seen` between these times.
    pub fn announced(
        &mut self,
        (now, decided): (Millis, Millis),
        announced: &Announced,
        seen: &[(Millis, Millis)],
    ) {
        let Announced { series, revision, sequence, decided_at, .. } = announced;
        let before = self.announced.insert(series.clone(), announced.clone());
        let before_revision = before.as_ref().map_or(0, |before| before.revision);
        assert_eq!(*revision, before_revision + 1, "one announcement a revision: {announced:?}");

        for (unread, at, event) in self.stream.stored() {
            // All that was there at the time by which it was decided.
            let there = at <= decided && unread > *sequence;
            let waits = event.series_instance_uid == *series && there;
            assert!(!waits, "announced while {unread} waits unread: {announced:?}");
        }
        assert_eq!(announced.count, self.count(series, *sequence), "{announced:?}");
        assert!(decided <= now, "decided ahead of time: {announced:?}");
        assert_eq!(*decided_at, self.stream.clock(decided), "the broker's time: {announced:?}");
        let since = before.map_or(0, |before| before.sequence);
        self.is_not_early(announced, since, decided, seen);
    }

    /// The end of the world: the announcements say what is in the stream.
    pub fn ended(&self) {
        let mut all: Vec<_> =
            self.stream.stored().map(|(_, _, event)| &event.series_instance_uid).collect();
        all.sort();
        all.dedup();
        for series in all {
            let announced = self.announced.get(series).unwrap_or_else(|| panic!("{series}: never"));
            let count = self.count(series, u64::MAX);
            assert_eq!(announced.count, count, "the last word on {series}: {announced:?}");
        }
    }

    /// Instances of a series, each where it turned up last.
    fn count(&self, series: &SeriesInstanceUid, up_to: u64) -> u64 {
        let read = self.stream.stored().take_while(|(sequence, ..)| *sequence <= up_to);
        let places: BTreeMap<_, _> = read
            .map(|(_, _, event)| (&event.sop_instance_uid, &event.series_instance_uid))
            .collect();
        places.values().filter(|place| **place == series).count() as u64
    }

    /// The rule that is named does hold, of the events in `since..=sequence`.
    fn is_not_early(
        &self,
        announced: &Announced,
        since: u64,
        decided: Millis,
        seen: &[(Millis, Millis)],
    ) {
        let Announced { series, reason, sequence, .. } = announced;
        let opened = self.opened(series, since, *sequence);
        let stored: Vec<_> = self
            .stream
            .stored()
            .filter(|(s, _, event)| {
                event.series_instance_uid == *series && *s >= opened && s <= sequence
            })
            .collect();
        let rules = Rules::default();
        let passed = |at: Millis, period| {
            // What nobody could see passed as time.
            let unseen = self.stream.forward(at, decided, seen);
            let due: Timestamp = time(at) + period;
            assert!(due < time(decided + unseen), "early: {announced:?}");
        };
        let Some((_, last, _)) = stored.last() else {
            // It lost an instance to another series, and nothing else happened to it.
            return;
        };
        match reason {
            Reason::Quiet => passed(*last, rules.quiet_period),
            Reason::Interrupted => passed(*last, rules.abort_grace),
            Reason::Overdue => passed(self.stream.get(opened).at, rules.max_open),
            Reason::Expected => {
                passed(*last, rules.settle_period);
                assert!(announced.count >= announced.expected.unwrap(), "{announced:?}");
            }
            Reason::Released => {
                passed(*last, rules.settle_period);
                let mut last_ending = None;
                for (s, _, event) in &stored {
                    let ending =
                        self.ending(&event.association_id, &event.node_name, *s, *sequence);
                    let ending = ending.unwrap_or_else(|| {
                        panic!("{} is open: {announced:?}", event.association_id)
                    });
                    last_ending = last_ending.max(Some(ending));
                }
                assert_eq!(last_ending.unwrap().1, Ending::Released as u8, "{announced:?}");
            }
            Reason::Requested => {
                let asked = self.stream.events.iter().any(|entry| {
                    matches!(&entry.reading, Reading::CompletionRequested(request)
                        if request.series_instance_uid == *series && entry.at < decided)
                });
                assert!(asked, "{announced:?}");
            }
            // Their oracle is in `lists`.
            Reason::Confirmed | Reason::Performed | Reason::Available => {}
            Reason::Stored => panic!("nobody stored anything by HTTP: {announced:?}"),
        }
    }

    /// The first event after `since` that made the series open: resends of what is complete do not.
    fn opened(&self, series: &SeriesInstanceUid, since: u64, to: u64) -> u64 {
        let mut places = BTreeMap::new();
        for (sequence, _, event) in self.stream.stored() {
            let now = (&event.series_instance_uid, &event.digest);
            let before = places.insert(&event.sop_instance_uid, now);
            let touches = now.0 == series || before.is_some_and(|(place, _)| place == series);
            if touches && before != Some(now) && sequence > since {
                assert!(sequence <= to, "{series} was complete again without a reason");
                return sequence;
            }
        }
        panic!("{series} was complete again without a reason");
    }

    /// How an association ended, in `from..=to`: the sequence at which it did, and how.
    fn ending(&self, association: &str, node: &str, from: u64, to: u64) -> Option<(u64, u8)> {
        (from..=to).find_map(|sequence| match &self.stream.get(sequence).reading {
            Reading::Closed(event) if event.association.association_id == association => {
                Some((sequence, event.ending as u8))
            }
            Reading::Started(event) if event.node_name == node => {
                Some((sequence, Ending::Aborted as u8))
            }
            Reading::GoneRequested(event) if event.node_name == node => {
                Some((sequence, Ending::Aborted as u8))
            }
            _ => None,
        })
    }
}
