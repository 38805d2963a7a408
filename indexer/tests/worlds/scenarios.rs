//! Worlds with a name: what senders really do, and what must come of it.

use super::indexer::{Announced, Indexer, watch};
use super::memory::Memory;
use super::real_catalogue::RealCatalogue;
use super::stream::{
    Association, DAY, EXACT, Entry, HOUR, MINUTE, Millis, SECOND, Stream, complete, delete, gone,
    senders, started, time, trust,
};
use completion::{Rules, Senders};
use contract::event::Ending::{Aborted, Released};
use contract::event::Reason::{self, Expected, Interrupted, Overdue, Quiet, Requested};
use indexer::reading::Reading;
use jiff::SignedDuration;

/// What happens, in any order.
#[derive(Debug, Clone, Default)]
struct Play(Vec<Entry>);

/// A completion: of which series, its revision and count, why, and when it was decided.
type Summary = (u32, u32, u64, Reason, Millis);

impl Play {
    fn at(&mut self, at: Millis, reading: Reading) {
        self.0.push(Entry { at, reading });
    }

    /// Stores instances one after the other, the first of them at `from`.
    fn stores(
        &mut self,
        association: &mut Association,
        series: u32,
        sops: std::ops::Range<u32>,
        (from, step): (Millis, Millis),
    ) {
        for (index, sop) in sops.enumerate() {
            self.at(from + index as Millis * step, association.store(series, sop, 0));
        }
    }

    fn announced_with(mut self, senders: &Senders) -> Vec<Announced> {
        self.0.sort_by_key(|entry| entry.at);
        watch(&Stream::new(self.0), senders, &mut Memory::default())
    }

    fn completions_with(self, senders: &Senders) -> Vec<Summary> {
        let number = |uid: &str| uid.trim_start_matches("2.25.").parse().unwrap();
        self.announced_with(senders)
            .into_iter()
            .map(|a| {
                let at = a.decided_at.as_millisecond();
                (number(a.series.as_str()), a.revision, a.count, a.reason, at)
            })
            .collect()
    }

    fn completions(self) -> Vec<Summary> {
        self.completions_with(&senders())
    }
}

fn association(id: &str) -> Association {
    Association::new(id, "MR1", "node")
}

/// One millisecond later than due, which is when a watermark can be past it.
fn after(at: Millis) -> Millis {
    at + 1
}

#[test]
fn an_association_for_each_series_is_complete_as_soon_as_it_is_released() {
    let mut play = Play::default();
    for number in 0..3 {
        let mut a = association(&number.to_string());
        let from = Millis::from(number) * MINUTE;
        play.stores(&mut a, number, number * 100..number * 100 + 20, (from, 50));
        play.at(from + SECOND, a.close(Released));
    }
    let complete = |number: u32| {
        let at = Millis::from(number) * MINUTE + 2 * SECOND;
        (number, 1, 20, Reason::Released, after(at))
    };
    assert_eq!(play.completions(), [complete(0), complete(1), complete(2)]);
}

#[test]
fn an_association_for_each_instance_loses_the_rule_with_its_first_series() {
    let mut play = Play::default();
    for sop in 0..10 {
        let mut a = association(&sop.to_string());
        let at = Millis::from(sop) * 3 * SECOND;
        play.at(at, a.store(sop / 5, sop, 0));
        play.at(at, a.close(Released));
    }
    let expected = [
        (0, 1, 1, Reason::Released, after(SECOND)),
        (0, 2, 5, Quiet, after(22 * SECOND)),
        (1, 1, 5, Quiet, after(37 * SECOND)),
    ];
    assert_eq!(play.completions(), expected);
}

#[test]
fn a_sender_is_believed_again_when_an_operator_says_so() {
    let mut play = Play::default();
    for sop in 0..2 {
        let mut a = association(&sop.to_string());
        play.at(Millis::from(sop) * 3 * SECOND, a.store(0, sop, 0));
        play.at(Millis::from(sop) * 3 * SECOND, a.close(Released));
    }
    play.at(MINUTE, trust("MR1"));
    let mut a = association("later");
    play.stores(&mut a, 1, 10..15, (2 * MINUTE, 10));
    play.at(2 * MINUTE + SECOND, a.close(Released));
    let last = *play.completions().last().unwrap();
    assert_eq!(last, (1, 1, 5, Reason::Released, after(2 * MINUTE + 2 * SECOND)));
}

