//! The indexer of a world: reads, commits, decides and dies at the moments that it is told.

use super::stream::{Millis, SECOND, Stream, time};
use catalog::Bookmark;
use completion::clock::{Answer, Clock};
use completion::debounce::{Debouncer, Watermark};
use completion::{
    AskedSource, Completion, Consequences, Decided, List, OpenSeries, Pauses, Question, Senders,
};
use contract::event::Reason;
use contract::uid::SeriesInstanceUid;
use indexer::batch::Batch;
use indexer::consumer::{Arrival, Order, resume_after};
use jiff::Timestamp;
use std::time::Duration;

/// A completion as it was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    pub series: SeriesInstanceUid,
    pub revision: u32,
    pub reason: Reason,
    pub count: u64,
    pub added: u64,
    pub corrected: u64,
    pub expected: Option<u64>,
    pub missing: Vec<String>,
    pub fetched: u64,
    pub decided_at: Timestamp,
    pub sequence: u64,
}

/// What the indexer keeps: it survives a crash, each call is one transaction.
pub trait Store {
    fn bookmark(&self) -> Option<Bookmark>;
    fn open_series(&self) -> Vec<(SeriesInstanceUid, OpenSeries)>;
    fn disproved(&self) -> Vec<(String, Reason)>;
    fn record(&mut self, batch: &Batch, debouncer: &mut Debouncer);
    /// Changes what is kept of the open series behind the back of the indexer, where that can be done.
    fn tamper(&mut self, _: &dyn Fn(&mut OpenSeries)) {}
    fn asked_sources(&self) -> Vec<(String, AskedSource)>;
    fn lists(&self) -> Vec<List>;
    fn pauses(&self) -> Vec<(String, Pauses)>;
    /// The same of the lists, of which those go that the change gives false of; and opens each complete series that one
    /// misses instances of, if told to.
    fn plant(&mut self, _: &dyn Fn(&mut List) -> bool, _opens: bool) {}
    fn decide(
        &mut self,
        completions: &[Completion],
        questions: &[Question],
        kept: &Consequences,
    ) -> Vec<Announced>;
}

/// Where in its work the indexer dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    BeforeCommit,
    BeforeAcknowledgement,
}

/// An indexer that runs.
pub struct Indexer<'a> {
    stream: &'a Stream,
    senders: &'a Senders,
    pub debouncer: Debouncer,
    watermark: Watermark,
    clock: Clock,
    order: Order,
    deliveries: u64,
    /// When the time was asked for.
    asked: Millis,
    /// When that was asked for by which it decided last.
    pub decided: Millis,
    /// Between which answers it has seen steps of the broker's clock.
    pub seen: Vec<(Millis, Millis)>,
    /// What it has asked sources.
    pub questions: Vec<Question>,
    bookmark: Bookmark,
}

impl<'a> Indexer<'a> {
    /// Starts from what is kept.
    pub fn start(stream: &'a Stream, senders: &'a Senders, store: &dyn Store, now: Millis) -> Self {
        let kept = store.bookmark();
        let last_sequence = resume_after(kept.as_ref(), &stream.position(now));
        let mut debouncer = Debouncer::new(senders.clone());
        debouncer.restore(store.open_series(), store.disproved());
        debouncer.restore_sources(store.asked_sources());
        debouncer.restore_lists(store.lists());
        debouncer.restore_pauses(store.pauses());
        let beginning = Bookmark::new(time(0), 0);
        let bookmark = kept.filter(|kept| kept.last_sequence == last_sequence).unwrap_or(beginning);
        if let Some(latest) = bookmark.latest {
            debouncer.resume(latest);
        }
        let (watermark, order) = (Watermark::default(), Order::after(last_sequence, 0));
        let clock = Clock::default();
        Self {
            stream,
            senders,
            debouncer,
            watermark,
            clock,
            order,
            deliveries: 0,
            asked: now,
            decided: now,
            seen: Vec::new(),
            questions: Vec::new(),
            bookmark,
        }
    }

    /// Up to which sequence it has read.
    pub fn read_to(&self) -> u64 {
        self.bookmark.last_sequence
    }

