//! As many random worlds as are asked for.

use super::check::Check;
use super::indexer::{Announced, Death, Indexer, Store, watch};
use super::memory::Memory;
use super::real_catalogue::RealCatalogue;
use super::senders::world;
use super::stream::{Entry, HOUR, Millis, SECOND, Stream, delete, senders};
use completion::Senders;
use completion::debounce::Debouncer;
use fastrand::Rng;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Far enough after the end of a world for anything to have come to rest.
const REST: Millis = 10 * super::stream::DAY;

/// What happened in some worlds.
#[derive(Debug, Default)]
struct Tally {
    worlds: u64,
    events: u64,
    steps: u64,
    deaths: u64,
    longest_backlog: u64,
    /// In hours of the broker's time.
    oldest_backlog: i64,
    completions: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.worlds += other.worlds;
        self.events += other.events;
        self.steps += other.steps;
        self.deaths += other.deaths;
        self.longest_backlog = self.longest_backlog.max(other.longest_backlog);
        self.oldest_backlog = self.oldest_backlog.max(other.oldest_backlog);
        for (reason, count) in other.completions {
            *self.completions.entry(reason).or_default() += count;
        }
    }
}

/// One world with an indexer that is slow, that is away, that dies and comes again; checked at every
/// step. Gives what was announced.
fn live(seed: u64, store: &mut dyn Store) -> (Vec<Announced>, Tally) {
    let (stream, rng) = stream_of(seed);
    live_in(&stream, rng, store, true)
}

/// The stream of a seed, and the dice as they lie then.
fn stream_of(seed: u64) -> (Stream, Rng) {
    let mut rng = Rng::with_seed(seed);
    (world(&mut rng), rng)
}

/// In a given stream; to its rest, or only up to its last event.
fn live_in(
    stream: &Stream,
    rng: Rng,
    store: &mut dyn Store,
    to_rest: bool,
) -> (Vec<Announced>, Tally) {
    let senders = senders();
    let mut life = Life {
        check: Check::new(stream),
        stream,
        senders: &senders,
        store,
        indexer: None,
        away: 0,
        announced: Vec::new(),
        tally: Tally {
            worlds: 1,
            events: stream.events.len() as u64,
            steps: stream.steps.len() as u64,
            ..Tally::default()
        },
        seen: Vec::new(),
        rng,
    };
    let mut before = 0;
    for entry in &stream.events {
        life.pass(before, entry.at);
        life.work(entry.at);
        before = entry.at;
    }
    life.catch_up(stream.end());
    if to_rest {
        life.come_to_rest(stream.end());
    }
    (life.announced, life.tally)
}

struct Life<'a> {
    stream: &'a Stream,
    senders: &'a Senders,
    store: &'a mut dyn Store,
    indexer: Option<Indexer<'a>>,
    /// Events that go by before a dead indexer is missed.
    away: u32,
    check: Check<'a>,
    announced: Vec<Announced>,
    tally: Tally,
    /// Between which answers indexers that died saw steps of the broker's clock.
    seen: Vec<(Millis, Millis)>,
    rng: Rng,
}

