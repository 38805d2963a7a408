//! The stream of a world: events with their sequence and the broker's time, and how they are made.

use catalog::EventMark;
use completion::{Hint, Rules, Senders};
use contract::event::{
    AssociationClosed, AssociationIdentity, AttributeValue, CompletionRequested, DeletionRequested,
    Ending, GoneRequested, IngestStarted, InstanceReceiving, InstanceStored, SeriesShare,
    TrustRequested,
};
use contract::uid::{SeriesInstanceUid, SopInstanceUid};
use indexer::reading::Reading;
use jiff::Timestamp;
use shared::stream::Position;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Milliseconds that have really passed since the beginning of a world, or the broker's time.
pub type Millis = i64;

pub const SECOND: Millis = 1000;
pub const MINUTE: Millis = 60 * SECOND;
pub const HOUR: Millis = 60 * MINUTE;
pub const DAY: Millis = 24 * HOUR;

pub fn time(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap()
}

pub fn series(number: u32) -> SeriesInstanceUid {
    SeriesInstanceUid::parse(&format!("2.25.{number}")).unwrap()
}

/// The default settings, and a sender that is trusted with Images in Acquisition.
pub fn senders() -> Senders {
    let expected_from = vec![Hint::ImagesInAcquisition];
    Senders::new(Rules::default()).with(EXACT, Rules { expected_from, ..Rules::default() })
}

/// The sender that is trusted.
pub const EXACT: &str = "EXACT";

/// One event of the stream, and when it really happened.
#[derive(Debug, Clone)]
pub struct Entry {
    pub at: Millis,
    pub reading: Reading,
}

/// All that was and will be in the stream; an event is there from its time on. The sequence of the
/// first is 1.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    pub events: Vec<Entry>,
    /// When the broker's clock was set, in order, and by how much it is ahead from then on.
    pub steps: Vec<(Millis, Millis)>,
}

impl Stream {
    /// With a clock that is right.
    pub fn new(events: Vec<Entry>) -> Self {
        Self { events, steps: Vec::new() }
    }

    /// What the broker's clock says at a time.
    pub fn clock(&self, at: Millis) -> Timestamp {
        let ahead = self.steps.iter().rev().find(|(step, _)| *step <= at).map_or(0, |(_, by)| *by);
        time(at + ahead)
    }

    /// The first time from `from` on at which the broker's clock is past `due`.
    pub fn when(&self, due: Timestamp, from: Millis) -> Millis {
        let mut from = from;
        loop {
            let next = self.steps.iter().map(|(step, _)| *step).find(|step| *step > from);
            let left = due.as_millisecond() + 1 - self.clock(from).as_millisecond();
            match next {
                Some(next) if from + left.max(0) >= next => from = next,
                _ => return from + left.max(0),
            }
        }
    }

    /// By how much the clock was set forward in `from..=to`, but for what was seen between two answers
    /// and is more than what is taken for a clock that is being set right.
    pub fn forward(&self, from: Millis, to: Millis, seen: &[(Millis, Millis)]) -> Millis {
        let mut before = 0;
        let mut forward = 0;
        for (at, ahead) in &self.steps {
            let by = ahead - before;
            before = *ahead;
            let is_seen = seen.iter().any(|(from, to)| (*from..=*to).contains(at));
            if by > 0 && (from..=to).contains(at) && !is_seen {
                forward += by;
            }
        }
        forward
    }

    /// What tells the event of a sequence from another one.
    pub fn mark(&self, sequence: u64) -> EventMark {
        EventMark { at: self.clock(self.get(sequence).at), message_id: sequence.to_string() }
    }

    /// Where the stream stands at a time.
    pub fn position(&self, now: Millis) -> Position {
        let last = self.events.partition_point(|entry| entry.at <= now) as u64;
        Position { created: time(0), first: 1, last, bytes: 0, replicas: 1, now: self.clock(now) }
    }

    /// The event of a sequence.
    pub fn get(&self, sequence: u64) -> &Entry {
        &self.events[sequence as usize - 1]
    }

    /// The end of the last event.
    pub fn end(&self) -> Millis {
        self.events.last().map_or(0, |entry| entry.at)
    }

    /// All instances, with their sequence.
    pub fn stored(&self) -> impl Iterator<Item = (u64, Millis, &InstanceStored)> {
        (1..).zip(&self.events).filter_map(|(sequence, entry)| match &entry.reading {
            Reading::Stored(event) => Some((sequence, entry.at, event.as_ref())),
            _ => None,
        })
    }
}

/// An association as a sender has it, and what its receiver says of it.
#[derive(Debug, Clone)]
pub struct Association {
    pub sender: String,
    pub node: String,
    pub id: String,
    ordinal: u64,
    acknowledged: u64,
    failed: u64,
    shares: BTreeMap<u32, (u64, u64)>,
    /// Images in Acquisition of what it sends.
    pub images: Option<i64>,
}

