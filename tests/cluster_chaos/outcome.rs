//! What became of all that was sent: every instance is there once, every series is announced, and every announcement
//! says what was stored by then.

use super::deployment::Deployment;
use super::load::Sent;
use crate::harness::{DEADLINE, LOOK_EVERY};
use contract::event::{InstanceStored, SeriesCompleted};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;
use tokio::time::sleep;

/// How long the last announcements may take.
const LIMIT: std::time::Duration = DEADLINE.saturating_mul(2);

/// What is found in the end.
pub struct Outcome {
    /// How many instances were sent.
    pub instances: usize,
    /// When the series were announced, in order.
    pub announced_at: Vec<Timestamp>,
    /// What is wrong: a line for each.
    pub faults: Vec<String>,
}

/// An instance in the stream.
struct Stored {
    sequence: u64,
    at: Timestamp,
    sop: String,
}

/// An announcement in the stream.
struct Announced {
    at: Timestamp,
    id: String,
    completion: SeriesCompleted,
}

impl Outcome {
    /// Waits until everything is announced that was sent, and looks at all of it.
    pub async fn of(deployment: &Deployment, sent: &[Sent]) -> Self {
        let announced = announced(deployment, sent).await;
        let stored = stored(deployment).await;
        let catalogue = deployment.database().reader().rows().await.unwrap();
        let catalogue: Vec<(&str, Value)> = catalogue
            .iter()
            .filter_map(|row| row.split_once(' '))
            .filter(|(table, _)| ["instances", "revisions"].contains(table))
            .map(|(table, row)| (table, serde_json::from_str(row).unwrap()))
            .collect();
        let of = |table: &'static str| {
            catalogue.iter().filter(move |(of, _)| *of == table).map(|(_, row)| row)
        };
        let mut faults = Vec::new();
        faults.extend(lost_and_doubled(sent, of("instances")));
        faults.extend(unannounced(sent, &announced));
        faults.extend(announced_twice(&announced));
        faults.extend(wrong_counts(&stored, &announced));
        faults.extend(other_than_the_catalogue(of("revisions"), &announced));
        let dead = deployment.cluster.messages("DEAD").await;
        faults.extend(dead.iter().map(|message| format!("unreadable: {}", message.subject)));
        faults.extend(unlisted(deployment, sent).await);
        let instances = sent.iter().map(|sent| sent.instances.len()).sum();
        let announced_at = announced.iter().map(|announced| announced.at).collect();
        Self { instances, announced_at, faults }
    }
}

