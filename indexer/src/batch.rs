//! A batch of events: the instances among them go into the catalogue, and all of them, in order,
//! past the completion rules.

use crate::reading::Reading;
use catalog::{
    self, Bookmark, Contradicted, EventMark, Listing, Named, Received, Recorded, Registration,
};
use completion::Senders;
use completion::debounce::{Answered, Closed, Debouncer, Receiving, Stored};
use completion::{AskedFor, Consequences, Effect, List, Question};
use contract::event::{InstancesListed, SeriesShare, SourceAnswered};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Events in the order of the stream.
#[derive(Debug)]
pub struct Batch {
    /// What the catalogue takes of it.
    pub rows: catalog::Batch,
    events: Vec<Event>,
    has_deletion: bool,
}

#[derive(Debug)]
enum Event {
    /// The next of the instances.
    Stored { expected: Option<u64> },
    /// A source was asked: the sequence of what came of it, and when the broker stored that.
    Answered(u64, Timestamp, Box<SourceAnswered>),
    /// A peer has listed instances: the sequence of that, and when the broker stored it.
    Listed(u64, Timestamp, Box<InstancesListed>),
    /// Something else, and when the broker stored it.
    Other(Timestamp, Box<Reading>),
}

impl Batch {
    /// Without events, after the bookmark.
    #[must_use]
    pub fn new(bookmark: Bookmark) -> Self {
        Self { rows: catalog::Batch::new(bookmark), events: Vec::new(), has_deletion: false }
    }

    /// Whether this event can be its next. What follows a deletion must find the rows gone, and what
    /// follows a registration must find the row there, but that registrations are written in their order.
    #[must_use]
    pub fn takes(&self, next: &Reading) -> bool {
        let is_registration = matches!(next, Reading::RegistrationRequested(_));
        !self.has_deletion && (self.rows.registrations.is_empty() || is_registration)
    }

    /// Takes the next event: its sequence in the stream, what tells it from another one of that
    /// sequence, what it is.
    pub fn push(&mut self, sequence: u64, mark: EventMark, reading: Reading, senders: &Senders) {
        let at = mark.at;
        self.rows.bookmark.last_sequence = sequence;
        self.rows.bookmark.event = Some(mark);
        self.rows.bookmark.latest = Some(at);
        match reading {
            Reading::Stored(event) => {
                let series = &event.series_instance_uid;
                // Once for a run of one series is enough; the catalogue counts each only once.
                if senders.count(&event.calling_ae_title)
                    && self.rows.counted.last() != Some(series)
                {
                    self.rows.counted.push(series.clone());
                }
                self.events.push(Event::Stored { expected: senders.expected(&event) });
                self.rows.instances.push(Received { sequence, at, event });
            }
            Reading::Nothing | Reading::Dead { .. } => {}
            Reading::Answered(mut event) => {
                let series = event.series_instance_uid.clone();
                let instances = std::mem::take(&mut event.instances);
                if !instances.is_empty() {
                    let instances = instances.iter().map(ToString::to_string).collect();
                    self.rows.named.push(Named { sequence, series: series.clone(), instances });
                }
                self.rows.counted.push(series);
                self.events.push(Event::Answered(sequence, at, event));
            }
            Reading::Listed(event) => {
                let instances = event.instances.iter().flat_map(|of| &of.sop_instance_uids);
                let instances = instances.map(ToString::to_string).collect();
                self.rows.listed.push(Listing { sequence, instances });
                let named = event.instances.iter().filter_map(|of| of.series_instance_uid.clone());
                self.rows.counted.extend(named);
                self.events.push(Event::Listed(sequence, at, event));
            }
            Reading::RegistrationRequested(event) => {
                self.rows.registrations.push(Registration { sequence, at, event });
            }
            Reading::ReleaseRequested(event) => self.rows.releases.push(event),
            Reading::DeletionRequested(_) => {
                self.events.push(Event::Other(at, Box::new(reading)));
                self.has_deletion = true;
            }
            other => {
                if let Reading::Closed(event) = &other {
                    let accounts = event.series.iter().filter(|share| share.acknowledged > 0);
                    let account = |share: &SeriesShare| {
                        (share.series_instance_uid.clone(), share.acknowledged)
                    };
                    self.rows.accounts.extend(accounts.map(account));
                }
                self.events.push(Event::Other(at, Box::new(other)));
            }
        }
    }