impl Life<'_> {
    /// Nothing happens for a while, but that series become due.
    fn pass(&mut self, from: Millis, to: Millis) {
        if self.rng.u32(0..10) == 0 {
            // It was busy with something else, and comes to it at some moment.
            if to > from {
                let now = self.rng.i64(from..to);
                self.ask(now);
            }
            return;
        }
        let steps = self.stream.steps.iter().map(|(at, _)| *at);
        let steps: Vec<_> = steps.filter(|at| (from + 1..to).contains(at)).collect();
        let mut from = from;
        for step in steps {
            // While something is open the clock is looked at each second.
            if from >= step {
                continue;
            }
            let (before, after) = (self.rng.i64(1..=SECOND), self.rng.i64(0..SECOND));
            let (before, after) = ((step - before).max(from), (step + after).min(to - 1));
            self.become_due(from, before);
            self.ask(before);
            self.ask(after);
            from = after;
        }
        self.become_due(from, to);
    }

    /// Series become due.
    fn become_due(&mut self, from: Millis, to: Millis) {
        let mut from = from;
        while let Some(indexer) = &self.indexer
            && let Some(due) = indexer.debouncer.next_due()
        {
            let at = self.stream.when(due, from);
            if at >= to {
                break;
            }
            from = at;
            let open = indexer.debouncer.open_series();
            self.ask(at);
            let open_now = self.indexer.as_ref().map_or(0, |i| i.debouncer.open_series());
            if open_now == open {
                break;
            }
        }
    }

    /// The indexer, if it lives, does something.
    fn work(&mut self, now: Millis) {
        let Some(indexer) = &mut self.indexer else {
            self.away = self.away.saturating_sub(1);
            if self.away == 0 && self.rng.u32(0..4) == 0 {
                self.start(now);
            }
            return;
        };
        let count = *self.rng.choice(&[0, 1, 2, 1000]).unwrap();
        let again = *self.rng.choice(&[0, 0, 1, 5]).unwrap();
        let death = match self.rng.u32(0..60) {
            0 => Some(Death::BeforeCommit),
            1 => Some(Death::BeforeAcknowledgement),
            _ => None,
        };
        if indexer.read(self.store, now, (again, count), death).is_err() {
            self.seen.append(&mut indexer.seen);
            self.indexer = None;
            self.away = *self.rng.choice(&[0, 0, 0, 20, 200]).unwrap();
            self.tally.deaths += 1;
            return;
        }
        let announced = indexer.decide(self.store, now);
        self.announce(now, announced);
        if self.rng.u32(0..10) == 0 {
            self.ask(now);
            self.knows_what_is_kept(now);
        }
    }

    fn start(&mut self, now: Millis) {
        let indexer = Indexer::start(self.stream, self.senders, self.store, now);
        let backlog = self.stream.position(now).last - indexer.read_to();
        self.tally.longest_backlog = self.tally.longest_backlog.max(backlog);
        if backlog > 0 {
            let waits = now - self.stream.get(indexer.read_to() + 1).at;
            self.tally.oldest_backlog = self.tally.oldest_backlog.max(waits / HOUR);
        }
        self.indexer = Some(indexer);
    }

    fn ask(&mut self, now: Millis) {
        let Some(indexer) = &mut self.indexer else { return };
        let announced = indexer.ask(self.store, now);
        self.announce(now, announced);
    }

    fn announce(&mut self, now: Millis, announced: Vec<Announced>) {
        let Some(indexer) = &self.indexer else { return };
        let seen = [&self.seen[..], &indexer.seen].concat();
        for announced in announced {
            self.check.announced((now, indexer.decided), &announced, &seen);
            *self.tally.completions.entry(announced.reason.as_str()).or_default() += 1;
            self.announced.push(announced);
        }
    }

    /// An indexer that started now would decide the same.
    fn knows_what_is_kept(&mut self, now: Millis) {
        let Some(indexer) = &self.indexer else { return };
        let restarted = Indexer::start(self.stream, self.senders, self.store, now);
        let decisions = |debouncer: &Debouncer| {
            let mut debouncer = debouncer.clone();
            debouncer.advance(Timestamp::MAX);
            std::iter::from_fn(move || debouncer.poll()).collect::<Vec<_>>()
        };
        assert_eq!(decisions(&indexer.debouncer), decisions(&restarted.debouncer));
        assert_eq!(indexer.read_to(), restarted.read_to());
    }

    fn catch_up(&mut self, end: Millis) {
        if self.indexer.is_none() {
            self.start(end);
        }
        if let Some(indexer) = &mut self.indexer {
            indexer.read(self.store, end, (0, u64::MAX >> 1), None).unwrap();
            let announced = indexer.decide(self.store, end);
            self.announce(end, announced);
        }
    }

    fn come_to_rest(&mut self, end: Millis) {
        self.pass(end, end + REST);
        self.ask(end + REST);
        let open = self.indexer.as_ref().map_or(0, |i| i.debouncer.open_series());
        assert_eq!(open, 0, "something is open for ever");
        assert!(self.store.open_series().is_empty());
        self.check.ended();
    }
}

/// Runs the world of a seed; names the seed if the world fails.
pub fn naming<T>(seed: u64, world: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(world)).unwrap_or_else(|panic| {
        eprintln!("the world of seed {seed} failed");
        resume_unwind(panic)
    })
}

fn run(seed: u64, store: &mut dyn Store) -> (Vec<Announced>, Tally) {
    naming(seed, || live(seed, store))
}

pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

#[test]
fn what_must_be_true_is_true_in_any_world() {
    if let Some(seed) = number("COLLIMATOR_SEED") {
        let (announced, tally) = run(seed, &mut Memory::default());
        println!("seed {seed}: {tally:#?}\n{announced:#?}");
        return;
    }
    let worlds = number("COLLIMATOR_WORLDS").unwrap_or(2000);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let began = std::time::Instant::now();
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let share = |thread| {
            move || {
                let mut tally = Tally::default();
                for seed in (thread..worlds).step_by(threads as usize) {
                    tally.add(run(seed, &mut Memory::default()).1);
                }
                tally
            }
        };
        let shares: Vec<_> = (0..threads).map(|thread| scope.spawn(share(thread))).collect();
        for share in shares {
            tally.add(share.join().unwrap());
        }
    });
    let rate = tally.worlds as f64 / began.elapsed().as_secs_f64();
    println!("seeds 0 to {}: {tally:#?}\nfailures 0, {rate:.0} worlds a second", worlds - 1);
    assert_eq!(tally.worlds, worlds);
}

