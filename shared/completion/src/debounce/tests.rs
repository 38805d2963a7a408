//! The state machine against a model that keeps everything it was ever shown and works out the rules
//! from the beginning, each time, as the design words them.

use super::*;
use crate::{Completed, Effect};
use crate::{Hint, Rules};
use contract::event::{Ending, SeriesShare};
use jiff::SignedDuration;
use proptest::prelude::*;

const SERIES: usize = 3;
const ASSOCIATIONS: usize = 4;

fn series(number: usize) -> SeriesInstanceUid {
    SeriesInstanceUid::parse(&format!("2.25.{number}")).unwrap()
}

fn second(number: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number)
}

fn rules() -> Rules {
    Rules {
        quiet_period: SignedDuration::from_secs(10),
        settle_period: SignedDuration::from_secs(2),
        abort_grace: SignedDuration::from_secs(40),
        max_open: SignedDuration::from_secs(100),
        expected_from: vec![Hint::ImagesInAcquisition],
        ..Rules::default()
    }
}

/// Something to observe. Associations 0 and 1 are of node 0 and of sender 0, the others of 1.
#[derive(Debug, Clone)]
enum Step {
    Stored { series: usize, association: usize, again: bool, expected: Option<u64> },
    Receiving { series: usize, association: usize },
    Closed { association: usize, ending: Ending, missing: u64, failed: u64, failed_unknown: u64 },
    Started { node: usize },
    Requested { series: usize },
    Counted { series: usize, count: u64 },
    Trusted { sender: usize },
    Decide,
}

fn side(association: usize) -> usize {
    association / 2
}

fn step() -> impl Strategy<Value = Step> {
    let (series, association) = (0..SERIES, 0..ASSOCIATIONS);
    let ending = prop_oneof![3 => Just(Ending::Released), 1 => Just(Ending::Aborted)];
    let rarely = || prop_oneof![9 => Just(0_u64), 1 => Just(1)];
    let expected = prop_oneof![5 => Just(None), 1 => (1..6_u64).prop_map(Some)];
    prop_oneof![
        8 => (series.clone(), association.clone(), any::<bool>(), expected).prop_map(
            |(series, association, again, expected)| Step::Stored {
                series, association, again, expected
            }
        ),
        1 => (series.clone(), association.clone())
            .prop_map(|(series, association)| Step::Receiving { series, association }),
        4 => (association, ending, rarely(), rarely(), rarely()).prop_map(
            |(association, ending, missing, failed, failed_unknown)| Step::Closed {
                association, ending, missing, failed, failed_unknown
            }
        ),
        1 => (0..2_usize).prop_map(|node| Step::Started { node }),
        1 => series.clone().prop_map(|series| Step::Requested { series }),
        1 => (series, 0..8_u64).prop_map(|(series, count)| Step::Counted { series, count }),
        1 => (0..2_usize).prop_map(|sender| Step::Trusted { sender }),
        8 => Just(Step::Decide),
    ]
}

/// All that happened, with its time, and what was decided of each series.
#[derive(Default)]
struct Model {
    happened: Vec<(i64, Step)>,
    /// For each series, the completions: how much had happened by then, the rule, the time of the
    /// last activity, the last sender.
    completions: [Vec<(usize, Reason, i64, usize)>; SERIES],
}

/// An open series as the model works it out.
struct Open {
    opened: i64,
    last_activity: i64,
    sender: usize,
    senders: Vec<usize>,
    all_closed: bool,
    last_ending: Option<Ending>,
    interrupted: bool,
    tainted: bool,
    expected: Option<u64>,
    counted: u64,
    requested: Option<i64>,
}

impl Model {
    /// How much had happened at the last completion of a series.
    fn since(&self, of: usize) -> usize {
        self.completions[of].last().map_or(0, |(index, ..)| *index)
    }

    /// Where a series was opened after its last completion, if it is open.
    fn opened_at(&self, of: usize) -> Option<usize> {
        let opens = |step: &Step| matches!(step, Step::Stored { series, again: false, .. } if *series == of);
        let since = self.since(of);
        self.happened[since..].iter().position(|(_, step)| opens(step)).map(|at| since + at)
    }