#[test]
fn one_association_for_a_week_completes_each_of_its_series_by_quiet_period() {
    let mut play = Play::default();
    let mut a = association("week");
    let hours = 7 * 24;
    for hour in 0..hours {
        let from = Millis::from(hour) * HOUR;
        play.stores(&mut a, hour, hour * 100..hour * 100 + 20, (from, SECOND));
    }
    play.at(7 * DAY, a.close(Released));
    let completions = play.completions();
    assert_eq!(completions.len(), hours as usize);
    for (number, revision, count, reason, at) in completions {
        let last = Millis::from(number) * HOUR + 19 * SECOND;
        assert_eq!((revision, count, reason, at), (1, 20, Quiet, after(last + 10 * SECOND)));
    }
}

#[test]
fn four_associations_that_feed_one_series_complete_it_once_when_the_last_is_released() {
    let mut play = Play::default();
    for lane in 0..4 {
        let mut a = association(&lane.to_string());
        let from = Millis::from(lane) * 100;
        play.stores(&mut a, 0, lane * 10..lane * 10 + 10, (from, 500));
        play.at(from + 6 * SECOND + Millis::from(lane) * SECOND, a.close(Released));
    }
    assert_eq!(play.completions(), [(0, 1, 40, Reason::Released, after(300 + 10 * SECOND))]);
}

#[test]
fn a_link_that_drops_in_the_middle_is_waited_for_and_the_resend_completes_it_once() {
    let mut play = Play::default();
    let mut first = association("first");
    play.stores(&mut first, 0, 0..10, (0, 100));
    play.at(SECOND, first.close(Aborted));
    let mut second = association("second");
    play.stores(&mut second, 0, 0..20, (55 * SECOND, 100));
    play.at(58 * SECOND, second.close(Released));
    assert_eq!(play.completions(), [(0, 1, 20, Reason::Released, after(59 * SECOND))]);
}

#[test]
fn a_link_that_drops_and_never_comes_back_leaves_an_interrupted_series() {
    let mut play = Play::default();
    let mut a = association("only");
    play.stores(&mut a, 0, 0..10, (0, 100));
    play.at(SECOND, a.close(Aborted));
    assert_eq!(play.completions(), [(0, 1, 10, Interrupted, after(61 * SECOND))]);
}

#[test]
fn what_a_dead_receiver_left_open_is_interrupted_when_it_starts_again() {
    let mut play = Play::default();
    let mut first = association("first");
    play.stores(&mut first, 0, 0..10, (0, 100));
    play.at(3 * SECOND, started("another node"));
    play.at(5 * SECOND, started("node"));
    let mut second = association("second");
    play.stores(&mut second, 0, 5..20, (40 * SECOND, 100));
    play.at(42 * SECOND, second.close(Released));
    assert_eq!(play.completions(), [(0, 1, 20, Reason::Released, after(43 * SECOND))]);
}

/// Instances of a series at a receiver that dies and never starts again.
fn with_a_dead_receiver() -> Play {
    let mut play = Play::default();
    let mut lost = Association::new("lost", "MR1", "gone for good");
    play.stores(&mut lost, 0, 0..10, (0, 100));
    play
}

#[test]
fn what_a_receiver_left_open_that_is_gone_for_good_waits_for_nothing_but_quiet() {
    let told = with_a_dead_receiver().completions();
    assert_eq!(told, [(0, 1, 10, Quiet, after(900 + 10 * SECOND))]);
}

#[test]
fn what_a_receiver_left_open_is_interrupted_when_an_operator_says_that_it_is_gone() {
    let mut play = with_a_dead_receiver();
    play.at(5 * SECOND, gone("gone for good"));
    assert_eq!(play.clone().completions(), [(0, 1, 10, Interrupted, after(65 * SECOND))]);
    // The sender tries again at another receiver.
    let mut retry = association("retry");
    play.stores(&mut retry, 0, 5..20, (40 * SECOND, 100));
    play.at(42 * SECOND, retry.close(Released));
    assert_eq!(play.completions(), [(0, 1, 20, Reason::Released, after(43 * SECOND))]);
}

