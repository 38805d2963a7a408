//! `GET /stats/associations`: what each sender did in the latest 24 hours, read from the events of associations.

use crate::broker::{BrokerHandle, unavailable};
use crate::events::recent::read_ends;
use crate::http::problem::Problem;
use anyhow::Context as _;
use contract::event::{AssociationIdentity, Ending, RefusalShare};
use jiff::{SignedDuration, Timestamp};
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How far back it looks.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// For how long an answer is returned again, so that many open pages cost one read of the stream.
const FRESH: Duration = Duration::from_secs(5);

/// Senders that are listed: callers who are rejected may call themselves anything.
const MAX_SENDERS: usize = 1000;

/// Different refusals of a sender that are listed, the latest ones.
const MAX_REFUSALS: usize = 20;

/// Addresses of a sender that are listed, the latest ones.
const MAX_ADDRESSES: usize = 20;

/// What senders did lately, by the associations that ended
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Associations {
    /// Since when, UTC: 24 hours ago, or later where there were more than 5,000 ends and rejections. What NATS no longer
    /// keeps (`HISTORY`) is not counted
    pub since: String,
    /// The senders, whose association ended last first: 1,000 at most
    pub senders: Vec<SenderAssociations>,
}

/// What a sender did
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase")]
pub struct SenderAssociations {
    /// AE title, as it calls itself
    #[serde(rename = "CallingAETitle")]
    #[oai(rename = "CallingAETitle")]
    pub calling_ae_title: String,
    /// Addresses that it came from, the latest last: 20 at most
    pub addresses: Vec<String>,
    /// When the first association of this time ended or was rejected, UTC
    pub first_at: String,
    /// When the latest did, UTC
    pub last_at: String,
    /// How the latest ended: `released`, `aborted` or `rejected`
    pub last_ending: String,
    /// Why the latest that was aborted or rejected was
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_cause: Option<String>,
    /// Associations with instances that were released
    pub released: u64,
    /// Associations with instances that were aborted
    pub aborted: u64,
    /// Associations that were rejected. An event a second has them all, so of several callers in one second the latest has
    /// those of the others
    pub rejected: u64,
    /// Instances that were answered with Success
    pub accepted: u64,
    /// Instances that were answered with a failure
    pub refused: u64,
    /// Whether the connection of the latest was encrypted; left out where its receiver is of an earlier version
    #[serde(rename = "TLS", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "TLS")]
    pub tls: Option<bool>,
    /// What it was told of refused instances, the latest first: 20 at most
    pub refusals: Vec<Refusal>,
}

/// Refused instances that were answered alike
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", rename = "RefusedInstances")]
pub struct Refusal {
    /// Status of the answers, such as `0xA700`
    pub status: String,
    /// Error Comment of the answers
    pub error_comment: String,
    /// How many instances
    pub count: u64,
    /// When the latest association with one of them ended, UTC
    pub last_at: String,
}

/// What is counted of the end of an association, or of its rejection.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct End {
    #[serde(flatten)]
    association: AssociationIdentity,
    #[serde(default)]
    ending: Option<Ending>,
    #[serde(default)]
    cause: Option<String>,
    #[serde(default)]
    acknowledged: u64,
    #[serde(default)]
    failed: u64,
    #[serde(default)]
    refusals: Vec<RefusalShare>,
    #[serde(default)]
    rejections: u64,
}

/// What is known of the senders so far.
#[derive(Debug, Default)]
struct Tally(BTreeMap<String, (Timestamp, SenderAssociations)>);

