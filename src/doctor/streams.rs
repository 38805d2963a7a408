//! The streams: whether they are there, kept as the promises need them, how full they are, and whether
//! somebody reads them. And the clock that they go by.

use super::broker::Broker;
use super::finding::Finding;
use crate::pipeline::PipelineSettings;
use anyhow::Context as _;
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::{self, consumer};
use bytesize::ByteSize;
use jiff::Timestamp;
use shared::nats_version::OLDEST;
use shared::settings::StreamSettings;
use shared::stream::{self, DEAD, INSTANCES, Kept};
use std::time::Duration;

/// The share of its limit from which a stream is called full: the indexer trims from there on.
const FULL: f64 = 0.8;

/// The same, from which senders are refused any moment.
const OVERFLOWING: f64 = 0.98;

/// Events that may wait for the indexer without a word.
const BACKLOG: u64 = 10_000;

/// How far the clocks may be apart. A second is what a series settles in.
const APART: Duration = Duration::from_secs(1);

/// How often it is looked for somebody who reads, since a reader asks anew from time to time.
const LOOKS: u32 = 5;
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Looks at all of it.
pub(super) async fn examine(settings: &PipelineSettings, broker: &Broker) -> Vec<Finding> {
    let jetstream = jetstream::new(broker.client.clone());
    let kept = match stream::inspect(&jetstream).await {
        Ok(kept) => kept,
        Err(error) => {
            let advice = format!("see the log of nats-server, and that it is {OLDEST} or newer");
            return vec![Finding::trouble("streams", format!("{error:#}"), advice)];
        }
    };
    let mut findings = Vec::new();
    let missing: Vec<_> =
        kept.iter().filter(|(_, kept)| kept.is_none()).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        findings.push(Finding::warning(
            "streams",
            format!("not there: {}", missing.join(", ")),
            "start the pipeline, or start it again: it makes its streams",
        ));
    }
    let there: Vec<&Kept> = kept.iter().filter_map(|(_, kept)| kept.as_ref()).collect();
    findings.extend(there.iter().filter_map(|kept| changed(kept, &settings.streams)));
    findings.extend(there.iter().filter_map(|kept| behind(kept)));
    if findings.is_empty() {
        let sizes: Vec<_> = there.iter().map(|kept| size(kept)).collect();
        findings.push(Finding::ok("streams", sizes.join(", ")));
    }
    findings.extend(together(&there, broker));
    for kept in there {
        match kept.name.as_str() {
            INSTANCES => {
                findings.extend(fullness(kept));
                findings.extend(limit(settings, broker, kept));
                findings.push(reader(&jetstream).await.unwrap_or_else(|error| {
                    Finding::trouble("indexer", format!("{error:#}"), "see the log of nats-server")
                }));
                findings.push(clock(broker).await);
            }
            DEAD if kept.messages > 0 => findings.push(dead(kept.messages)),
            _ => {}
        }
    }
    findings
}

fn dead(letters: u64) -> Finding {
    let messages = if letters == 1 { "message" } else { "messages" };
    Finding::warning(
        "dead",
        format!("{letters} {messages} could not be processed"),
        "the dashboard and GET /dead-letters say why, and replay or drop them",
    )
}

fn size(kept: &Kept) -> String {
    let used = ByteSize(kept.bytes).display().iec();
    let size = match kept.max_bytes {
        Some(most) => {
            format!("{} has {used} of {}", kept.name, ByteSize(most).display().iec())
        }
        None => format!("{} has {used}", kept.name),
    };
    if kept.replicas == 1 {
        return size;
    }
    let leader = kept.leader.as_deref().unwrap_or("none");
    let followers: Vec<_> = kept.followers.iter().map(ToString::to_string).collect();
    let (replicas, followers) = (kept.replicas, followers.join(", "));
    format!("{size} on {replicas} servers (leader {leader}; {followers})")
}

/// Servers that do not have all of a stream: it is on fewer than it says.
fn behind(kept: &Kept) -> Option<Finding> {
    let behind = kept.followers.iter().filter(|follower| follower.is_behind);
    let behind: Vec<_> = behind.map(ToString::to_string).collect();
    let (name, replicas, count) = (&kept.name, kept.replicas, behind.len());
    let servers = behind.join(", ");
    let says =
        format!("{name}: {count} of its {replicas} replicas do not have all of it: {servers}");
    let advice = "see that these servers run and reach the others; they catch up by themselves";
    (count > 0).then(|| Finding::warning("replicas", says, advice))
}

/// Servers that seem to be on one machine.
fn together(kept: &[&Kept], broker: &Broker) -> Option<Finding> {
    let hosts = stream::shared_hosts(&broker.client);
    let is_together = !hosts.is_empty() && kept.iter().any(|kept| kept.replicas > 1);
    let says = format!("servers of NATS have the address {} in common", hosts.join(", "));
    let advice =
        "if they are on one machine, give each one of its own: replicas on one are lost together";
    is_together.then(|| Finding::warning("replicas", says, advice))
}

