//! Worlds in which peers list instances: before, between and after them, one list of a series that comes through several
//! associations or several lists of it, whole ones and ones that are not.
//!
//! Mistakes are planted in the lists that are kept, and each has to be seen ([`Bug`]): a late list that reopens
//! (`LateReopens`), a missing instance that is taken to be here (`MissingIsHere`), a list of a part that hastens
//! (`PartHastens`), one that was met and hastens what comes later (`MetStays`), one that does not hold (`Forgotten`), one of
//! a discontinued step that counts (`DiscontinuedCounts`). Those of sources that are asked are in `asking`.

use super::check::Check;
use super::indexer::{Announced, Indexer, Store};
use super::memory::Memory;
use super::random::{naming, number};
use super::real_catalogue::RealCatalogue;
use super::stream::{Association, Entry, MINUTE, Millis, SECOND, Stream, series, time};
use completion::{List, Rules, Senders};
use contract::event::{Ending, InstancesListed, ListKind, ListedInstances, Reason};
use contract::uid::{SeriesInstanceUid, SopInstanceUid};
use fastrand::Rng;
use indexer::reading::Reading;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

const KINDS: [ListKind; 3] = [ListKind::Commitment, ListKind::Mpps, ListKind::Ian];
const GRACE: Millis = MINUTE;

/// A mistake that the rules could make, made behind their back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// A list that comes after the completion opens the series again.
    LateReopens,
    /// What a list misses is taken to be here.
    MissingIsHere,
    /// A list hastens series of which it does not name all.
    PartHastens,
    /// A list that was met hastens what comes later.
    MetStays,
    /// A list does not hold.
    Forgotten,
    /// The list of a discontinued procedure step counts.
    DiscontinuedCounts,
}

fn senders() -> Senders {
    Senders::new(Rules { lists: true, ..Rules::default() })
}

fn sop(number: u32) -> SopInstanceUid {
    SopInstanceUid::parse(&format!("1.3.{number}")).unwrap()
}

/// Everything that happens, in order.
fn stream(seed: u64) -> Stream {
    let mut rng = Rng::with_seed(seed);
    let mut events: Vec<(Millis, Reading)> = Vec::new();
    for sender in 0..rng.u32(1..=3) {
        let numbers: Vec<u32> = (0..rng.u32(1..=2)).map(|it| 10 * sender + it).collect();
        let (mut at, mut parts) = (rng.i64(0..MINUTE), Vec::new());
        let began = at;
        for piece in 0..rng.u32(1..=3) {
            let mut association =
                Association::new(format!("{sender}-{piece}"), &format!("AE{sender}"), "node");
            let mut part = Vec::new();
            for number in &numbers {
                for _ in 0..rng.u32(1..6) {
                    let sop = number * 100 + piece * 10 + part.len() as u32;
                    part.push((*number, sop));
                }
            }
            for (number, sop) in &part {
                at += rng.i64(1..400);
                let stored = association.store(*number, *sop, 0);
                events.push((at, stored));
            }
            let ending = if rng.u32(0..5) == 0 { Ending::Aborted } else { Ending::Released };
            if rng.u32(0..4) > 0 {
                at += 1;
                events.push((at, association.close(ending)));
            }
            at += *rng.choice(&[200, 3 * SECOND, 20 * SECOND, 3 * MINUTE]).unwrap();
            parts.push(part);
        }
        // A correction, long after.
        if rng.u32(0..3) == 0 {
            let (number, sop) = parts[0][0];
            let mut association = Association::new(format!("{sender}-c"), "AE9", "node");
            let later = at + 10 * MINUTE;
            events.push((later, association.store(number, sop, 1)));
        }
        let kind = *rng.choice(&KINDS).unwrap();
        let all: Vec<(u32, u32)> = parts.concat();
        let lists = match rng.u32(0..3) {
            0 => parts.clone(),
            1 => vec![all],
            _ => vec![all.into_iter().filter(|_| rng.u32(0..5) > 0).collect()],
        };
        for (number, mut named) in (0..).zip(lists) {
            if rng.u32(0..5) == 0 {
                // It is never sent.
                named.push((numbers[0], numbers[0] * 100 + 99));
            }
            let when = match rng.u32(0..4) {
                0 => began - rng.i64(0..30 * SECOND),
                1 => rng.i64(began..at),
                2 => at + rng.i64(0..2 * SECOND),
                _ => at + rng.i64(0..20 * MINUTE),
            };
            let mut list = listed(kind, &format!("{sender}.{number}"), sender, &named);
            list.discontinued = kind == ListKind::Mpps && rng.u32(0..4) == 0;
            events.push((when.max(0), Reading::Listed(Box::new(list.clone()))));
            if rng.u32(0..4) == 0 {
                events.push((when.max(0) + SECOND, Reading::Listed(Box::new(list))));
            }
        }
    }
    events.sort_by_key(|(at, _)| *at);
    Stream::new(events.into_iter().map(|(at, reading)| Entry { at, reading }).collect())
}