    /// Reads up to `count` events that are there, after `again` that are delivered a second time.
    /// `Err` when it died on the way.
    pub fn read(
        &mut self,
        store: &mut dyn Store,
        now: Millis,
        (again, count): (u64, u64),
        death: Option<Death>,
    ) -> Result<(), Death> {
        let from = self.read_to().saturating_sub(again) + 1;
        let to = self.stream.position(now).last.min(self.read_to() + count);
        let mut batch = Batch::new(self.bookmark.clone());
        for sequence in from..=to {
            self.deliveries += 1;
            let mark = self.stream.mark(sequence);
            match self.order.place(sequence, self.deliveries, mark.at) {
                Arrival::Next { .. } => {
                    let entry = self.stream.get(sequence);
                    if !batch.takes(&entry.reading) {
                        store.record(&batch, &mut self.debouncer);
                        self.bookmark = batch.rows.bookmark.clone();
                        self.follow_steps();
                        batch = Batch::new(self.bookmark.clone());
                    }
                    batch.push(sequence, mark, entry.reading.clone(), self.senders);
                }
                Arrival::Again => {}
                Arrival::Other => panic!("{sequence} is another event"),
                Arrival::Early { missing } => panic!("{missing} missing before {sequence}"),
            }
        }
        if batch.rows.bookmark != self.bookmark {
            if death == Some(Death::BeforeCommit) {
                return Err(Death::BeforeCommit);
            }
            store.record(&batch, &mut self.debouncer);
            self.bookmark = batch.rows.bookmark.clone();
            self.follow_steps();
        }
        death.map_or(Ok(()), Err)
    }

    fn follow_steps(&mut self) {
        if !self.debouncer.take_steps().is_empty() {
            self.clock.forget();
            self.watermark = Watermark::default();
        }
    }

    /// Asks for the time, and completes what is due.
    pub fn ask(&mut self, store: &mut dyn Store, now: Millis) -> Vec<Announced> {
        // It is not set: what passes is what passes.
        let ours = Duration::from_millis(now.unsigned_abs());
        let position = self.stream.position(now);
        let answer = Answer { now: position.now, asked: ours, answered: ours };
        self.watermark.asked(position.first..=position.last, answer);
        self.asked = now;
        self.reach(store)
    }

    /// Completes what is due, if everything is read up to where the stream ended at the last asking, or
    /// now, if that is long ago.
    pub fn decide(&mut self, store: &mut dyn Store, now: Millis) -> Vec<Announced> {
        match self.watermark.is_waiting() && now > self.asked + SECOND {
            true => self.ask(store, now),
            false => self.reach(store),
        }
    }

    fn reach(&mut self, store: &mut dyn Store) -> Vec<Announced> {
        let Some(reached) = self.watermark.reached(self.read_to()) else { return Vec::new() };
        let latest = self.debouncer.latest().filter(|_| self.read_to() <= reached.last);
        let before = self.decided;
        self.decided = reached.answer.asked.as_millis() as Millis;
        if let Some(step) = self.clock.answered(reached.answer, latest) {
            self.seen.push((before, self.decided));
            self.debouncer.step(&step);
            self.bookmark.latest = self.debouncer.latest();
            store.record(&Batch::new(self.bookmark.clone()), &mut self.debouncer);
        }
        self.debouncer.advance(reached.answer.now);
        let (mut completions, mut questions) = (Vec::new(), Vec::new());
        while let Some(decided) = self.debouncer.poll() {
            match decided {
                Decided::Complete(completion) => completions.push(completion),
                Decided::Ask(question) => questions.push(question),
                Decided::Wait => {}
            }
        }
        let kept = self.debouncer.take_consequences();
        let announced = store.decide(&completions, &questions, &kept);
        self.questions.extend(questions);
        announced
    }
}

/// Reads everything as it comes and decides whenever something is due, which is what an indexer does
/// that nothing happens to. Gives what it announced.
pub fn watch(stream: &Stream, senders: &Senders, store: &mut dyn Store) -> Vec<Announced> {
    let mut indexer = Indexer::start(stream, senders, store, 0);
    let mut announced = Vec::new();
    let mut decide_until = |indexer: &mut Indexer, store: &mut dyn Store, until: Millis| {
        while let Some(due) = indexer.debouncer.next_due() {
            let mut at = stream.when(due, indexer.asked);
            if !stream.steps.is_empty() {
                // While something is open the clock is looked at each second.
                at = at.min(indexer.asked + SECOND);
            }
            if at >= until {
                break;
            }
            announced.extend(indexer.ask(store, at));
        }
    };
    for entry in &stream.events {
        decide_until(&mut indexer, store, entry.at);
        indexer.read(store, entry.at, (0, u64::MAX >> 1), None).unwrap();
    }
    decide_until(&mut indexer, store, Millis::MAX >> 20);
    announced
}
