//! Instances that were answered with Success and that nobody has seen, by the associations' own accounts.

use super::{Closed, Debouncer, Stored};
use crate::{Completed, Decided, Effect};
use crate::{Rules, Senders};
use contract::event::{Ending, Reason, SeriesShare};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

fn uid() -> SeriesInstanceUid {
    SeriesInstanceUid::parse("2.25.1").unwrap()
}

fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn debouncer() -> Debouncer {
    Debouncer::new(Senders::new(Rules::default()))
}

/// The C-STOREs of one association that are seen, by their numbers.
fn seen(debouncer: &mut Debouncer, association: &str, ordinals: impl IntoIterator<Item = u64>) {
    for ordinal in ordinals {
        let stored = Stored {
            instance: "1.3.1",
            series: &uid(),
            at: at(),
            sender: "MR1",
            association,
            node: "node",
            ordinal,
            series_ordinal: ordinal,
            effect: &Effect::Added,
            expected: None,
        };
        debouncer.stored(&stored, None);
    }
}

fn released(debouncer: &mut Debouncer, association: &str, acknowledged: u64) {
    let share = SeriesShare { series_instance_uid: uid(), acknowledged, failed: 0 };
    debouncer.closed(&Closed {
        association,
        at: at(),
        ending: Ending::Released,
        series: &[share],
        failed_of_unknown_series: 0,
    });
}

/// By which rule the series is complete, and how many are missing then.
fn completed(debouncer: &mut Debouncer) -> (Reason, u64) {
    debouncer.advance(Timestamp::MAX);
    let Some(Decided::Complete(completion)) = debouncer.poll() else { panic!() };
    (completion.reason, completion.missing)
}

#[test]
fn what_an_association_acknowledged_and_nobody_has_seen_is_missing() {
    let mut whole = debouncer();
    seen(&mut whole, "a", 1..=8);
    released(&mut whole, "a", 8);
    assert_eq!(completed(&mut whole), (Reason::Released, 0));
    // In the middle, and at the end.
    for numbers in [[1, 2, 7, 8], [1, 2, 3, 4]] {
        let mut lossy = debouncer();
        seen(&mut lossy, "a", numbers);
        released(&mut lossy, "a", 8);
        assert_eq!(completed(&mut lossy), (Reason::Quiet, 4), "{numbers:?}");
    }
}

#[test]
fn a_gap_in_the_middle_is_known_before_the_association_ends() {
    let mut debouncer = debouncer();
    seen(&mut debouncer, "a", [1, 2, 7, 8]);
    assert_eq!(completed(&mut debouncer), (Reason::Quiet, 4));
}

#[test]
fn what_came_before_the_first_that_was_seen_is_missing_only_where_events_are_known_to_be_lost() {
    // It may have been sent again, unchanged, or belong to an earlier revision.
    let mut trusting = debouncer();
    seen(&mut trusting, "a", 5..=8);
    released(&mut trusting, "a", 8);
    assert_eq!(completed(&mut trusting), (Reason::Released, 0));
    let mut knowing = debouncer();
    knowing.know_losses();
    seen(&mut knowing, "a", 5..=8);
    released(&mut knowing, "a", 8);
    assert_eq!(completed(&mut knowing), (Reason::Quiet, 4));
    // Not of a series that was complete before.
    let mut again = debouncer();
    again.know_losses();
    let before = Completed { reason: Reason::Quiet, last_activity: at(), sender: "MR1".into() };
    let stored = Stored {
        instance: "1.3.1",
        series: &uid(),
        at: at(),
        sender: "MR1",
        association: "a",
        node: "node",
        ordinal: 5,
        series_ordinal: 5,
        effect: &Effect::Added,
        expected: None,
    };
    again.stored(&stored, Some(&before));
    released(&mut again, "a", 5);
    assert_eq!(completed(&mut again), (Reason::Released, 0));
}

#[test]
fn what_other_associations_bring_at_the_same_time_makes_up_for_nothing_and_what_a_later_one_does() {
    let mut lanes = debouncer();
    seen(&mut lanes, "a", [1]);
    seen(&mut lanes, "b", [1]);
    seen(&mut lanes, "a", [4]);
    seen(&mut lanes, "b", 2..=4);
    released(&mut lanes, "a", 4);
    released(&mut lanes, "b", 4);
    assert_eq!(completed(&mut lanes), (Reason::Quiet, 2));

    let mut retried = debouncer();
    seen(&mut retried, "a", [1, 4]);
    released(&mut retried, "a", 4);
    seen(&mut retried, "b", 1..=2);
    released(&mut retried, "b", 2);
    assert_eq!(completed(&mut retried).1, 0);
}