    /// Shows the events to the completion rules; gives what has to be kept of it.
    pub fn conclude(&self, debouncer: &mut Debouncer, recorded: &Recorded) -> Consequences {
        let mut instances = self.rows.instances.iter().zip(&recorded.effects);
        for event in &self.events {
            match event {
                Event::Stored { expected } => {
                    let Some((instance, effect)) = instances.next() else { break };
                    debouncer.time_is(instance.at);
                    stored(debouncer, instance, effect, *expected, recorded);
                }
                Event::Answered(sequence, at, event) => {
                    debouncer.time_is(*at);
                    let absent = recorded.absent.get(sequence);
                    debouncer.answered(&Answered {
                        series: &event.series_instance_uid,
                        at: *at,
                        source: &event.calling_ae_title,
                        question: &event.question_id,
                        count: event.count,
                        absent: absent.map_or(&[], Vec::as_slice),
                    });
                }
                Event::Listed(sequence, at, event) => {
                    debouncer.time_is(*at);
                    if let Some(here) = recorded.listed.get(sequence) {
                        lists(event, *at, here).into_values().for_each(|it| debouncer.listed(it));
                    }
                }
                Event::Other(at, reading) => {
                    debouncer.time_is(*at);
                    observe(debouncer, *at, reading);
                }
            }
        }
        for (series, Contradicted { missing, sender }) in &recorded.contradicted {
            debouncer.contradicted(series, sender, *missing);
        }
        for (series, count) in &recorded.counts {
            debouncer.counted(series, *count);
        }
        debouncer.take_consequences()
    }
}

fn stored(
    debouncer: &mut Debouncer,
    instance: &Received,
    effect: &Effect,
    expected: Option<u64>,
    recorded: &Recorded,
) {
    let (at, event) = (instance.at, &instance.event);
    if let Effect::MovedFrom(left) = effect {
        debouncer.lost_instance(left, at, recorded.completed.get(left));
    }
    let series = &event.series_instance_uid;
    let stored = Stored {
        instance: event.sop_instance_uid.as_str(),
        series,
        at,
        sender: &event.calling_ae_title,
        association: &event.association_id,
        node: &event.node_name,
        ordinal: event.ordinal,
        series_ordinal: event.series_ordinal,
        effect,
        expected,
    };
    debouncer.stored(&stored, recorded.completed.get(series));
}

/// The lists of an event, one for each series that it names, with where the instances are that are here.
fn lists(
    event: &InstancesListed,
    at: Timestamp,
    places: &HashMap<String, SeriesInstanceUid>,
) -> BTreeMap<Option<SeriesInstanceUid>, List> {
    let mut lists: BTreeMap<_, List> = BTreeMap::new();
    for of in &event.instances {
        let about = of.series_instance_uid.clone();
        let list = lists.entry(about.clone()).or_insert_with(|| List {
            kind: event.kind,
            list_uid: event.list_uid.clone(),
            peer: event.calling_ae_title.clone(),
            discontinued: event.discontinued,
            at,
            about,
            here: BTreeMap::new(),
            missing: BTreeSet::new(),
        });
        // A list of a hundred instances that names one twice is one of 99.
        let instances: BTreeSet<_> = of.sop_instance_uids.iter().collect();
        for instance in instances {
            match places.get(instance.as_str()) {
                Some(series) => *list.here.entry(series.clone()).or_default() += 1,
                None => {
                    list.missing.insert(instance.to_string());
                }
            }
        }
    }
    lists
}

fn observe(debouncer: &mut Debouncer, at: Timestamp, reading: &Reading) {
    match reading {
        Reading::Receiving(event) => debouncer.receiving(&Receiving {
            series: &event.series_instance_uid,
            at,
            association: &event.association_id,
            node: &event.node_name,
        }),
        Reading::Closed(event) => debouncer.closed(&Closed {
            association: &event.association.association_id,
            at,
            ending: event.ending,
            series: &event.series,
            failed_of_unknown_series: event.failed_of_unknown_series(),
        }),
        Reading::Started(event) => debouncer.receiver_ended(&event.node_name, at),
        Reading::GoneRequested(event) => debouncer.receiver_ended(&event.node_name, at),
        Reading::CompletionRequested(event) => {
            debouncer.requested(&event.series_instance_uid, at);
        }
        Reading::DeletionRequested(event) => {
            debouncer.deletion_requested(&event.series_instance_uid, at);
        }
        Reading::TrustRequested(event) => debouncer.trusted(&event.calling_ae_title),
        Reading::Asked(event) => debouncer.asked(&Question {
            series: event.series_instance_uid.clone(),
            id: event.question_id.clone(),
            source: event.calling_ae_title.clone(),
            asked_at: event.asked_at,
            asked_for: match event.names {
                true => AskedFor::Names,
                false => AskedFor::Count,
            },
        }),
        Reading::Wanted(event) => debouncer.asked(&Question {
            series: event.series_instance_uid.clone(),
            id: event.question_id.clone(),
            source: event.calling_ae_title.clone(),
            asked_at: event.asked_at,
            asked_for: AskedFor::Instances(event.instances.clone()),
        }),
        Reading::Stored(_)
        | Reading::Answered(_)
        | Reading::Listed(_)
        | Reading::RegistrationRequested(_)
        | Reading::ReleaseRequested(_)
        | Reading::Nothing
        | Reading::Dead { .. } => {}
    }
}
