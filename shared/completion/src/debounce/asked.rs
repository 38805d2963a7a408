//! Sources that are asked: what their answers hold back, and that nothing is hastened by them.

use super::{Answered, Debouncer, Stored};
use crate::{AskedFor, AskedSource, Decided, Effect, OpenSeries, Question, Rules, Senders};
use contract::event::Reason;
use contract::uid::SeriesInstanceUid;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

const SOURCE: &str = "PACS";

fn second(number: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number)
}

fn senders(fetch_limit: Option<usize>) -> Senders {
    let ask_timeout = Some(SignedDuration::from_secs(120));
    let rules = Rules { ask_timeout, fetch_limit, ..Rules::default() };
    Senders::new(Rules::default()).with(SOURCE, rules)
}

/// A state machine with what is kept of it, and how many instances of each series are there.
struct World {
    fetch_limit: Option<usize>,
    debouncer: Debouncer,
    here: HashMap<u32, u64>,
    open: HashMap<SeriesInstanceUid, OpenSeries>,
    sources: HashMap<String, AskedSource>,
}

impl World {
    fn new() -> Self {
        Self::that_fetches(None)
    }

    fn that_fetches(fetch_limit: Option<usize>) -> Self {
        let debouncer = Debouncer::new(senders(fetch_limit));
        Self {
            fetch_limit,
            debouncer,
            here: HashMap::new(),
            open: HashMap::new(),
            sources: HashMap::new(),
        }
    }

    fn uid(series: u32) -> SeriesInstanceUid {
        SeriesInstanceUid::parse(&format!("2.25.{series}")).unwrap()
    }

    /// An instance, of an association that stays open.
    fn stored(&mut self, series: u32, at: i64) {
        let here = self.here.entry(series).or_default();
        *here += 1;
        let stored = Stored {
            instance: "1.3.1",
            series: &Self::uid(series),
            at: second(at),
            sender: SOURCE,
            association: "a",
            node: "node",
            ordinal: *here,
            series_ordinal: *here,
            effect: &Effect::Added,
            expected: None,
        };
        self.debouncer.stored(&stored, None);
        self.debouncer.counted(&Self::uid(series), *here);
    }

    fn answered(&mut self, question: &Question, at: i64, count: Option<u64>) {
        self.debouncer.answered(&Answered {
            series: &question.series,
            at: second(at),
            source: SOURCE,
            question: &question.id,
            count,
            absent: &["1.2.3".to_owned()],
        });
    }

    /// What is decided when the time has come to here, after a restart.
    fn at(&mut self, at: i64) -> Vec<Decided> {
        self.restart();
        self.debouncer.advance(second(at));
        std::iter::from_fn(|| self.debouncer.poll()).collect()
    }

    fn restart(&mut self) {
        let kept = self.debouncer.take_consequences();
        self.open.extend(kept.open);
        self.sources.extend(kept.sources);
        let is_open = |series: &SeriesInstanceUid| self.debouncer.open.contains_key(series);
        self.open.retain(|series, _| is_open(series));
        self.debouncer = Debouncer::new(senders(self.fetch_limit));
        self.debouncer.restore(self.open.clone(), []);
        self.debouncer.restore_sources(self.sources.clone());
    }