#[test]
fn a_receiver_that_was_declared_gone_and_is_alive_keeps_its_series_open() {
    let mut play = Play::default();
    let mut open = association("open");
    play.stores(&mut open, 0, 0..10, (0, 100));
    play.at(2 * SECOND, gone("node"));
    play.at(8 * SECOND, open.store(0, 10, 0));
    play.at(12 * SECOND, open.close(Released));
    assert_eq!(play.completions(), [(0, 1, 11, Reason::Released, after(13 * SECOND))]);
}

#[test]
fn the_start_of_one_receiver_closes_nothing_at_another() {
    let mut play = Play::default();
    let mut open = association("open");
    play.stores(&mut open, 0, 0..10, (0, 100));
    let mut other = Association::new("elsewhere", "MR1", "another node");
    play.stores(&mut other, 0, 10..20, (SECOND, 100));
    play.at(3 * SECOND, started("another node"));
    let mut later = Association::new("later", "MR1", "another node");
    play.at(4 * SECOND, later.store(0, 20, 0));
    play.at(4 * SECOND, later.close(Released));
    // A settle period later the first one is still open.
    play.at(8 * SECOND, open.store(0, 21, 0));
    play.at(8 * SECOND, open.close(Released));
    assert_eq!(play.completions(), [(0, 1, 22, Reason::Released, after(9 * SECOND))]);
}

#[test]
fn three_series_interleaved_in_one_association_are_complete_with_its_release() {
    let mut play = Play::default();
    let mut a = association("one");
    for sop in 0..30 {
        play.at(Millis::from(sop) * SECOND, a.store(sop % 3, sop, 0));
    }
    play.at(30 * SECOND, a.close(Released));
    let at = after(31 * SECOND);
    let released = Reason::Released;
    let completions = play.completions();
    assert_eq!(
        completions,
        [(0, 1, 10, released, at), (1, 1, 10, released, at), (2, 1, 10, released, at)]
    );
}

#[test]
fn a_pause_shorter_than_the_quiet_period_in_an_open_association_does_not_complete_it() {
    let mut play = Play::default();
    let mut a = association("slow");
    play.stores(&mut a, 0, 0..5, (0, 6 * SECOND));
    play.at(HOUR / 2, a.close(Released));
    // The association stays open, which holds nothing back.
    assert_eq!(play.completions(), [(0, 1, 5, Quiet, after(34 * SECOND))]);
}

#[test]
fn a_heartbeat_keeps_its_series_open_and_opens_none() {
    let mut play = Play::default();
    let mut a = association("large");
    play.at(0, a.store(0, 0, 0));
    for second in 1..200 {
        play.at(second * SECOND, a.receiving(0));
        play.at(second * SECOND, a.receiving(7));
    }
    play.at(200 * SECOND, a.store(0, 1, 0));
    play.at(200 * SECOND, a.store(0, 2, 0));
    let quiet_period = SignedDuration::from_secs(3);
    let completions =
        play.completions_with(&Senders::new(Rules { quiet_period, ..Rules::default() }));
    assert_eq!(completions, [(0, 1, 3, Quiet, after(203 * SECOND))]);
}

#[test]
fn an_instance_that_is_arriving_in_another_association_holds_back_a_release() {
    let mut play = Play::default();
    let (mut small, mut large) = (association("small"), association("large"));
    play.stores(&mut small, 0, 0..5, (0, 100));
    play.at(600, large.receiving(0));
    play.at(700, small.close(Released));
    play.at(1_600, large.receiving(0));
    play.at(2_600, large.receiving(0));
    play.at(3_000, large.store(0, 5, 0));
    play.at(3_100, large.close(Released));
    assert_eq!(play.completions(), [(0, 1, 6, Reason::Released, after(4_100))]);
}

/// The clock of a receiver is in the events, that of the indexer nowhere.
#[test]
fn clock_steps_change_nothing() {
    let play = |step: Millis| {
        let mut play = Play::default();
        let mut a = association("a");
        play.stores(&mut a, 0, 0..10, (0, SECOND));
        play.at(11 * SECOND, a.close(Aborted));
        let mut b = association("b");
        play.stores(&mut b, 0, 10..20, (40 * SECOND, SECOND));
        play.at(51 * SECOND, b.close(Released));
        for (index, entry) in play.0.iter_mut().enumerate() {
            if let Reading::Stored(event) = &mut entry.reading {
                let stepped = if index % 4 < 2 { step } else { -step };
                event.received_at = time(entry.at + stepped);
            }
        }
        play.completions()
    };
    assert_eq!(play(0), play(365 * DAY));
    assert_eq!(play(0), [(0, 1, 20, Reason::Released, after(52 * SECOND))]);
}