    fn open(&self, of: usize) -> Option<Open> {
        let from = self.opened_at(of)?;
        let window = &self.happened[from..];
        let mut open = Open {
            opened: window[0].0,
            last_activity: window[0].0,
            sender: 0,
            senders: Vec::new(),
            all_closed: true,
            last_ending: None,
            interrupted: false,
            tainted: false,
            expected: None,
            counted: 0,
            requested: None,
        };
        for (index, (at, step)) in window.iter().enumerate() {
            let brought = |association: usize| Self::brings(&window[..index], of, association);
            match step {
                Step::Stored { series, association, expected, .. } if *series == of => {
                    open.last_activity = *at;
                    open.sender = side(*association);
                    open.senders.push(side(*association));
                    open.interrupted = false;
                    open.expected = expected.or(open.expected);
                }
                Step::Receiving { series, .. } if *series == of => open.last_activity = *at,
                Step::Closed { association, ending, missing, failed, failed_unknown } => {
                    open.tainted |= *failed > 0;
                    if brought(*association) {
                        open.tainted |= *missing > 0 || *failed_unknown > 0;
                        // Of one that only ever had a heartbeat here it can't be told.
                        let unseen = !Self::stored(&window[..index], of, *association);
                        open.tainted |= unseen
                            && Self::stored_ever(&self.happened[..from + index], of, *association);
                        open.last_activity = *at;
                        open.last_ending = Some(*ending);
                        open.interrupted |= *ending == Ending::Aborted;
                    }
                }
                Step::Started { node }
                    if (0..ASSOCIATIONS).any(|a| side(a) == *node && brought(a)) =>
                {
                    open.last_activity = *at;
                    open.last_ending = Some(Ending::Aborted);
                    open.interrupted = true;
                }
                Step::Requested { series } if *series == of => {
                    open.requested.get_or_insert(*at);
                }
                Step::Counted { series, count } if *series == of => open.counted = *count,
                _ => {}
            }
        }
        open.all_closed = !(0..ASSOCIATIONS).any(|a| Self::brings(window, of, a));
        Some(open)
    }

    /// Whether an association has brought something of a series and is not closed since.
    fn brings(window: &[(i64, Step)], of: usize, it: usize) -> bool {
        let last = window.iter().rev().find_map(|(_, step)| match step {
            Step::Stored { series, association, .. } | Step::Receiving { series, association }
                if *series == of && *association == it =>
            {
                Some(true)
            }
            Step::Closed { association, .. } if *association == it => Some(false),
            Step::Started { node } if *node == side(it) => Some(false),
            _ => None,
        });
        last == Some(true)
    }

    /// Whether an association has stored anything of a series since it was closed last.
    fn stored(window: &[(i64, Step)], of: usize, it: usize) -> bool {
        let last = window.iter().rev().find_map(|(_, step)| match step {
            Step::Stored { series, association, .. } if *series == of && *association == it => {
                Some(true)
            }
            Step::Closed { association, .. } if *association == it => Some(false),
            Step::Started { node } if *node == side(it) => Some(false),
            _ => None,
        });
        last == Some(true)
    }

    fn stored_ever(happened: &[(i64, Step)], of: usize, it: usize) -> bool {
        happened.iter().any(|(_, step)| {
            matches!(step, Step::Stored { series, association, .. }
                if *series == of && *association == it)
        })
    }

    /// Whether a rule was wrong for a sender, and no operator has forgiven it since.
    fn is_disproved(&self, sender: usize, rule: Reason) -> bool {
        let mut disproved = false;
        for (index, (at, step)) in self.happened.iter().enumerate() {
            match step {
                Step::Trusted { sender: forgiven } if *forgiven == sender => disproved = false,
                Step::Stored { series, again: false, .. } => {
                    // The last completion before this, if the series was not open since.
                    let before = self.completions[*series].iter().rfind(|(i, ..)| *i <= index);
                    let Some((since, reason, last_activity, theirs)) = before else { continue };
                    let first = !self.happened[*since..index].iter().any(|(_, step)| {
                        matches!(step, Step::Stored { series: s, again: false, .. } if s == series)
                    });
                    let early = at - last_activity <= 10;
                    disproved |= first && early && (*reason, *theirs) == (rule, sender);
                }
                _ => {}
            }
        }
        disproved
    }