#[test]
fn the_catalogue_in_memory_and_the_real_one_announce_the_same() {
    let mut learnt = 0;
    for seed in 0..25 {
        let (mut real_catalogue, mut memory) = (RealCatalogue::new(), Memory::default());
        let (real, _) = run(seed, &mut real_catalogue);
        let (modelled, _) = run(seed, &mut memory);
        assert_eq!(real, modelled, "seed {seed}");
        let mut pauses = real_catalogue.pauses();
        pauses.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(pauses, memory.pauses(), "seed {seed}");
        learnt += pauses.len();
    }
    assert!(learnt > 25, "{learnt} senders whose pauses were learnt");
}

#[test]
fn a_catalogue_that_is_rebuilt_from_the_record_says_the_same() {
    let mut open = 0;
    for seed in 0..25 {
        let (mut stream, rng) = stream_of(seed);
        // Only answers show some steps, and those are not on the record.
        stream.steps.clear();
        // Some to their rest, others only until the middle, with series that are open.
        if seed % 2 == 0 {
            stream.events.truncate(stream.events.len() / 2 + 1);
        }
        let mut live = RealCatalogue::new();
        live_in(&stream, rng, &mut live, seed % 2 == 1);
        open += live.open_series().len();
        let (rebuilt, report) = live.replayed(&stream, &senders(), 1);
        assert_eq!(rebuilt, live.rows(), "seed {seed}");
        assert!(report.partial.is_empty(), "seed {seed}: {:?}", report.partial);
    }
    assert!(open > 0, "some of them have to be open, or this says less than it seems");
}

#[test]
fn whatever_is_deleted_a_rebuilt_catalogue_says_the_same() {
    let mut deletions = 0;
    for seed in 0..25 {
        let (mut stream, mut rng) = stream_of(seed);
        stream.steps.clear();
        for _ in 0..5 {
            let place = rng.usize(..stream.events.len());
            let at = stream.events[place].at;
            let Some((_, _, event)) = stream.stored().nth(rng.usize(..stream.events.len())) else {
                continue;
            };
            let number = event.series_instance_uid.as_str().trim_start_matches("2.25.");
            let reading = delete(number.parse().unwrap());
            stream.events.insert(place + 1, Entry { at, reading });
        }
        let mut live = RealCatalogue::new();
        let announced = watch(&stream, &senders(), &mut live);
        assert_eq!(watch(&stream, &senders(), &mut Memory::default()), announced, "seed {seed}");
        let (rebuilt, report) = live.replayed(&stream, &senders(), 1);
        assert_eq!(rebuilt, live.rows(), "seed {seed}");
        assert!(report.partial.is_empty(), "seed {seed}: {:?}", report.partial);
        deletions += report.deletions;
    }
    assert!(deletions > 25, "{deletions}");
}

#[test]
fn of_a_record_that_begins_in_the_middle_the_decisions_are_whole_and_what_is_partial_is_marked() {
    let mut partial = 0;
    for seed in 0..25 {
        let (mut stream, rng) = stream_of(seed);
        stream.steps.clear();
        let mut live = RealCatalogue::new();
        live_in(&stream, rng, &mut live, true);
        let from = stream.events.len() as u64 / 2 + 1;
        let (rebuilt, report) = live.replayed(&stream, &senders(), from);
        let of = |rows: &[String], what: &str| -> Vec<String> {
            rows.iter().filter(|row| row.starts_with(what)).cloned().collect()
        };
        let live = live.rows();
        assert_eq!(of(&rebuilt, "revisions "), of(&live, "revisions "), "seed {seed}");
        assert_eq!(of(&rebuilt, "series ").len(), of(&live, "series ").len(), "seed {seed}");
        for row in of(&rebuilt, "series ") {
            let marked = row.contains(r#""partial":1"#);
            let touched_before = stream.stored().any(|(sequence, _, event)| {
                let named = format!(r#""series_instance_uid":"{}""#, event.series_instance_uid);
                sequence < from && row.contains(&named)
            });
            assert!(touched_before || (!marked && live.contains(&row)), "seed {seed}: {row}");
        }
        partial += report.partial.len();
    }
    assert!(partial > 0, "something was lost");
}