#[test]
fn a_series_that_grows_after_a_day_gets_a_revision_and_its_sender_is_still_believed() {
    let mut play = Play::default();
    let mut first = association("first");
    play.stores(&mut first, 0, 0..10, (0, 10));
    play.at(SECOND, first.close(Released));
    let mut second = association("second");
    // All of it again, and one that is new.
    play.stores(&mut second, 0, 0..11, (DAY, 10));
    play.at(DAY + SECOND, second.close(Released));
    let announced = play.announced_with(&senders());
    let completions: Vec<_> =
        announced.iter().map(|a| (a.revision, a.count, a.added, a.corrected, a.reason)).collect();
    assert_eq!(completions, [(1, 10, 10, 0, Reason::Released), (2, 11, 1, 0, Reason::Released)]);
}

#[test]
fn resends_of_a_complete_series_are_passed_over() {
    let mut play = Play::default();
    for (id, at) in [("first", 0), ("again", MINUTE), ("once more", DAY)] {
        let mut a = association(id);
        play.stores(&mut a, 0, 0..10, (at, 10));
        play.at(at + SECOND, a.close(Released));
    }
    assert_eq!(play.completions(), [(0, 1, 10, Reason::Released, after(2 * SECOND))]);
}

#[test]
fn corrections_get_a_revision_that_says_how_many_there_are() {
    let mut play = Play::default();
    let mut first = association("first");
    play.stores(&mut first, 0, 0..10, (0, 10));
    play.at(SECOND, first.close(Released));
    let mut second = association("second");
    for sop in 0..3 {
        play.at(3 * SECOND, second.store(0, sop, 1));
    }
    play.at(4 * SECOND, second.close(Released));
    let announced = play.announced_with(&senders());
    let completions: Vec<_> =
        announced.iter().map(|a| (a.revision, a.count, a.added, a.corrected, a.reason)).collect();
    // Nothing grew, so nothing was proved wrong.
    assert_eq!(completions, [(1, 10, 10, 0, Reason::Released), (2, 10, 0, 3, Reason::Released)]);
}

#[test]
fn an_instance_that_moves_changes_both_series() {
    let mut play = Play::default();
    let mut first = association("first");
    play.stores(&mut first, 0, 0..3, (0, 10));
    play.stores(&mut first, 1, 10..12, (0, 10));
    play.at(SECOND, first.close(Released));
    let mut second = association("second");
    play.at(DAY, second.store(1, 0, 0));
    play.at(DAY, second.close(Released));
    let completions: Vec<_> =
        play.completions().into_iter().map(|t| (t.0, t.1, t.2, t.3)).collect();
    let released = Reason::Released;
    // The one that lost it was brought nothing by any association.
    assert_eq!(
        completions,
        [(0, 1, 3, released), (1, 1, 2, released), (1, 2, 3, released), (0, 2, 2, Quiet)]
    );
}

#[test]
fn a_failed_store_takes_the_meaning_out_of_a_release() {
    for fail in
        [(|a: &mut Association| a.fail(0)) as fn(&mut Association), |a: &mut Association| {
            a.fail_unknown()
        }]
    {
        let mut play = Play::default();
        let mut a = association("a");
        play.stores(&mut a, 0, 0..5, (0, 10));
        fail(&mut a);
        play.at(SECOND, a.close(Released));
        assert_eq!(play.completions(), [(0, 1, 5, Quiet, after(11 * SECOND))]);
    }
}

#[test]
fn an_acknowledged_instance_that_is_not_there_takes_the_meaning_out_of_a_release() {
    let mut play = Play::default();
    let mut a = association("a");
    play.stores(&mut a, 0, 0..5, (0, 10));
    let _in_no_stream = a.store(0, 5, 0);
    play.at(SECOND, a.close(Released));
    assert_eq!(play.completions(), [(0, 1, 5, Quiet, after(11 * SECOND))]);
}