    /// The one question that is put at this time.
    fn question(&mut self, at: i64) -> Question {
        match &self.at(at)[..] {
            [Decided::Ask(question)] => question.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// The one completion at this time: why, and what the source has more.
    fn completion(&mut self, at: i64) -> (Reason, Option<u64>, Vec<String>) {
        match &self.at(at)[..] {
            [Decided::Complete(it)] => (it.reason, it.at_source, it.absent.clone()),
            other => panic!("{other:?}"),
        }
    }

    fn nothing(&mut self, at: i64) {
        let decided = self.at(at);
        assert!(decided.iter().all(|it| *it == Decided::Wait), "at {at}: {decided:?}");
    }
}

const QUIET: (Reason, Option<u64>, Vec<String>) = (Reason::Quiet, None, Vec::new());

#[test]
fn a_source_is_asked_when_a_rule_is_due_and_not_before() {
    let mut world = World::new();
    world.stored(1, 0);
    world.nothing(10);
    assert_eq!(world.question(11).asked_at, second(11));
    world.nothing(16);
    assert_eq!(world.completion(17), QUIET);
}

#[test]
fn an_equal_number_ends_the_wait_for_it_and_nothing_else() {
    for count in [0, 1] {
        let mut world = World::new();
        world.stored(1, 0);
        let question = world.question(11);
        world.answered(&question, 12, Some(count));
        assert_eq!(world.completion(13), QUIET, "{count}");
    }
}

#[test]
fn a_number_that_is_older_than_the_last_instance_hastens_nothing() {
    let mut world = World::new();
    world.stored(1, 0);
    let question = world.question(11);
    world.stored(1, 12);
    world.answered(&question, 13, Some(2));
    world.nothing(22);
    let again = world.question(23);
    assert_ne!(again.id, question.id);
    // Nor does the same number once more.
    world.answered(&question, 23, Some(2));
    world.nothing(24);
    world.answered(&again, 25, Some(2));
    assert_eq!(world.completion(26), QUIET);
}

#[test]
fn a_larger_number_holds_until_the_rest_has_come() {
    let mut world = World::new();
    world.stored(1, 0);
    let question = world.question(11);
    world.answered(&question, 12, Some(2));
    world.nothing(14);
    let question = world.question(15);
    world.answered(&question, 15, Some(2));
    world.nothing(19);
    world.stored(1, 19);
    world.nothing(29);
    let question = world.question(30);
    world.answered(&question, 30, Some(2));
    assert_eq!(world.completion(31), QUIET);
}

#[test]
fn a_larger_number_that_never_comes_true_holds_no_longer_than_the_timeout() {
    let mut world = World::new();
    world.stored(1, 0);
    let mut asked = Vec::new();
    for at in 1..=131 {
        for decided in world.at(at) {
            let Decided::Ask(question) = decided else { panic!("{decided:?}") };
            world.answered(&question, at, Some(17));
            asked.push(at);
        }
    }
    assert_eq!(asked, [11, 14, 19, 28, 45, 78]);
    assert_eq!(world.completion(132), (Reason::Quiet, Some(17), vec!["1.2.3".to_owned()]));
}

#[test]
fn what_is_learnt_of_its_sender_meanwhile_holds_a_series_no_longer() {
    // While it is held, and while it is asked again.
    for learnt in [20, 28] {
        let mut world = World::new();
        world.stored(1, 0);
        for at in 1..=131 {
            let asked = world.at(at);
            if at == learnt {
                world.debouncer.trusted(SOURCE);
            }
            for decided in asked {
                let Decided::Ask(question) = decided else { panic!("{decided:?}") };
                world.answered(&question, at, Some(17));
            }
        }
        assert_eq!(world.completion(132), (Reason::Quiet, Some(17), vec!["1.2.3".to_owned()]));
    }
}

#[test]
fn a_larger_number_holds_whenever_it_was_given() {
    let mut world = World::new();
    world.stored(1, 0);
    let question = world.question(11);
    world.stored(1, 12);
    // Older than the last instance, and yet there are more.
    world.answered(&question, 13, Some(3));
    world.question(23);
    // Silent now.
    world.nothing(29);
    let question = world.question(32);
    world.answered(&question, 33, None);
    world.stored(1, 34);
    world.question(45);
    assert_eq!(world.completion(51), QUIET);
}

#[test]
fn what_is_on_the_record_tells_a_catalogue_that_is_made_of_it_what_was_asked() {
    let mut world = World::new();
    world.stored(1, 0);
    let question = world.question(11);
    let mut rebuilt = World::new();
    rebuilt.stored(1, 0);
    rebuilt.debouncer.asked(&question);
    rebuilt.nothing(14);
    for world in [&mut world, &mut rebuilt] {
        world.answered(&question, 15, Some(1));
        // Read again, and too late for a series that goes on.
        world.debouncer.asked(&question);
        assert_eq!(world.completion(16), QUIET);
        world.stored(1, 17);
        world.debouncer.asked(&question);
        world.nothing(27);
        world.question(28);
    }
}

#[test]
fn an_operator_and_the_longest_time_are_not_held_up() {
    let mut world = World::new();
    world.stored(1, 0);
    let question = world.question(11);
    world.answered(&question, 12, Some(2));
    world.debouncer.requested(&World::uid(1), second(13));
    let requested = (Reason::Requested, Some(2), vec!["1.2.3".to_owned()]);
    assert_eq!(world.completion(14), requested);
    for at in (20..3620).step_by(9) {
        world.stored(2, at);
    }
    assert_eq!(world.completion(3621).0, Reason::Overdue);
}

#[test]
fn a_source_that_fails_three_times_is_left_alone_for_five_minutes() {
    let mut world = World::new();
    for series in 0..3 {
        let at = i64::from(series) * 100;
        world.stored(series, at);
        let question = world.question(at + 11);
        if series == 1 {
            // That it could not be asked is known sooner, and counted once.
            world.answered(&question, at + 12, None);
            assert_eq!(world.completion(at + 13), QUIET);
            world.answered(&question, at + 14, None);
        } else {
            assert_eq!(world.completion(at + 17), QUIET);
        }
    }
    // From 217 on.
    for (series, at) in [(3, 300), (4, 505)] {
        world.stored(series, at);
        assert_eq!(world.completion(at + 11), QUIET);
    }
    world.stored(5, 507);
    let question = world.question(518);
    world.answered(&question, 519, Some(1));
    assert_eq!(world.completion(520), QUIET);
    assert_eq!(world.sources[SOURCE].failures, 0, "an answer forgives all");
}

#[test]
fn questions_that_wait_behind_others_are_no_silence() {
    let mut world = World::new();
    for series in 0..3 {
        world.stored(series, 0);
    }
    let questions: Vec<_> = world
        .at(11)
        .into_iter()
        .map(|decided| match decided {
            Decided::Ask(question) => question,
            other => panic!("{other:?}"),
        })
        .collect();
    world.answered(&questions[0], 15, Some(1));
    assert_eq!(world.completion(16), QUIET);
    world.nothing(20);
    world.answered(&questions[1], 20, Some(2));
    // The last has waited for 9 s, and the source is not silent yet.
    let decided = world.at(22);
    assert_eq!(decided.iter().filter(|it| matches!(it, Decided::Complete(_))).count(), 0);
    // Five seconds after its last answer it is.
    let decided = world.at(26);
    assert_eq!(decided.iter().filter(|it| matches!(it, Decided::Complete(_))).count(), 1);
}

#[test]
fn nobody_is_asked_who_is_not_configured() {
    let mut debouncer = Debouncer::new(Senders::new(Rules::default()));
    let series = World::uid(1);
    debouncer.lost_instance(&series, second(0), None);
    let answered = Answered {
        series: &series,
        at: second(1),
        source: SOURCE,
        question: "",
        count: Some(9),
        absent: &[],
    };
    debouncer.answered(&answered);
    debouncer.advance(second(11));
    assert!(matches!(debouncer.poll(), Some(Decided::Complete(it)) if it.at_source.is_none()));
    assert!(debouncer.take_consequences().sources.is_empty());
}

/// What is asked for at 10 s, 2 s after the answer that there is more, and what follows at once when that is named.
fn asked_again(world: &mut World) -> Vec<Decided> {
    world.stored(1, 0);
    let first = world.question(11);
    assert_eq!(first.asked_for, AskedFor::Count);
    world.answered(&first, 12, Some(2));
    let second = world.question(15);
    let names = world.fetch_limit.is_some();
    assert_eq!(second.asked_for, if names { AskedFor::Names } else { AskedFor::Count });
    world.answered(&second, 16, Some(2));
    world.at(17)
}

#[test]
fn what_a_source_names_when_it_is_asked_again_is_fetched_once_in_a_revision() {
    let mut world = World::that_fetches(Some(1));
    let [Decided::Ask(fetch)] = &asked_again(&mut world)[..] else { panic!() };
    assert_eq!(fetch.asked_for, AskedFor::Instances(vec!["1.2.3".to_owned()]));
    // It does not come, and the source is asked on: for the number alone.
    let third = world.question(26);
    assert_eq!(third.asked_for, AskedFor::Count);
    world.answered(&third, 27, Some(2));
    // Another one comes, after which all begins anew but for the fetching.
    world.stored(1, 28);
    let fourth = world.question(39);
    world.answered(&fourth, 40, Some(3));
    let fifth = world.question(43);
    assert_eq!(fifth.asked_for, AskedFor::Count);
    world.answered(&fifth, 44, Some(2));
    let [Decided::Complete(completion)] = &world.at(45)[..] else { panic!() };
    assert_eq!((completion.at_source, &completion.fetched[..]), (None, &["1.2.3".to_owned()][..]));
}

#[test]
fn nothing_is_fetched_where_that_is_not_wanted_or_too_much_or_here_by_then() {
    assert_eq!(asked_again(&mut World::new()), []);
    assert_eq!(asked_again(&mut World::that_fetches(Some(0))), []);
    let mut world = World::that_fetches(Some(1));
    world.stored(1, 0);
    let first = world.question(11);
    world.answered(&first, 12, Some(2));
    let second = world.question(15);
    world.stored(1, 16);
    world.answered(&second, 17, Some(2));
    let third = world.question(27);
    assert_eq!(third.asked_for, AskedFor::Count);
    world.answered(&third, 28, Some(2));
    assert!(matches!(&world.at(29)[..], [Decided::Complete(_)]));
}

#[test]
fn a_catalogue_made_of_the_record_knows_what_was_fetched() {
    let mut world = World::that_fetches(Some(1));
    let [Decided::Ask(fetch)] = &asked_again(&mut world)[..] else { panic!() };
    let mut rebuilt = World::that_fetches(Some(1));
    rebuilt.stored(1, 0);
    rebuilt.debouncer.asked(fetch);
    rebuilt.restart();
    let first = rebuilt.question(30);
    rebuilt.answered(&first, 31, Some(2));
    let second = rebuilt.question(34);
    assert_eq!(second.asked_for, AskedFor::Count, "not again");
}
