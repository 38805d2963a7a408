//! Worlds in which sources are asked how many instances they have: honest ones that push a series in pieces, ones that
//! grow while they forward, that are slow, dead, refuse or lie, and one of which is fetched what it has more. Answers come
//! into the stream when they are given, so the indexer here starts anew from what is kept at each step, or goes on with what
//! it knows.
//!
//! Mistakes are planted in what is kept, and each has to be seen ([`Bug`]): an equal number that hastens
//! (`EqualHastens`), an answer that is older than the last instance and believed (`OldIsBelieved`), a hold without end
//! (`HeldForEver`), a fetched instance that counts twice (`FetchedTwice`). A late list that reopens is among those of
//! `lists`.

use super::check::Check;
use super::indexer::{Announced, Indexer, Store};
use super::memory::Memory;
use super::random::{naming, number};
use super::real_catalogue::RealCatalogue;
use super::stream::{Association, Entry, HOUR, MINUTE, Millis, SECOND, Stream, series, time};
use completion::debounce::Debouncer;
use completion::{AskedFor, OpenSeries, Phase, Question, Rules, Senders};
use contract::event::{Ending, InstancesWanted, Reason, SourceAnswered, SourceAsked};
use contract::uid::{SeriesInstanceUid, SopInstanceUid};
use fastrand::Rng;
use indexer::reading::Reading;
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

const TIMEOUT: Millis = 2 * MINUTE;

/// How a source answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// With what it has, in less than 3 s.
    Honest,
    /// With what it has, and it names it.
    Naming,
    /// With what it has, in 4 to 15 s.
    Slow,
    /// Not at all.
    Dead,
    /// That it can't.
    Refusing,
    /// With any number.
    Lying,
    /// Now like this and now like that.
    Changing,
    /// With what it has, by name when that is asked; what is missing is fetched.
    Fetching,
    /// Nobody asks it.
    Unknown,
}

const MANNERS: [Manner; 9] = [
    Manner::Honest,
    Manner::Naming,
    Manner::Slow,
    Manner::Dead,
    Manner::Refusing,
    Manner::Lying,
    Manner::Changing,
    Manner::Fetching,
    Manner::Unknown,
];

impl Manner {
    fn ae_title(self) -> String {
        format!("{self:?}")
    }

    fn always_answers(self) -> bool {
        matches!(self, Self::Honest | Self::Naming)
    }
}

fn senders() -> Senders {
    let ask_timeout = Some(SignedDuration::from_millis(TIMEOUT));
    let asked = Rules { ask_timeout, ..Rules::default() };
    let known = MANNERS.into_iter().filter(|manner| *manner != Manner::Unknown);
    known.fold(Senders::new(Rules::default()), |senders, manner| {
        let fetch_limit = (manner == Manner::Fetching).then_some(200);
        senders.with(&manner.ae_title(), Rules { fetch_limit, ..asked.clone() })
    })
}

/// A mistake that the rules could make, made behind their back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// An equal number makes a series complete at once.
    EqualHastens,
    /// A number that is older than the last instance is believed to be equal.
    OldIsBelieved,
    /// What is held is held without end.
    HeldForEver,
    /// What is fetched is counted once for the request and once for the instance.
    FetchedTwice,
}

impl Bug {
    fn make(self, open: &mut OpenSeries, now: Millis) {
        let counted = open.counted;
        let Some(asking) = &mut open.asking else { return };
        match self {
            Self::EqualHastens if asking.count == Some(counted) => {
                asking.phase = Phase::Settled;
                open.last_activity -= SignedDuration::from_secs(60);
            }
            Self::OldIsBelieved
                if asking.phase == Phase::Unasked && asking.count <= Some(counted) =>
            {
                asking.phase = Phase::Settled;
            }
            Self::FetchedTwice => {
                let fetched = asking.fetched.clone();
                asking.fetched.extend(fetched);
            }
            Self::HeldForEver if asking.phase == Phase::Held => asking.since = time(now),
            _ => {}
        }
    }
}

/// A series at its source.
#[derive(Debug)]
struct AtSource {
    manner: Manner,
    /// When the source has each of its instances.
    has: Vec<(Millis, u32)>,
}