impl Tally {
    /// Counts the next event, which the broker stored then. What can't be read is a dead letter of the indexer's, and none
    /// of an association.
    fn count(&mut self, at: Timestamp, payload: &[u8]) {
        let Ok(end) = serde_json::from_slice::<End>(payload) else { return };
        let name = end.association.calling_ae_title.clone();
        if self.0.len() == MAX_SENDERS && !self.0.contains_key(&name) {
            let oldest = self.0.iter().min_by_key(|(_, (last, _))| *last);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.0.remove(&oldest);
            }
        }
        let begin = || (at, SenderAssociations::new(name.clone(), at));
        let (last, sender) = self.0.entry(name.clone()).or_insert_with(begin);
        *last = at;
        sender.count(at, end);
    }

    fn into_senders(self) -> Vec<SenderAssociations> {
        let mut senders: Vec<_> = self.0.into_values().collect();
        senders.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
        senders.into_iter().map(|(_, sender)| sender).collect()
    }
}

impl SenderAssociations {
    fn new(calling_ae_title: String, at: Timestamp) -> Self {
        Self {
            calling_ae_title,
            addresses: Vec::new(),
            first_at: at.to_string(),
            last_at: at.to_string(),
            last_ending: String::new(),
            last_cause: None,
            released: 0,
            aborted: 0,
            rejected: 0,
            accepted: 0,
            refused: 0,
            tls: None,
            refusals: Vec::new(),
        }
    }

    fn count(&mut self, at: Timestamp, end: End) {
        let End { association, ending, cause, acknowledged, failed, refusals, rejections } = end;
        let ended = match ending {
            Some(Ending::Released) => ("released", &mut self.released, 1),
            Some(Ending::Aborted) => ("aborted", &mut self.aborted, 1),
            // One event stands for as many as there were in a second, of whichever sender.
            None => ("rejected", &mut self.rejected, rejections.max(1)),
        };
        let (word, count, times) = ended;
        *count += times;
        self.last_ending = word.to_owned();
        self.last_at = at.to_string();
        self.last_cause = cause.or(self.last_cause.take());
        self.accepted += acknowledged;
        self.refused += failed;
        self.tls = association.tls;
        self.addresses.retain(|address| *address != association.peer_address);
        self.addresses.push(association.peer_address);
        if self.addresses.len() > MAX_ADDRESSES {
            self.addresses.remove(0);
        }
        for RefusalShare { status, error_comment, count } in refusals {
            let is_same = |it: &Refusal| it.status == status && it.error_comment == error_comment;
            let known = self.refusals.iter().position(is_same);
            let before = known.map_or(0, |known| self.refusals.remove(known).count);
            let count = before + count;
            self.refusals
                .insert(0, Refusal { status, error_comment, count, last_at: at.to_string() });
        }
        self.refusals.truncate(MAX_REFUSALS);
    }
}

/// The latest answer.
#[derive(Debug, Default)]
pub struct AssociationsCache {
    latest: Mutex<Option<(Instant, Associations)>>,
}

impl AssociationsCache {
    /// What senders did, read a moment ago at most. One reads at a time, and the others wait for it.
    ///
    /// # Errors
    /// 503 when NATS does not answer in time.
    pub async fn of(&self, broker: &BrokerHandle) -> Result<Associations, Problem> {
        let read = timeout(broker.timeout(), self.read(broker)).await;
        let read = read.context("NATS does not answer in time").flatten();
        read.map_err(|error| unavailable("the events of associations can't be read", &error))
    }

    async fn read(&self, broker: &BrokerHandle) -> anyhow::Result<Associations> {
        let mut latest = self.latest.lock().await;
        if let Some((_, associations)) = latest.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(associations.clone());
        }
        let mut tally = Tally::default();
        let jetstream = broker.connection()?;
        let since = read_ends(jetstream, DAY, |at, payload| tally.count(at, payload)).await?;
        let associations = Associations { since: since.to_string(), senders: tally.into_senders() };
        *latest = Some((Instant::now(), associations.clone()));
        Ok(associations)
    }
}