fn listed(kind: ListKind, uid: &str, sender: u32, named: &[(u32, u32)]) -> InstancesListed {
    let numbers: BTreeSet<_> = named.iter().map(|(number, _)| *number).collect();
    let of = |number: Option<u32>| ListedInstances {
        series_instance_uid: number.map(series),
        sop_class_uid: String::new(),
        sop_instance_uids: named
            .iter()
            .filter(|(its, _)| number.is_none_or(|number| number == *its))
            .map(|(_, number)| sop(*number))
            .collect(),
    };
    InstancesListed {
        kind,
        list_uid: uid.to_owned(),
        discontinued: false,
        calling_ae_title: format!("AE{sender}"),
        association_id: String::new(),
        node_name: String::new(),
        instances: match kind {
            ListKind::Commitment => vec![of(None)],
            _ => numbers.into_iter().map(|number| of(Some(number))).collect(),
        },
        listed_at: time(0),
    }
}

/// Reads everything as it comes, and begins anew from what is kept now and then.
fn run(
    stream: &Stream,
    store: &mut dyn Store,
    rng: &mut Rng,
    bug: Option<Bug>,
) -> Vec<(Millis, Announced)> {
    let senders = senders();
    let mut announced = Vec::new();
    let mut now = 0;
    let mut indexer = Indexer::start(stream, &senders, store, now);
    for step in 0..20_000 {
        let next = stream.events.get(indexer.read_to() as usize).map(|entry| entry.at);
        let due = indexer.debouncer.next_due().map(|due| stream.when(due, now));
        let Some(at) = next.into_iter().chain(due).min() else { return announced };
        now = now.max(at);
        if rng.u32(0..20) == 0 {
            now += rng.i64(0..2 * SECOND);
        }
        indexer.read(store, now, (0, u64::MAX >> 1), None).unwrap();
        if let Some(bug) = bug {
            store.plant(&|list| bug.make(list), bug == Bug::LateReopens);
        }
        if bug.is_some() || step % 3 == 0 {
            indexer = Indexer::start(stream, &senders, store, now);
        }
        let decided = indexer.ask(store, now);
        announced.extend(decided.into_iter().map(|it| (now, it)));
    }
    panic!("something is open for ever");
}

impl Bug {
    fn make(self, list: &mut List) -> bool {
        match self {
            Self::MissingIsHere => list.missing.clear(),
            Self::PartHastens => list.here.values_mut().for_each(|here| *here = 12),
            Self::MetStays | Self::LateReopens => {}
            Self::Forgotten => return false,
            Self::DiscontinuedCounts => list.discontinued = false,
        }
        true
    }
}

struct Oracle<'a> {
    stream: &'a Stream,
}

impl Oracle<'_> {
    /// The instances of a series that are there up to a sequence.
    fn here(&self, of: &SeriesInstanceUid, to: u64) -> BTreeSet<&str> {
        let theirs =
            self.stream.stored().filter(|(s, _, it)| *s <= to && it.series_instance_uid == *of);
        theirs.map(|(.., it)| it.sop_instance_uid.as_str()).collect()
    }

    /// The lists up to a sequence that decide something of a series: where each came, its rule, and what it names.
    fn lists(&self, of: &SeriesInstanceUid, to: u64) -> Vec<(u64, Reason, BTreeSet<&str>)> {
        // A commitment is about a series once an instance of it is here.
        let here = self.here(of, to);
        let mut seen = BTreeSet::new();
        let mut lists = Vec::new();
        for sequence in 1..=to {
            let Reading::Listed(list) = &self.stream.get(sequence).reading else { continue };
            if list.discontinued || !seen.insert(&list.list_uid) {
                continue;
            }
            let about = list
                .instances
                .iter()
                .filter(|it| it.series_instance_uid.as_ref().is_none_or(|about| about == of));
            let named: BTreeSet<_> = about
                .flat_map(|it| it.sop_instance_uids.iter().map(SopInstanceUid::as_str))
                .collect();
            let is_about =
                list.kind != ListKind::Commitment || named.iter().any(|it| here.contains(it));
            if is_about && !named.is_empty() {
                lists.push((sequence, list.kind.rule(), named));
            }
        }
        lists
    }

    fn all(&self, to: u64) -> BTreeSet<&str> {
        let stored = self.stream.stored().filter(|(s, ..)| *s <= to);
        stored.map(|(.., it)| it.sop_instance_uid.as_str()).collect()
    }

    /// The sequence at which an instance came first.
    fn came(&self, uid: &str) -> u64 {
        let mut stored = self.stream.stored();
        stored.find(|(.., it)| it.sop_instance_uid.as_str() == uid).map_or(0, |(s, ..)| s)
    }

    fn check(&self, before: u64, (now, it): &(Millis, Announced)) {
        let (here, all) = (self.here(&it.series, it.sequence), self.all(it.sequence));
        let lists = self.lists(&it.series, it.sequence);
        let is_met = |named: &BTreeSet<&str>| named.is_subset(&all);
        let last = self
            .stream
            .stored()
            .filter(|(s, _, event)| *s <= it.sequence && event.series_instance_uid == it.series);
        let (_, last, _) = last.last().unwrap();
        let by_list =
            [Reason::Confirmed, Reason::Performed, Reason::Available].contains(&it.reason);
        if by_list {
            // All is here and named by a list of which something is new since the last completion.
            let whole = lists.iter().any(|(sequence, rule, named)| {
                let met = named.iter().map(|uid| self.came(uid)).max().unwrap_or(0);
                *rule == it.reason
                    && is_met(named)
                    && here.is_subset(named)
                    && met.max(*sequence) > before
            });
            assert!(whole, "no list is whole: {it:?}");
            assert!(lists.iter().all(|(.., named)| is_met(named)), "a list is not met: {it:?}");
            assert_eq!(it.expected, None, "{it:?}");
        } else {
            let unmet = lists.iter().filter(|(.., named)| !is_met(named));
            let latest = unmet.clone().map(|(sequence, ..)| self.stream.get(*sequence).at).max();
            if let Some(latest) = latest {
                assert!(*now > latest.max(last) + GRACE, "not held: {it:?}");
                assert!(!it.missing.is_empty(), "{it:?}");
            }
            assert!(unmet.count() > 0 || it.missing.is_empty(), "{it:?}");
        }
        assert!(*now <= self.stream.end().max(last + 65 * SECOND) + 2 * GRACE, "{it:?}");
    }
}