/// Settings that somebody changed.
fn changed(kept: &Kept, settings: &StreamSettings) -> Option<Finding> {
    let differs = kept.differs(settings);
    let advice = "start the pipeline again, which sets them";
    let says =
        || format!("{} is not kept as it should be, by its {}", kept.name, differs.join(", "));
    (!differs.is_empty()).then(|| Finding::trouble("streams", says(), advice))
}

fn fullness(kept: &Kept) -> Option<Finding> {
    let share = kept.bytes as f64 / kept.max_bytes? as f64;
    let advice = "see that the indexer runs and keeps up, then it is trimmed by itself; else raise \
                  INSTANCES_MAX_BYTES";
    let says = |word| format!("{}: {word}", size(kept));
    match share {
        _ if share >= OVERFLOWING => {
            Some(Finding::trouble("room", says("senders are refused"), advice))
        }
        _ if share >= FULL => Some(Finding::warning("room", says("it is nearly full"), advice)),
        _ => None,
    }
}

/// Whether it is as large as the settings say.
fn limit(settings: &PipelineSettings, broker: &Broker, kept: &Kept) -> Option<Finding> {
    let (wanted, most) = (settings.streams.instances_max_bytes, kept.max_bytes.unwrap_or_default());
    // The own server's stream is made smaller where its disk is, which is said under `disk`.
    let differs = wanted.0 != most && !(broker.is_own && most < wanted.0);
    let says = || {
        let most = ByteSize(most).display().iec();
        format!("INSTANCES may grow to {most}, INSTANCES_MAX_BYTES is {}", wanted.display().iec())
    };
    let advice = "give ingest and indexer the same setting, and start them again";
    differs.then(|| Finding::warning("room", says(), advice))
}

/// Whether the indexer reads, and how much waits for it.
async fn reader(jetstream: &jetstream::Context) -> anyhow::Result<Finding> {
    let stream = jetstream.get_stream(INSTANCES).await.context("asking for INSTANCES")?;
    let mut looked: Option<consumer::Info> = None;
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        let info = match stream.consumer_info(indexer::consumer::NAME).await {
            Ok(info) => info,
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => continue,
            // NATS says nothing to who has no right to ask.
            Err(_nothing_said) => {
                return Ok(Finding::warning(
                    "indexer",
                    "NATS does not say how far it is",
                    "ask as the user of the indexer, who has the right to know",
                ));
            }
        };
        let reads = info.num_waiting > 0;
        looked = Some(info);
        if reads {
            break;
        }
    }
    let start = "start the indexer, or `collimator`";
    let Some(info) = looked else {
        return Ok(Finding::warning("indexer", "no indexer has read INSTANCES yet", start));
    };
    let waiting = info.num_pending + info.num_ack_pending as u64;
    let reads = info.num_waiting > 0 || info.num_ack_pending > 0;
    Ok(match (reads, waiting) {
        (true, 0) => Finding::ok("indexer", "it has read everything"),
        (true, waiting) if waiting < BACKLOG => {
            Finding::ok("indexer", format!("it reads; {waiting} events wait"))
        }
        (true, waiting) => Finding::warning(
            "indexer",
            format!("{waiting} events wait for it"),
            "nothing is announced before they are read; if they do not get fewer, see its log",
        ),
        (false, 0) => Finding::warning("indexer", "nobody reads INSTANCES", start),
        (false, waiting) => Finding::trouble(
            "indexer",
            format!("nobody reads INSTANCES, where {waiting} events wait"),
            start,
        ),
    })
}

/// How far the broker's clock, which decides, is from ours.
async fn clock(broker: &Broker) -> Finding {
    let asked = Timestamp::now();
    let position = match stream::position(&broker.client).await {
        Ok(position) => position,
        Err(error) => {
            return Finding::trouble("clock", format!("{error:#}"), "see the log of nats-server");
        }
    };
    // It was that time there at some time between the question and the answer here.
    let (ahead, behind) =
        (position.now.duration_since(Timestamp::now()), asked.duration_since(position.now));
    let apart = Duration::try_from(ahead.max(behind)).unwrap_or_default();
    if apart < APART {
        return Finding::ok("clock", "the clock of NATS is the same as here");
    }
    let side = if ahead > behind { "ahead of" } else { "behind" };
    let apart = humantime::format_duration(Duration::from_secs(apart.as_secs()));
    Finding::warning(
        "clock",
        format!("the clock of NATS is {apart} {side} the one here"),
        "it decides when a series is complete; set both by NTP, and never put that one forward",
    )
}