impl Example for Associations {
    fn example() -> Self {
        let refusal = Refusal {
            status: "0xA700".into(),
            error_comment: "the instance store is full".into(),
            count: 3,
            last_at: "2026-02-03T04:05:07Z".into(),
        };
        let sender = SenderAssociations {
            calling_ae_title: "MR1".into(),
            addresses: vec!["192.0.2.7".into()],
            first_at: "2026-02-02T05:00:00Z".into(),
            last_at: "2026-02-03T04:05:07Z".into(),
            last_ending: "released".into(),
            last_cause: Some("the connection was lost".into()),
            released: 24,
            aborted: 1,
            rejected: 0,
            accepted: 408,
            refused: 3,
            tls: Some(true),
            refusals: vec![refusal],
        };
        Self { since: "2026-02-02T04:05:09Z".into(), senders: vec![sender] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn event(sender: &str, more: Value) -> Vec<u8> {
        let mut event = json!({
            "AssociationID": "4f5c1e9c-7f57-4f0e-a44e-2f2b40d5a3ce", "CallingAETitle": sender,
            "CalledAETitle": "COLLIMATOR", "PeerAddress": "192.0.2.7", "NodeName": "ingest-1"
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::to_vec(&event).unwrap()
    }

    fn released(sender: &str, refusals: &[&str]) -> Vec<u8> {
        let refusal = |text: &&str| json!({"Status": "0xA700", "ErrorComment": text, "Count": 2});
        let refusals: Vec<_> = refusals.iter().map(refusal).collect();
        event(
            sender,
            json!({
                "Ending": "released", "Stores": 9, "Acknowledged": 5, "Failed": 2 * refusals.len(),
                "Refusals": refusals, "Series": [], "TLS": true
            }),
        )
    }

    #[test]
    fn ends_are_counted_by_sender_and_the_latest_says_how_it_ended() {
        let mut tally = Tally::default();
        tally.count(at(1), &released("MR1", &[]));
        let aborted = json!({
            "Ending": "aborted", "Cause": "the connection was lost", "Stores": 2, "Acknowledged": 1,
            "Failed": 0, "Series": [], "TLS": false
        });
        tally.count(at(2), &event("MR1", aborted));
        let rejected = json!({"Cause": "called AE title not recognized", "Rejections": 12});
        tally.count(at(3), &event("CT1", rejected));
        tally.count(at(4), b"nonsense");
        let senders = tally.into_senders();
        let [ct, mr] = &senders[..] else { panic!("{senders:?}") };
        assert_eq!((&*ct.last_ending, ct.rejected, ct.tls), ("rejected", 12, None));
        assert_eq!(ct.last_cause.as_deref(), Some("called AE title not recognized"));
        assert_eq!((mr.released, mr.aborted, mr.accepted, mr.tls), (1, 1, 6, Some(false)));
        assert_eq!((&*mr.first_at, &*mr.last_at), ("1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z"));
        assert_eq!(mr.addresses, ["192.0.2.7"]);
    }

    #[test]
    fn refusals_are_counted_together_and_the_latest_twenty_stay() {
        let mut tally = Tally::default();
        for number in 0..30 {
            tally.count(at(number), &released("MR1", &[&number.to_string(), "full"]));
        }
        let sender = tally.into_senders().remove(0);
        assert_eq!((sender.refused, sender.refusals.len()), (120, MAX_REFUSALS));
        let first = &sender.refusals[0];
        assert_eq!((&*first.error_comment, first.count), ("full", 60));
        assert_eq!(sender.refusals[1].error_comment, "29");
    }

    #[test]
    fn of_too_many_senders_the_latest_stay() {
        let mut tally = Tally::default();
        for number in 0..1010 {
            tally.count(at(number), &released(&format!("AE{number}"), &[]));
        }
        let senders = tally.into_senders();
        assert_eq!(senders.len(), MAX_SENDERS);
        assert_eq!(senders[0].calling_ae_title, "AE1009");
        assert_eq!(senders[MAX_SENDERS - 1].calling_ae_title, "AE10");
    }
}