impl AtSource {
    fn at(&self, now: Millis) -> Vec<u32> {
        self.has.iter().filter(|(at, _)| *at <= now).map(|(_, sop)| *sop).collect()
    }
}

struct World<'a> {
    rng: Rng,
    senders: &'a Senders,
    stream: Stream,
    /// What is still to happen.
    coming: BTreeMap<(Millis, u32), Reading>,
    order: u32,
    at_source: Vec<AtSource>,
    questions: Vec<(Millis, Question)>,
    /// What was announced, when, and by what the broker had then.
    announced: Vec<(Millis, Millis, Announced)>,
    /// What an indexer that goes on knows.
    known: Option<Debouncer>,
    bug: Option<Bug>,
}

impl<'a> World<'a> {
    fn new(seed: u64, senders: &'a Senders, bug: Option<Bug>) -> Self {
        let mut world = Self {
            rng: Rng::with_seed(seed),
            senders,
            stream: Stream::default(),
            coming: BTreeMap::new(),
            order: 0,
            at_source: Vec::new(),
            questions: Vec::new(),
            announced: Vec::new(),
            known: None,
            bug,
        };
        for number in 0..world.rng.u32(1..=4) {
            world.push(number);
        }
        world
    }

    fn happens(&mut self, at: Millis, reading: Reading) {
        self.order += 1;
        self.coming.insert((at, self.order), reading);
    }

    /// A source pushes a series in pieces.
    fn push(&mut self, number: u32) {
        let manner = *self.rng.choice(&MANNERS).unwrap();
        let (count, grows) = (self.rng.u32(1..20), self.rng.u32(0..4) == 0);
        let mut at = self.rng.i64(0..MINUTE);
        let (mut has, mut sent) = (Vec::new(), 0);
        let mut piece = 0;
        while sent < count {
            let name = format!("{number}-{piece}");
            let mut association = Association::new(name, &manner.ae_title(), "node");
            for _ in 0..self.rng.u32(1..=count - sent) {
                let sop = number * 100 + sent;
                // It forwards while it still receives, or had all before.
                has.push((if grows { at } else { 0 }, sop));
                let stored = association.store(number, sop, 0);
                self.happens(at, stored);
                sent += 1;
                at += self.rng.i64(1..300);
            }
            let end = match self.rng.u32(0..10) {
                0 => Some(Ending::Aborted),
                1 => None,
                _ => Some(Ending::Released),
            };
            if let Some(end) = end {
                let closed = association.close(end);
                self.happens(at, closed);
            }
            at += match self.rng.u32(0..4) {
                0 => self.rng.i64(1..SECOND),
                1 => self.rng.i64(SECOND..10 * SECOND),
                2 => self.rng.i64(10 * SECOND..MINUTE),
                _ => self.rng.i64(MINUTE..5 * MINUTE),
            };
            piece += 1;
        }
        if self.rng.u32(0..3) == 0 {
            // It never pushes these.
            has.extend((0..self.rng.u32(1..5)).map(|more| (0, number * 100 + 50 + more)));
        }
        self.at_source.push(AtSource { manner, has });
    }