#[test]
fn the_expected_number_completes_a_series_only_for_a_sender_that_is_trusted_with_it() {
    for (sender, reason, at) in [(EXACT, Expected, 1_400), ("MR1", Quiet, 10_400)] {
        let mut play = Play::default();
        let mut a = Association::new("a", sender, "node");
        a.images = Some(5);
        play.stores(&mut a, 0, 0..5, (0, 100));
        assert_eq!(play.completions(), [(0, 1, 5, reason, after(at))], "{sender}");
    }
}

#[test]
fn less_than_expected_blocks_no_other_rule_and_both_numbers_are_told() {
    let mut play = Play::default();
    let mut a = Association::new("a", EXACT, "node");
    a.images = Some(9);
    play.stores(&mut a, 0, 0..5, (0, 100));
    play.at(SECOND, a.close(Released));
    let announced = play.announced_with(&senders());
    assert_eq!(announced.len(), 1);
    let completions = (announced[0].count, announced[0].expected, announced[0].reason);
    assert_eq!(completions, (5, Some(9), Reason::Released));
}

#[test]
fn an_expected_number_that_proves_wrong_is_not_believed_again() {
    let mut play = Play::default();
    for number in 0..2 {
        let mut a = Association::new(number.to_string(), EXACT, "node");
        // Half of what there really is: an acquisition is not a series.
        a.images = Some(5);
        let from = Millis::from(number) * HOUR;
        play.stores(&mut a, number, number * 100..number * 100 + 10, (from, 2 * SECOND));
    }
    let completions: Vec<_> =
        play.completions().into_iter().map(|t| (t.0, t.1, t.2, t.3)).collect();
    assert_eq!(completions, [(0, 1, 5, Expected), (0, 2, 10, Quiet), (1, 1, 10, Quiet)]);
}

#[test]
fn a_series_that_never_ends_is_overdue_once_an_hour() {
    let mut play = Play::default();
    let mut a = association("monitor");
    play.stores(&mut a, 0, 0..1000, (0, 9 * SECOND));
    let completions: Vec<_> = play.completions().into_iter().map(|t| (t.1, t.2, t.3)).collect();
    assert_eq!(completions, [(1, 401, Overdue), (2, 802, Overdue), (3, 1000, Quiet)]);
}

#[test]
fn a_series_is_complete_at_once_when_an_operator_asks_for_it() {
    let mut play = Play::default();
    let mut a = association("a");
    play.stores(&mut a, 0, 0..5, (0, 100));
    play.at(2 * SECOND, complete(0));
    play.at(2 * SECOND, complete(1));
    assert_eq!(play.completions(), [(0, 1, 5, Requested, after(2 * SECOND))]);
}

#[test]
fn each_sender_has_its_own_periods() {
    let slow = Rules { quiet_period: SignedDuration::from_secs(120), ..Rules::default() };
    let senders = Senders::new(Rules::default()).with("SLOW", slow);
    let mut play = Play::default();
    for (number, sender) in [(0, "SLOW"), (1, "MR1")] {
        let mut a = Association::new(sender, sender, "node");
        play.stores(&mut a, number, number * 10..number * 10 + 5, (0, 10));
    }
    let completions = play.completions_with(&senders);
    assert_eq!(
        completions,
        [(1, 1, 5, Quiet, after(10_040)), (0, 1, 5, Quiet, after(2 * MINUTE + 40))]
    );
}

