//! Random senders: how they split what they have into associations, how they pause, fail, abort and
//! try again, and how their receivers die.

use super::stream::{
    Association, DAY, EXACT, Entry, HOUR, MINUTE, Millis, SECOND, Stream, complete, gone, started,
    trust,
};
use contract::event::Ending;
use fastrand::Rng;
use indexer::reading::Reading;

/// An instance to send.
#[derive(Debug, Clone, Copy)]
struct Item {
    series: u32,
    sop: u32,
    digest: u32,
}

/// A receiver, and when it is dead.
struct Node {
    name: String,
    outages: Vec<(Millis, Millis)>,
}

impl Node {
    /// The first moment from `at` on at which it lives.
    fn alive_from(&self, at: Millis) -> Millis {
        let outage = self.outages.iter().find(|(from, to)| (*from..=*to).contains(&at));
        outage.map_or(at, |(_, to)| to + 1)
    }

    fn dies_after(&self, at: Millis) -> Millis {
        self.outages.iter().map(|(from, _)| *from).find(|from| *from > at).unwrap_or(Millis::MAX)
    }
}

/// Everything that happens in a world, in the order in which the broker stores it.
pub fn world(rng: &mut Rng) -> Stream {
    let mut world = World { rng, nodes: Vec::new(), timeline: Vec::new(), associations: 0 };
    world.receivers();
    for sender in 0..world.rng.u32(1..=3) {
        world.sender(sender);
    }
    world.operators();
    let mut events = std::mem::take(&mut world.timeline);
    events.sort_by_key(|entry| entry.at);
    let steps = world.steps(&events);
    Stream { events, steps }
}

struct World<'a> {
    rng: &'a mut Rng,
    nodes: Vec<Node>,
    timeline: Vec<Entry>,
    associations: u32,
}