/// Runs a world and checks it; gives how many completions were by a list, and how many misses something.
fn checked(seed: u64, store: &mut dyn Store, bug: Option<Bug>) -> Vec<Announced> {
    let stream = stream(seed);
    let announced = run(&stream, store, &mut Rng::with_seed(seed), bug);
    let mut check = Check::new(&stream);
    let oracle = Oracle { stream: &stream };
    for (index, (now, it)) in announced.iter().enumerate() {
        check.announced((*now, *now), it, &[]);
        let earlier = announced[..index].iter().rev().find(|(_, other)| other.series == it.series);
        oracle.check(earlier.map_or(0, |(_, other)| other.sequence), &(*now, it.clone()));
    }
    check.ended();
    announced.into_iter().map(|(_, it)| it).collect()
}

#[test]
fn what_must_be_true_of_lists_is_true_in_any_world() {
    let worlds = number("COLLIMATOR_WORLDS").unwrap_or(2000);
    let (mut revisions, mut by_list, mut short) = (0, 0, 0);
    for seed in 0..worlds {
        for it in naming(seed, || checked(seed, &mut Memory::default(), None)) {
            revisions += 1;
            by_list += u64::from(matches!(
                it.reason,
                Reason::Confirmed | Reason::Performed | Reason::Available
            ));
            short += u64::from(!it.missing.is_empty());
        }
    }
    println!(
        "{worlds} worlds with lists: {revisions} revisions, {by_list} by a list, {short} short"
    );
    assert!(by_list > worlds / 2 && short > worlds / 6, "{by_list} and {short}");
}

#[test]
fn a_list_of_all_that_is_here_completes_its_series_at_once() {
    for kind in KINDS {
        let mut association = Association::new("a", "AE0", "node");
        let mut events: Vec<_> =
            (0..3).map(|sop| Entry { at: 10, reading: association.store(0, sop, 0) }).collect();
        let list = listed(kind, "1", 0, &[(0, 0), (0, 1), (0, 2)]);
        events.push(Entry { at: 50, reading: Reading::Listed(Box::new(list)) });
        let stream = Stream::new(events);
        let announced = run(&stream, &mut Memory::default(), &mut Rng::with_seed(1), None);
        let [(now, it)] = &announced[..] else { panic!("{announced:?}") };
        assert_eq!((it.reason, it.count), (kind.rule(), 3));
        assert!(*now < 50 + 2 * SECOND, "{now}");
    }
}

#[test]
fn the_real_catalogue_announces_the_same_and_a_rebuilt_one_says_it() {
    for seed in 0..15 {
        let mut live = RealCatalogue::new();
        let real = checked(seed, &mut live, None);
        assert_eq!(real, checked(seed, &mut Memory::default(), None), "seed {seed}");
        let (rebuilt, report) = live.replayed(&stream(seed), &senders(), 1);
        assert_eq!(rebuilt, live.rows(), "seed {seed}");
        assert!(report.partial.is_empty(), "seed {seed}: {:?}", report.partial);
    }
}

#[test]
fn each_mistake_that_the_rules_could_make_is_seen() {
    for bug in [
        Bug::LateReopens,
        Bug::MissingIsHere,
        Bug::PartHastens,
        Bug::MetStays,
        Bug::Forgotten,
        Bug::DiscontinuedCounts,
    ] {
        let is_caught = (0..300).any(|seed| {
            let run = || checked(seed, &mut Memory::keeping(bug == Bug::MetStays), Some(bug));
            catch_unwind(AssertUnwindSafe(run)).is_err()
        });
        assert!(is_caught, "{bug:?}");
    }
}