    /// The source of a series is asked now.
    fn ask(&mut self, now: Millis, question: Question) {
        let number: u32 = question.series.as_str().trim_start_matches("2.25.").parse().unwrap();
        if let AskedFor::Instances(instances) = &question.asked_for {
            self.fetch(now, number, &question, instances.clone());
            self.questions.push((now, question));
            return;
        }
        let asked = SourceAsked {
            series_instance_uid: question.series.clone(),
            study_instance_uid: None,
            calling_ae_title: question.source.clone(),
            question_id: question.id.clone(),
            asked_at: question.asked_at,
            names: question.asked_for == AskedFor::Names,
        };
        let published = now + self.rng.i64(1..50);
        self.happens(published, Reading::Asked(Box::new(asked)));
        let mut manner = self.at_source[number as usize].manner;
        if manner == Manner::Changing {
            manner = *self.rng.choice(&MANNERS[..6]).unwrap();
        }
        let took = match manner {
            Manner::Slow => self.rng.i64(4 * SECOND..15 * SECOND),
            Manner::Dead => i64::MAX,
            _ => self.rng.i64(1..3 * SECOND),
        };
        let at = published.saturating_add(took);
        let has = self.at_source[number as usize].at(at);
        let (count, named) = match manner {
            Manner::Dead => (None, Vec::new()),
            Manner::Refusing => (None, Vec::new()),
            Manner::Lying => {
                (Some(*self.rng.choice(&[0, 1, 7, 30, u64::MAX]).unwrap()), Vec::new())
            }
            Manner::Naming => (Some(has.len() as u64), has),
            Manner::Fetching if question.asked_for == AskedFor::Names => {
                (Some(has.len() as u64), has)
            }
            _ => (Some(has.len() as u64), Vec::new()),
        };
        let uid = |sop: u32| SopInstanceUid::parse(&format!("1.3.{sop}")).unwrap();
        let answered = SourceAnswered {
            series_instance_uid: question.series.clone(),
            calling_ae_title: question.source.clone(),
            question_id: question.id.clone(),
            count,
            instances: named.into_iter().map(uid).collect(),
            no_answer: count.is_none().then(|| "refused".to_owned()),
            node_name: String::new(),
            answered_at: time(0),
        };
        if at < i64::MAX {
            self.happens(at, Reading::Answered(Box::new(answered.clone())));
            if self.rng.u32(0..10) == 0 {
                // Two receivers asked.
                self.happens(at + SECOND, Reading::Answered(Box::new(answered)));
            }
        }
        self.questions.push((now, question));
    }

    /// Instances of a series are fetched: they come through an association of its source, most of them, some twice.
    fn fetch(&mut self, now: Millis, number: u32, question: &Question, instances: Vec<String>) {
        let mut at = now + self.rng.i64(1..50);
        let wanted = InstancesWanted {
            series_instance_uid: question.series.clone(),
            study_instance_uid: None,
            calling_ae_title: question.source.clone(),
            question_id: question.id.clone(),
            instances: instances.clone(),
            asked_at: question.asked_at,
        };
        self.happens(at, Reading::Wanted(Box::new(wanted)));
        let name = format!("{number} fetched {now}");
        let mut association = Association::new(name, &question.source, "node");
        for instance in instances {
            let sop: u32 = instance.trim_start_matches("1.3.").parse().unwrap();
            for _ in 0..*self.rng.choice(&[0, 1, 1, 1, 1, 1, 2]).unwrap() {
                at += self.rng.i64(1..500);
                let stored = association.store(number, sop, 0);
                self.happens(at, stored);
            }
        }
        let closed = association.close(Ending::Released);
        self.happens(at, closed);
    }

    /// To its rest, on an indexer that is mostly in time.
    fn run(&mut self, store: &mut dyn Store) {
        let mut now = 0;
        for _ in 0..20_000 {
            let next = self.coming.first_key_value().map(|((at, _), _)| *at);
            let due = self.step(store, now, |indexer, _| indexer.debouncer.next_due());
            let due = due.map(|due| self.stream.when(due, now));
            let Some(at) = next.into_iter().chain(due).min() else { return };
            if self.bug == Some(Bug::HeldForEver) && at > HOUR {
                break;
            }
            now = now.max(at);
            if self.rng.u32(0..20) == 0 {
                now += self.rng.i64(0..3 * SECOND);
            }
            while let Some(entry) = self.coming.first_entry().filter(|it| it.key().0 <= now) {
                // Events that come late in the morning of a slow indexer keep their time.
                let ((at, _), reading) = entry.remove_entry();
                let last = self.stream.end();
                self.stream.events.push(Entry { at: at.max(last), reading: reading.clone() });
                self.step(store, now, |indexer, store| {
                    indexer.read(store, now, (0, u64::MAX >> 1), None).unwrap();
                });
                if let (Some(bug), Reading::Answered(_) | Reading::Wanted(_)) = (self.bug, &reading)
                {
                    store.tamper(&|open| bug.make(open, now));
                }
            }
            let (announced, questions, decided) = self.step(store, now, |indexer, store| {
                let announced = indexer.ask(store, now);
                (announced, std::mem::take(&mut indexer.questions), indexer.decided)
            });
            let announced = announced.into_iter().map(|it| (now, decided, it));
            self.announced.extend(announced);
            for question in questions {
                self.ask(now, question);
            }
        }
        panic!("something is open for ever: {:?}", store.open_series());
    }

