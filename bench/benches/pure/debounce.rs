//! The completion rules with a million series open, which is more than a hospital has in a year.

use completion::Effect;
use completion::debounce::{Debouncer, Stored};
use completion::{Rules, Senders};
use contract::uid::SeriesInstanceUid;
use criterion::{Criterion, Throughput};
use jiff::{SignedDuration, Timestamp};

const OPEN: i64 = 1_000_000;

/// Observations between two commits.
const BATCH: i64 = 1000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let series: Vec<SeriesInstanceUid> = (0..OPEN)
        .map(|number| format!("1.2.840.113619.2.408.14196467.3.{number}").try_into().unwrap())
        .collect();
    // One series a millisecond, so that each is due when all others have had their turn.
    let mut world = World::new(SignedDuration::from_millis(OPEN));
    for series in &series {
        world.observe(series);
    }
    assert_eq!(world.debouncer.open_series(), OPEN as usize);

    let mut group = criterion.benchmark_group("debounce, 1,000,000 series open");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one is complete, and opens again", |b| {
        b.iter(|| {
            let next = series[(world.now % OPEN) as usize].clone();
            world.debouncer.advance(world.at(1));
            let completed = world.debouncer.poll();
            world.observe(&next);
            completed
        });
    });
    group.bench_function("one more instance of one of them", |b| {
        // Far from each other in every order.
        b.iter(|| world.observe(&series[(world.now * 7919 % OPEN) as usize]));
    });
    group.finish();
}

struct World {
    debouncer: Debouncer,
    /// Milliseconds since 1970, one for each observation.
    now: i64,
}

impl World {
    fn new(quiet_period: SignedDuration) -> Self {
        let rules = Rules {
            quiet_period,
            max_open: SignedDuration::from_hours(1_000_000),
            ..Rules::default()
        };
        Self { debouncer: Debouncer::new(Senders::new(rules)), now: 0 }
    }

    fn at(&self, later: i64) -> Timestamp {
        Timestamp::from_millisecond(self.now + later).unwrap()
    }

    fn observe(&mut self, series: &SeriesInstanceUid) {
        let stored = Stored {
            series,
            instance: "2.25.1",
            at: self.at(0),
            sender: "MRC41234",
            association: "00000000-0000-0000-0000-000000000007",
            node: "bench",
            ordinal: 1,
            series_ordinal: 1,
            effect: &Effect::Added,
            expected: None,
        };
        self.debouncer.stored(&stored, None);
        self.now += 1;
        if self.now % BATCH == 0 {
            drop(self.debouncer.take_consequences());
        }
    }
}