#[test]
fn a_series_that_is_deleted_among_its_instances_begins_again_and_a_rebuilt_catalogue_agrees() {
    let mut play = Play::default();
    let mut a = association("a");
    play.stores(&mut a, 0, 0..20, (0, 50));
    play.stores(&mut a, 1, 100..105, (SECOND, 50));
    // Complete, deleted, and all of it sent again.
    play.at(MINUTE, a.close(Released));
    play.at(2 * MINUTE, delete(0));
    play.at(3 * MINUTE, delete(7));
    let mut b = association("b");
    play.stores(&mut b, 0, 0..10, (HOUR, 50));
    // Deleted while it arrives, in the middle of whatever batch that is.
    play.at(HOUR + 501, delete(0));
    play.stores(&mut b, 0, 5..20, (HOUR + 502, 1));
    play.at(HOUR + MINUTE, b.close(Released));
    play.at(2 * HOUR, delete(1));
    play.0.sort_by_key(|entry| entry.at);
    let stream = Stream::new(play.0);

    let mut live = RealCatalogue::new();
    let announced = watch(&stream, &senders(), &mut live);
    let completions: Vec<_> =
        announced.iter().map(|a| (a.series.as_str(), a.revision, a.count, a.added)).collect();
    assert_eq!(completions, [("2.25.0", 1, 20, 20), ("2.25.1", 1, 5, 5), ("2.25.0", 2, 15, 15)]);
    assert_eq!(watch(&stream, &senders(), &mut Memory::default()), announced);
    let (rebuilt, report) = live.replayed(&stream, &senders(), 1);
    assert_eq!(rebuilt, live.rows());
    assert_eq!((report.completions, report.deletions), (3, 3));
    assert!(!rebuilt.iter().any(|row| row.starts_with("series ") && row.contains("2.25.1\"")));
    // Where the requests themselves are no longer on the record, what came of them is.
    let (rebuilt, _) = live.replayed(&stream, &senders(), stream.events.len() as u64);
    assert!(!rebuilt.iter().any(|row| row.starts_with("series ") && row.contains("2.25.1\"")));
}

#[test]
fn what_is_read_at_once_is_deleted_in_its_place() {
    let mut play = Play::default();
    let mut a = association("a");
    play.stores(&mut a, 0, 0..5, (0, 10));
    play.at(50, delete(0));
    play.stores(&mut a, 0, 3..7, (60, 10));
    play.at(SECOND, a.close(Released));
    play.0.sort_by_key(|entry| entry.at);
    let stream = Stream::new(play.0);
    let mut live = RealCatalogue::new();
    let senders = senders();
    let mut indexer = Indexer::start(&stream, &senders, &live, MINUTE);
    indexer.read(&mut live, MINUTE, (0, 1000), None).unwrap();
    let announced = indexer.ask(&mut live, MINUTE);
    let completions: Vec<_> = announced.iter().map(|a| (a.revision, a.count, a.reason)).collect();
    assert_eq!(completions, [(1, 4, Reason::Released)]);
    assert_eq!(live.replayed(&stream, &senders, 1).0, live.rows());
}

/// When the only series of a play was complete, in real time, if the broker's clock is set as given: when, and
/// by how much it is ahead from then on. It is announced once.
fn complete_at(play: Play, steps: &[(Millis, Millis)]) -> Millis {
    let mut stream = Stream::new(play.0);
    stream.steps = steps.to_vec();
    let announced = watch(&stream, &senders(), &mut Memory::default());
    assert_eq!(announced.len(), 1, "{announced:?}");
    let decided = announced[0].decided_at;
    // A clock that was set back says the same twice; nobody decides before the step.
    let at = (stream.end()..stream.end() + 5 * MINUTE).rfind(|at| stream.clock(*at) == decided);
    at.unwrap_or_else(|| panic!("{announced:?}"))
}

#[test]
fn a_step_of_the_brokers_clock_while_nothing_comes_makes_a_series_neither_early_nor_late() {
    for by in [-DAY, -90 * SECOND, -2 * SECOND, 2 * SECOND, MINUTE, HOUR] {
        for at in [5_500, 10_500, 14_999] {
            let mut play = Play::default();
            play.stores(&mut association("a"), 0, 0..11, (0, 500));
            let complete = complete_at(play, &[(at, by)]);
            let due = 5 * SECOND + 10 * SECOND;
            // Where it can't be known whether something was before a step, it waits for that much longer.
            assert!((due..=due + 3 * SECOND).contains(&complete), "{by} at {at}: {complete}");
        }
    }
}

#[test]
fn a_series_that_goes_on_over_steps_of_the_brokers_clock_is_complete_once_and_in_time() {
    for steps in [
        vec![(30_100, -90 * SECOND)],
        vec![(30_100, MINUTE)],
        vec![(20_100, MINUTE), (40_100, 0)],
        vec![(20_100, -90 * SECOND), (40_100, 0), (59_000, -HOUR)],
    ] {
        let mut play = Play::default();
        play.stores(&mut association("a"), 0, 0..30, (0, 2 * SECOND));
        let complete = complete_at(play, &steps);
        let due = 58 * SECOND + 10 * SECOND;
        assert!((due..=due + 3 * SECOND).contains(&complete), "{steps:?}: {complete}");
    }
}