    fn due(&self, open: &Open) -> (i64, Reason) {
        let mut rules = vec![(open.opened + 100, Reason::Overdue)];
        rules.push(match open.interrupted {
            true => (open.last_activity + 40, Reason::Interrupted),
            false => (open.last_activity + 10, Reason::Quiet),
        });
        if let Some(at) = open.requested {
            rules.push((at, Reason::Requested));
        }
        let reached = open.expected.is_some_and(|expected| open.counted >= expected);
        if reached && !self.is_disproved(open.sender, Reason::Expected) {
            rules.push((open.last_activity + 2, Reason::Expected));
        }
        let believed = |sender: &usize| !self.is_disproved(*sender, Reason::Released);
        if open.all_closed
            && open.last_ending == Some(Ending::Released)
            && !open.tainted
            && open.senders.iter().all(believed)
        {
            rules.push((open.last_activity + 2, Reason::Released));
        }
        rules.into_iter().min_by_key(|(at, reason)| (*at, place(*reason))).unwrap()
    }

    fn decide(&mut self, watermark: i64) -> Vec<(SeriesInstanceUid, Reason, Option<u64>)> {
        let mut due: Vec<_> = (0..SERIES)
            .filter_map(|of| {
                let open = self.open(of)?;
                let (at, reason) = self.due(&open);
                (at < watermark).then_some((at, reason, series(of), of, open))
            })
            .collect();
        due.sort_by_key(|(at, reason, uid, ..)| (*at, place(*reason), uid.clone()));
        let count = self.happened.len();
        due.into_iter()
            .map(|(_, reason, uid, of, open)| {
                self.completions[of].push((count, reason, open.last_activity, open.sender));
                (uid, reason, open.expected)
            })
            .collect()
    }
}

/// Of rules that are due at the same moment the one that comes first here is named.
fn place(reason: Reason) -> usize {
    use Reason::{Expected, Interrupted, Overdue, Quiet, Released, Requested};
    let order = [Requested, Expected, Released, Quiet, Interrupted, Overdue];
    order.iter().position(|rule| *rule == reason).unwrap()
}

/// The state machine, and what the catalogue and the receivers would know beside it.
struct Machine {
    debouncer: Debouncer,
    completed: [Option<Completed>; SERIES],
    /// Of each association: C-STOREs, and those of each series that were acknowledged.
    stores: [u64; ASSOCIATIONS],
    acknowledged: [[u64; SERIES]; ASSOCIATIONS],
}

impl Machine {
    fn observe(&mut self, at: i64, step: &Step) {
        let at = second(at);
        match step {
            Step::Stored { series: of, association, again, expected } => {
                self.stores[*association] += 1;
                self.acknowledged[*association][*of] += 1;
                let effect = if *again { Effect::Resent } else { Effect::Added };
                let stored = Stored {
                    instance: "1.3.1",
                    series: &series(*of),
                    at,
                    sender: &side(*association).to_string(),
                    association: &association.to_string(),
                    node: &side(*association).to_string(),
                    ordinal: self.stores[*association],
                    series_ordinal: self.acknowledged[*association][*of],
                    effect: &effect,
                    expected: *expected,
                };
                self.debouncer.stored(&stored, self.completed[*of].as_ref());
            }
            Step::Receiving { series: of, association } => {
                self.debouncer.receiving(&Receiving {
                    series: &series(*of),
                    at,
                    association: &association.to_string(),
                    node: &side(*association).to_string(),
                });
            }
            Step::Closed { association, ending, missing, failed, failed_unknown } => {
                let share = |of| SeriesShare {
                    series_instance_uid: series(of),
                    acknowledged: self.acknowledged[*association][of] + missing,
                    failed: *failed,
                };
                let shares: Vec<_> = (0..SERIES).map(share).collect();
                self.debouncer.closed(&Closed {
                    association: &association.to_string(),
                    at,
                    ending: *ending,
                    series: &shares,
                    failed_of_unknown_series: *failed_unknown,
                });
            }
            Step::Started { node } => self.debouncer.receiver_ended(&node.to_string(), at),
            Step::Requested { series: of } => self.debouncer.requested(&series(*of), at),
            Step::Counted { series: of, count } => self.debouncer.counted(&series(*of), *count),
            Step::Trusted { sender } => self.debouncer.trusted(&sender.to_string()),
            Step::Decide => {}
        }
    }