/// All announcements, once there is one of each series that has all of it.
async fn announced(deployment: &Deployment, sent: &[Sent]) -> Vec<Announced> {
    let began = Instant::now();
    loop {
        let mut messages = deployment.cluster.messages("SERIES").await;
        messages.retain(|message| message.subject.starts_with("dicom.series.completed."));
        let announced: Vec<_> = messages
            .iter()
            .map(|message| Announced {
                at: Timestamp::from_nanosecond(message.time.unix_timestamp_nanos()).unwrap(),
                id: message.headers.get("Nats-Msg-Id").unwrap().to_string(),
                completion: serde_json::from_slice(&message.payload).unwrap(),
            })
            .collect();
        // What is missing after that is counted.
        if unannounced(sent, &announced).is_empty() || began.elapsed() > LIMIT {
            return announced;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The instances in the stream, by series.
async fn stored(deployment: &Deployment) -> BTreeMap<String, Vec<Stored>> {
    let mut stored = BTreeMap::<String, Vec<Stored>>::new();
    for message in deployment.cluster.messages("INSTANCES").await {
        if message.subject.starts_with("dicom.instance.stored.") {
            let event: InstanceStored = serde_json::from_slice(&message.payload).unwrap();
            let at = Timestamp::from_nanosecond(message.time.unix_timestamp_nanos()).unwrap();
            let (sequence, sop) = (message.sequence, event.sop_instance_uid.to_string());
            let series = event.series_instance_uid.to_string();
            stored.entry(series).or_default().push(Stored { sequence, at, sop });
        }
    }
    stored
}

fn lost_and_doubled<'a>(sent: &[Sent], rows: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut faults = Vec::new();
    for row in rows {
        let sop = row["sop_instance_uid"].as_str().unwrap();
        if !seen.insert(sop) {
            faults.push(format!("doubled: two rows of {sop}"));
        }
    }
    let sent: HashSet<_> = sent.iter().flat_map(|sent| &sent.instances).collect();
    let lost = sent.iter().filter(|sop| !seen.contains(sop.as_str()));
    faults.extend(lost.map(|sop| format!("lost: {sop} was answered with Success")));
    faults
}

fn unannounced(sent: &[Sent], announced: &[Announced]) -> Vec<String> {
    let whole = announced.iter().map(|announced| &announced.completion);
    let whole: BTreeSet<_> =
        whole.map(|it| (it.series_instance_uid.as_str(), it.instances_count)).collect();
    let missing =
        sent.iter().filter(|sent| !whole.contains(&(&sent.series, sent.instances.len() as u64)));
    missing.map(|sent| format!("unannounced: all of {}", sent.series)).collect()
}

fn announced_twice(announced: &[Announced]) -> Vec<String> {
    let (mut ids, mut revisions) = (HashSet::new(), BTreeMap::<_, Vec<_>>::new());
    let mut faults = Vec::new();
    for Announced { id, completion, .. } in announced {
        if !ids.insert(id) {
            faults.push(format!("doubled: {id} was published twice"));
        }
        revisions
            .entry(completion.series_instance_uid.as_str())
            .or_default()
            .push(completion.revision);
    }
    for (series, mut of_series) in revisions {
        of_series.sort_unstable();
        let expected: Vec<_> = (1..=of_series.len() as u32).collect();
        if of_series != expected {
            faults.push(format!("doubled or unannounced: {series} has revisions {of_series:?}"));
        }
    }
    faults
}

/// Each announcement counts what the stream has up to its sequence, and no less than was stored by its time.
fn wrong_counts(stored: &BTreeMap<String, Vec<Stored>>, announced: &[Announced]) -> Vec<String> {
    let mut faults = Vec::new();
    for Announced { id, completion, .. } in announced {
        let none = Vec::new();
        let of_series = stored.get(completion.series_instance_uid.as_str()).unwrap_or(&none);
        let count = |such: &dyn Fn(&&Stored) -> bool| {
            let such: HashSet<_> = of_series.iter().filter(such).map(|it| &it.sop).collect();
            such.len() as u64
        };
        let (counted, sequence) = (completion.instances_count, completion.instances_sequence);
        let read = count(&|it| sequence.is_none_or(|sequence| it.sequence <= sequence));
        if counted != read {
            faults.push(format!("wrong count: {id} has {counted} of {read} up to {sequence:?}"));
        }
        let by_then = count(&|it| it.at <= completion.completed_at);
        if counted < by_then {
            faults.push(format!("too early: {id} has {counted} of {by_then}"));
        }
    }
    faults
}

/// What the catalogue has decided was announced, and nothing else.
fn other_than_the_catalogue<'a>(
    rows: impl Iterator<Item = &'a Value>,
    announced: &[Announced],
) -> Vec<String> {
    let decided: BTreeSet<_> = rows
        .map(|row| {
            let number = |key: &str| row[key].as_u64().unwrap();
            let series = row["series_instance_uid"].as_str().unwrap().to_owned();
            (series, number("revision"), number("instances_count"))
        })
        .collect();
    let announced: BTreeSet<_> = announced
        .iter()
        .map(|Announced { completion, .. }| {
            let series = completion.series_instance_uid.to_string();
            (series, u64::from(completion.revision), completion.instances_count)
        })
        .collect();
    let only = |one: &BTreeSet<_>, other: &BTreeSet<_>, what: &str| {
        let only = one.difference(other).map(|it| format!("{what}: {it:?}"));
        only.collect::<Vec<_>>()
    };
    let mut faults = only(&decided, &announced, "decided and not announced");
    faults.extend(only(&announced, &decided, "announced, and not in the catalogue"));
    faults
}

/// Each API lists every series with all that it has.
async fn unlisted(deployment: &Deployment, sent: &[Sent]) -> Vec<String> {
    let mut faults = Vec::new();
    for api in deployment.apis() {
        let listed = reqwest::get(format!("{api}/series")).await.unwrap();
        let listed: Vec<Value> = listed.json().await.unwrap();
        let listed: BTreeSet<_> = listed
            .iter()
            .map(|it| (it["SeriesInstanceUID"].as_str().unwrap(), it["InstancesCount"].as_u64()))
            .collect();
        let unlisted = sent.iter().filter(|sent| {
            !listed.contains(&(sent.series.as_str(), Some(sent.instances.len() as u64)))
        });
        faults.extend(unlisted.map(|sent| format!("{api} does not list all of {}", sent.series)));
    }
    faults
}