    /// One step of an indexer that has just started, or that goes on.
    fn step<T>(
        &mut self,
        store: &mut dyn Store,
        now: Millis,
        work: impl FnOnce(&mut Indexer<'_>, &mut dyn Store) -> T,
    ) -> T {
        // With a mistake in what is kept it has to be read.
        let goes_on = self.bug.is_none() && self.rng.bool();
        let mut indexer = Indexer::start(&self.stream, self.senders, store, now);
        if let Some(known) = self.known.take().filter(|_| goes_on) {
            indexer.debouncer = known;
        }
        let done = work(&mut indexer, store);
        let known = indexer.debouncer;
        self.known = Some(known);
        done
    }

    fn check(&self) {
        let mut check = Check::new(&self.stream);
        for (now, decided, announced) in &self.announced {
            check.announced((*now, *decided), announced, &[]);
            self.is_as_asked(*decided, announced);
        }
        self.what_was_fetched_is_counted_once();
        check.ended();
        self.an_honest_source_is_waited_for();
    }

    /// The last time that an instance of a series came, of those that were read.
    fn last(&self, of: &SeriesInstanceUid, sequence: u64) -> Millis {
        let theirs = self
            .stream
            .stored()
            .filter(|(s, _, event)| *s <= sequence && event.series_instance_uid == *of);
        theirs.map(|(_, at, _)| at).max().unwrap()
    }

    fn manner(&self, of: &SeriesInstanceUid) -> Manner {
        let number: usize = of.as_str().trim_start_matches("2.25.").parse().unwrap();
        self.at_source[number].manner
    }

    /// A completion is not decided before its source was asked about what is there, and held for so long only.
    fn is_as_asked(&self, decided: Millis, announced: &Announced) {
        let Announced { series, sequence, count, reason, .. } = announced;
        let (manner, last) = (self.manner(series), self.last(series, *sequence));
        // The longest rule, the longest hold, an answer that is late, and an indexer that is.
        let latest = last + 62 * SECOND + TIMEOUT + 25 * SECOND;
        assert!(decided <= latest, "held for too long: {announced:?}");
        let questions = self.questions.iter().filter(|(_, it)| it.series == *series);
        let questions: Vec<_> = questions.filter(|(at, _)| (last..decided).contains(at)).collect();
        if manner == Manner::Unknown {
            assert!(questions.is_empty(), "nobody is to ask: {announced:?}");
            return;
        }
        if !manner.always_answers() || *reason == Reason::Overdue {
            return;
        }
        let answers = questions.iter().filter_map(|(_, question)| {
            (1..=*sequence).find_map(|s| match &self.stream.get(s).reading {
                // Questions about two series at the same time have the same number.
                Reading::Answered(it)
                    if it.question_id == question.id && it.series_instance_uid == *series =>
                {
                    it.count
                }
                _ => None,
            })
        });
        let answer = answers.reduce(|_, later| later);
        let answer = answer.unwrap_or_else(|| panic!("complete without an answer: {announced:?}"));
        let since = questions.first().unwrap().0;
        let is_short = answer > *count;
        assert!(!is_short || decided >= since + TIMEOUT, "not held: {announced:?}");
        assert_eq!(announced.expected, is_short.then_some(answer), "{announced:?}");
        if manner == Manner::Naming && is_short {
            assert_eq!(announced.missing.len() as u64, answer - count, "{announced:?}");
        }
    }

    /// A completion says how many of the instances that were to be fetched for it are here.
    fn what_was_fetched_is_counted_once(&self) {
        let mut before: BTreeMap<&SeriesInstanceUid, Millis> = BTreeMap::new();
        for (_, decided, announced) in &self.announced {
            let since = before.insert(&announced.series, *decided).unwrap_or(-1);
            let wanted = self.questions.iter().filter_map(|(at, it)| match &it.asked_for {
                AskedFor::Instances(instances)
                    if it.series == announced.series && since <= *at && at <= decided =>
                {
                    Some(instances)
                }
                _ => None,
            });
            let wanted: BTreeSet<_> = wanted.flatten().map(String::as_str).collect();
            let stored = self.stream.stored().filter(|(sequence, _, event)| {
                *sequence <= announced.sequence && event.series_instance_uid == announced.series
            });
            let here: BTreeSet<_> =
                stored.map(|(.., event)| event.sop_instance_uid.as_str()).collect();
            let fetched = wanted.intersection(&here).count() as u64;
            assert_eq!(announced.fetched, fetched, "{announced:?}");
        }
    }

    /// A series whose pieces come within the timeout is announced once, and whole.
    fn an_honest_source_is_waited_for(&self) {
        for (number, at_source) in (0..).zip(&self.at_source) {
            let had_all = at_source.has.iter().all(|(at, _)| *at == 0);
            let stored =
                self.stream.stored().filter(|it| it.2.series_instance_uid == series(number));
            let times: Vec<_> = stored.map(|(_, at, _)| at).collect();
            let pauses = times.windows(2).all(|pair| pair[1] - pair[0] < TIMEOUT - 10 * SECOND);
            if !at_source.manner.always_answers() || !had_all || !pauses {
                continue;
            }
            let theirs = self.announced.iter().filter(|(.., it)| it.series == series(number));
            let counts: Vec<_> = theirs.map(|(.., it)| it.count).collect();
            assert_eq!(counts, [times.len() as u64], "series {number} in pieces");
        }
    }
}

fn run(seed: u64, store: &mut dyn Store) -> Vec<Announced> {
    let senders = senders();
    let mut world = World::new(seed, &senders, None);
    world.run(store);
    world.check();
    world.announced.into_iter().map(|(.., announced)| announced).collect()
}

#[test]
fn what_must_be_true_of_asked_sources_is_true_in_any_world() {
    let worlds = number("COLLIMATOR_WORLDS").unwrap_or(600);
    let (mut revisions, mut short, mut fetched) = (0, 0, 0);
    for seed in 0..worlds {
        for it in naming(seed, || run(seed, &mut Memory::default())) {
            revisions += 1;
            short += u64::from(it.expected > Some(it.count));
            fetched += it.fetched;
        }
    }
    println!(
        "{worlds} worlds with sources that are asked: {revisions} revisions, {short} short, {fetched} instances fetched"
    );
    assert!(revisions > worlds && short > worlds / 6, "{revisions} and {short}");
    assert!(fetched > worlds / 6, "{fetched}");
}

#[test]
fn the_real_catalogue_asks_and_announces_the_same() {
    for seed in 0..15 {
        let real = run(seed, &mut RealCatalogue::new());
        assert_eq!(real, run(seed, &mut Memory::default()), "seed {seed}");
    }
}

#[test]
fn a_catalogue_that_is_rebuilt_says_what_was_decided_by_the_answers() {
    for seed in 0..15 {
        let senders = senders();
        let mut world = World::new(seed, &senders, None);
        let mut live = RealCatalogue::new();
        world.run(&mut live);
        let (rebuilt, report) = live.replayed(&world.stream, &senders, 1);
        // Silence is not on the record: of how patient we are with a source a replay knows less.
        let of = |rows: Vec<String>| -> Vec<String> {
            rows.into_iter().filter(|row| !row.starts_with("sources ")).collect()
        };
        assert_eq!(of(rebuilt), of(live.rows()), "seed {seed}");
        assert!(report.partial.is_empty(), "seed {seed}: {:?}", report.partial);
    }
}

/// Whether any of some worlds shows a mistake.
fn is_caught(bug: Bug) -> bool {
    let senders = senders();
    (0..200).any(|seed| {
        let mut world = World::new(seed, &senders, Some(bug));
        let mut memory = Memory::default();
        catch_unwind(AssertUnwindSafe(|| {
            world.run(&mut memory);
            world.check();
        }))
        .is_err()
    })
}

#[test]
fn each_mistake_that_the_rules_could_make_is_seen() {
    for bug in [Bug::EqualHastens, Bug::OldIsBelieved, Bug::HeldForEver, Bug::FetchedTwice] {
        assert!(is_caught(bug), "{bug:?}");
    }
}