    fn decide(&mut self, watermark: i64) -> Vec<(SeriesInstanceUid, Reason, Option<u64>)> {
        self.debouncer.advance(second(watermark));
        let before: HashMap<_, _> = self.debouncer.open.clone();
        let decided = std::iter::from_fn(|| self.debouncer.poll());
        let completions: Vec<_> = decided.map(completion).collect();
        completions
            .into_iter()
            .map(|completion| {
                let (open, _) = &before[&completion.series];
                let completed = Completed {
                    reason: completion.reason,
                    last_activity: open.last_activity,
                    sender: open.sender.clone(),
                };
                let of = (0..SERIES).find(|of| series(*of) == completion.series).unwrap();
                self.completed[of] = Some(completed);
                (completion.series, completion.reason, completion.expected)
            })
            .collect()
    }

    /// As a restart would have it: from what it said has to be kept.
    fn restart(&mut self, kept: &mut HashMap<SeriesInstanceUid, OpenSeries>) {
        kept.extend(self.debouncer.take_consequences().open);
        kept.retain(|series, _| self.debouncer.open.contains_key(series));
        let mut restarted = Debouncer::new(Senders::new(rules()));
        restarted.restore(kept.clone(), self.debouncer.disproved.clone());
        self.debouncer = restarted;
    }
}

/// Nobody is asked here.
fn completion(decided: Decided) -> Completion {
    match decided {
        Decided::Complete(completion) => completion,
        Decided::Ask(_) | Decided::Wait => panic!("{decided:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn it_decides_what_the_slow_model_decides(
        steps in prop::collection::vec((0..15_i64, step(), 0..20_u8), 1..80),
    ) {
        let mut machine = Machine {
            debouncer: Debouncer::new(Senders::new(rules())),
            completed: Default::default(),
            stores: [0; ASSOCIATIONS],
            acknowledged: [[0; SERIES]; ASSOCIATIONS],
        };
        let (mut model, mut now, mut kept) = (Model::default(), 0, HashMap::new());
        for (wait, step, dice) in steps {
            now += wait;
            if let Step::Decide = step {
                prop_assert_eq!(machine.decide(now), model.decide(now));
            } else {
                machine.observe(now, &step);
                model.happened.push((now, step));
            }
            if dice == 0 {
                machine.restart(&mut kept);
            }
            let open = (0..SERIES).filter(|of| model.opened_at(*of).is_some()).count();
            prop_assert_eq!(machine.debouncer.open_series(), open);
            prop_assert_eq!(machine.debouncer.due.len(), open);
        }
    }
}

#[test]
fn the_watermark_never_goes_back_and_due_is_strictly_before_it() {
    let mut debouncer = Debouncer::new(Senders::new(rules()));
    debouncer.lost_instance(&series(1), second(5), None);
    assert_eq!(debouncer.next_due(), Some(second(15)));
    debouncer.advance(second(15));
    assert_eq!(debouncer.poll(), None);
    debouncer.advance(second(16));
    debouncer.advance(second(1));
    assert_eq!(debouncer.poll().map(|it| completion(it).decided_at), Some(second(16)));
    assert_eq!((debouncer.poll(), debouncer.next_due()), (None, None));
}