impl Association {
    pub fn new(id: impl Into<String>, sender: &str, node: &str) -> Self {
        let (sender, node, id) = (sender.to_owned(), node.to_owned(), id.into());
        Self {
            sender,
            node,
            id,
            ordinal: 0,
            acknowledged: 0,
            failed: 0,
            shares: BTreeMap::new(),
            images: None,
        }
    }

    fn event(&mut self, number: u32, sop: u32, digest: u32) -> Reading {
        self.ordinal += 1;
        let series_ordinal =
            self.shares.get(&number).map_or(0, |(acknowledged, _)| *acknowledged) + 1;
        Reading::Stored(Box::new(InstanceStored {
            sop_instance_uid: SopInstanceUid::parse(&format!("1.3.{sop}")).unwrap(),
            sop_class_uid: String::new(),
            series_instance_uid: series(number),
            study_instance_uid: None,
            attributes: self.images.iter().map(images).collect(),
            remarks: contract::event::Remarks::default(),
            transfer_syntax_uid: String::new(),
            bytes: 1,
            digest: digest.to_string(),
            object: None,
            calling_ae_title: self.sender.clone(),
            called_ae_title: String::new(),
            peer_address: String::new(),
            association_id: self.id.clone(),
            node_name: self.node.clone(),
            ordinal: self.ordinal,
            series_ordinal,
            // The clock of the receiver is anything: it decides nothing.
            received_at: time(i64::from(sop % 7) * 100 * DAY),
        }))
    }

    /// An instance that is stored and answered with Success.
    pub fn store(&mut self, series: u32, sop: u32, digest: u32) -> Reading {
        let event = self.event(series, sop, digest);
        self.acknowledged += 1;
        self.shares.entry(series).or_default().0 += 1;
        event
    }

    /// One that is stored, though its sender was told of a failure: the acknowledgement came late.
    pub fn store_unacknowledged(&mut self, series: u32, sop: u32) -> Reading {
        self.fail(series);
        self.ordinal -= 1;
        self.event(series, sop, 0)
    }

    /// One that is refused.
    pub fn fail(&mut self, series: u32) {
        self.ordinal += 1;
        self.failed += 1;
        self.shares.entry(series).or_default().1 += 1;
    }

    /// One that is refused, and nobody knows of which series it is.
    pub fn fail_unknown(&mut self) {
        self.ordinal += 1;
        self.failed += 1;
    }

    /// One that is arriving, slowly.
    pub fn receiving(&mut self, number: u32) -> Reading {
        self.shares.entry(number).or_default();
        Reading::Receiving(InstanceReceiving {
            series_instance_uid: series(number),
            modality: String::new(),
            bytes: 1,
            calling_ae_title: self.sender.clone(),
            association_id: self.id.clone(),
            node_name: self.node.clone(),
            ordinal: self.ordinal + 1,
            at: time(0),
        })
    }

    /// The end.
    pub fn close(&self, ending: Ending) -> Reading {
        let share = |(number, (acknowledged, failed)): (&u32, &(u64, u64))| SeriesShare {
            series_instance_uid: series(*number),
            acknowledged: *acknowledged,
            failed: *failed,
        };
        Reading::Closed(AssociationClosed {
            association: AssociationIdentity {
                association_id: self.id.clone(),
                calling_ae_title: self.sender.clone(),
                called_ae_title: String::new(),
                peer_address: String::new(),
                node_name: self.node.clone(),
                tls: None,
            },
            ending,
            cause: None,
            stores: self.ordinal,
            acknowledged: self.acknowledged,
            failed: self.failed,
            refusals: Vec::new(),
            series: self.shares.iter().map(share).collect(),
            series_left_out: 0,
            closed_at: time(0),
        })
    }
}

fn images(count: &i64) -> (Cow<'static, str>, AttributeValue) {
    ("ImagesInAcquisition".into(), AttributeValue::Number(*count))
}

/// A receiver starts, again.
pub fn started(node: &str) -> Reading {
    let (node_name, start_id) = (node.to_owned(), String::new());
    Reading::Started(IngestStarted { node_name, start_id, started_at: time(0) })
}

/// An operator says that a receiver does not come back.
pub fn gone(node: &str) -> Reading {
    let (node_name, request_id) = (node.to_owned(), String::new());
    Reading::GoneRequested(GoneRequested { node_name, request_id, requested_at: time(0) })
}

/// An operator wants a series to be complete.
pub fn complete(number: u32) -> Reading {
    let (series_instance_uid, request_id) = (series(number), String::new());
    let request = CompletionRequested { series_instance_uid, request_id, requested_at: time(0) };
    Reading::CompletionRequested(request)
}

/// An operator wants a series out of the catalogue.
pub fn delete(number: u32) -> Reading {
    let (series_instance_uid, request_id) = (series(number), String::new());
    let request = DeletionRequested { series_instance_uid, request_id, requested_at: time(0) };
    Reading::DeletionRequested(request)
}

/// An operator wants a sender to be believed again.
pub fn trust(sender: &str) -> Reading {
    let (calling_ae_title, request_id) = (sender.to_owned(), String::new());
    let request = TrustRequested { calling_ae_title, request_id, requested_at: time(0) };
    Reading::TrustRequested(request)
}