impl World<'_> {
    fn happens(&mut self, at: Millis, reading: Reading) {
        self.timeline.push(Entry { at, reading });
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    fn receivers(&mut self) {
        for number in 0..self.rng.u32(1..=2) {
            let name = format!("node{number}");
            let mut outages = Vec::new();
            let mut at = 0;
            while self.chance(40) && outages.len() < 3 {
                let from = at + self.rng.i64(SECOND..10 * MINUTE);
                let to = from + self.rng.i64(SECOND..3 * MINUTE);
                self.happens(to, started(&name));
                outages.push((from, to));
                at = to;
            }
            self.nodes.push(Node { name, outages });
        }
    }

    fn operators(&mut self) {
        for _ in 0..self.rng.u32(0..3) {
            let at = self.rng.i64(0..20 * MINUTE);
            let request = match self.rng.u32(0..3) {
                0 => complete(self.rng.u32(0..8)),
                1 => trust("AE0"),
                // Also of one that is alive: operators err.
                _ => gone("node0"),
            };
            self.happens(at, request);
        }
    }

    /// Somebody sets the broker's clock, as things happen or a little later.
    fn steps(&mut self, events: &[Entry]) -> Vec<(Millis, Millis)> {
        let mut at = Vec::new();
        while self.chance(40) && at.len() < 4 {
            let near = self.rng.choice(events).map_or(0, |entry| entry.at);
            at.push((near + self.rng.i64(0..20 * SECOND)).max(1));
        }
        at.sort_unstable();
        at.dedup();
        let mut ahead = 0;
        let step = |at| {
            let by = *self.rng.choice(&[100, 3 * SECOND, MINUTE, 90 * SECOND, HOUR]).unwrap();
            ahead += if self.rng.bool() { by } else { -by };
            (at, ahead)
        };
        at.into_iter().map(step).collect()
    }

    /// One sender with a few series.
    fn sender(&mut self, number: u32) {
        let sender = match self.chance(20) {
            true => EXACT.to_owned(),
            false => format!("AE{}", self.rng.u32(0..2)),
        };
        let mut at = self.rng.i64(0..MINUTE);
        let series: Vec<u32> = (0..self.rng.u32(1..=3)).map(|n| 10 * number + n).collect();
        let mut items: Vec<Vec<Item>> = Vec::new();
        for series in &series {
            let count = self.rng.u32(1..=12);
            let instance = |sop| Item { series: *series, sop: 100 * series + sop, digest: 0 };
            items.push((0..count).map(instance).collect());
        }
        let images = (sender == EXACT).then(|| match self.chance(70) {
            true => items[0].len() as i64,
            false => self.rng.i64(1..15),
        });
        match self.rng.u32(0..5) {
            // An association for each series.
            0 => {
                for items in items.clone() {
                    at = self.deliver(&sender, images, at, items) + self.pause();
                }
            }
            // An association for each instance.
            1 => {
                for item in items.concat() {
                    at = self.deliver(&sender, images, at, vec![item]) + self.pause();
                }
            }
            // One for everything.
            2 => at = self.deliver(&sender, images, at, items.concat()),
            // One for everything, in any order.
            3 => {
                let mut items = items.concat();
                self.rng.shuffle(&mut items);
                at = self.deliver(&sender, images, at, items);
            }
            // Several at the same time.
            _ => {
                let mut items = items.concat();
                self.rng.shuffle(&mut items);
                let lanes = self.rng.usize(2..=4);
                let lane = |lane| items.iter().copied().skip(lane).step_by(lanes).collect();
                let lanes: Vec<Vec<Item>> = (0..lanes).map(lane).collect();
                let from = at;
                for lane in lanes {
                    at = at.max(self.deliver(&sender, images, from, lane));
                }
            }
        }
        self.afterwards(&sender, images, at, &items.concat());
    }

    /// What comes after all was sent: the same again, more, corrections, moves.
    fn afterwards(&mut self, sender: &str, images: Option<i64>, at: Millis, items: &[Item]) {
        let later = |world: &mut Self| at + *world.rng.choice(&[2 * SECOND, MINUTE, DAY]).unwrap();
        if self.chance(30) {
            let at = later(self);
            self.deliver(sender, images, at, items.to_vec());
        }
        if self.chance(20) {
            let at = later(self);
            let more = Item { sop: items[0].sop + 50, ..items[0] };
            self.deliver(sender, images, at, vec![more]);
        }
        if self.chance(20) {
            let at = later(self);
            let correction = Item { digest: 1, ..items[self.rng.usize(0..items.len())] };
            self.deliver(sender, images, at, vec![correction]);
        }
        if self.chance(10) {
            let at = later(self);
            let moved = items[self.rng.usize(0..items.len())];
            self.deliver(sender, images, at, vec![Item { series: moved.series + 1, ..moved }]);
        }
    }

    fn pause(&mut self) -> Millis {
        match self.rng.u32(0..100) {
            0..70 => self.rng.i64(0..200),
            70..88 => self.rng.i64(SECOND..9 * SECOND),
            88..96 => self.rng.i64(9 * SECOND..2 * MINUTE),
            96..99 => self.rng.i64(2 * MINUTE..20 * MINUTE),
            _ => self.rng.i64(HOUR..10 * HOUR),
        }
    }

    /// Sends until all was answered with Success, in as many associations as it takes; gives the
    /// end of the last one.
    fn deliver(
        &mut self,
        sender: &str,
        images: Option<i64>,
        mut at: Millis,
        items: Vec<Item>,
    ) -> Millis {
        let mut left = items.clone();
        for attempt in 0.. {
            let faults = attempt < 3;
            (at, left) = self.associate(sender, images, at, left, faults);
            if left.is_empty() {
                break;
            }
            if self.chance(50) {
                left.clone_from(&items);
            }
            at += self.rng.i64(SECOND..2 * MINUTE);
        }
        at
    }

    /// One association: when it ended, and what has to be sent again.
    fn associate(
        &mut self,
        sender: &str,
        images: Option<i64>,
        from: Millis,
        items: Vec<Item>,
        faults: bool,
    ) -> (Millis, Vec<Item>) {
        let node = self.rng.usize(0..self.nodes.len());
        let mut at = self.nodes[node].alive_from(from);
        let death = self.nodes[node].dies_after(at);
        let name = self.nodes[node].name.clone();
        self.associations += 1;
        let mut association = Association::new(self.associations.to_string(), sender, &name);
        association.images = images;
        let mut left = Vec::new();
        for (index, item) in items.iter().enumerate() {
            at += self.pause();
            if self.chance(3) {
                for _ in 0..self.rng.u32(1..20) {
                    if at >= death {
                        break;
                    }
                    let beat = association.receiving(item.series);
                    self.happens(at, beat);
                    at += SECOND;
                }
            }
            let unsent = || left.iter().copied().chain(items[index..].iter().copied()).collect();
            if at >= death {
                return (death, unsent());
            }
            match self.rng.u32(0..100) {
                0..3 if faults => {
                    let close = association.close(Ending::Aborted);
                    let unsent = unsent();
                    self.happens(at, close);
                    return (at, unsent);
                }
                3..5 if faults => {
                    association.fail(item.series);
                    left.push(*item);
                }
                5..7 if faults => {
                    let stored = association.store_unacknowledged(item.series, item.sop);
                    self.happens(at, stored);
                    left.push(*item);
                }
                _ => {
                    let stored = association.store(item.series, item.sop, item.digest);
                    self.happens(at, stored);
                }
            }
        }
        at += self.rng.i64(0..100);
        if at >= death {
            return (death, left);
        }
        // Now and then the word of a closed association is lost.
        if !self.chance(2) {
            let close = association.close(Ending::Released);
            self.happens(at, close);
        }
        (at, left)
    }
}
