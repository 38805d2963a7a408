//! `publish`: how fast the broker alone takes events, one by one and in atomic batches. Whatever
//! receives with one event for each instance is no faster.

use crate::broker::{Broker, Sync};
use crate::events::Backlog;
use crate::lab::Lab;
use crate::table::{Table, median, number};
use anyhow::{Context as _, bail};
use async_nats::HeaderMap;
use async_nats::jetstream;
use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream as futures};
use serde_json::Value;
use std::time::Instant;
use uuid::Uuid;

/// How many publishes wait for their acknowledgement at one time: as many as there are associations.
const IN_FLIGHT: [usize; 4] = [1, 4, 16, 64];

/// Messages of one atomic batch. Associations that wait for each other's instances would fill one.
const BATCHES: [usize; 3] = [4, 16, 64];

/// A subject of the stream.
pub(crate) const SUBJECT: &str = "bench.publish";

#[derive(Debug, Args)]
pub(crate) struct PublishSettings {
    /// Events of each measurement
    #[arg(long, default_value_t = 4096)]
    events: usize,
    /// Rounds of each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// 128 events, once
    #[arg(long)]
    small: bool,
}

/// Measures and prints.
pub(crate) async fn run(settings: &PublishSettings) -> anyhow::Result<bool> {
    let lab = Lab::enter().await?;
    let (events, rounds) = match settings.small {
        true => (128, 1),
        false => (settings.events, settings.rounds),
    };
    let event = event()?;
    let mut table = Table::new(["events at a time", "each synced, per s", "not synced, per s"]);
    for at_once in IN_FLIGHT {
        let name = format!("{at_once} in flight");
        let rates =
            rates(&lab, rounds, async |broker| one_by_one(broker, &event, events, at_once).await);
        let [synced, not] = rates.await?;
        table.row([name, number(synced), number(not)]);
    }
    for size in BATCHES {
        let name = format!("an atomic batch of {size}");
        let rates = rates(&lab, rounds, async |broker| batches(broker, &event, events, size).await);
        let [synced, not] = rates.await?;
        table.row([name, number(synced), number(not)]);
    }
    println!("events of {} bytes; median of {rounds}\n\n{}", event.len(), table.text());
    Ok(true)
}

/// Makes the stream that is published to.
pub(crate) async fn stream(broker: &Broker) -> anyhow::Result<jetstream::Context> {
    let jetstream = jetstream::new(async_nats::connect(&broker.url).await?);
    let config = serde_json::json!({
        "name": "BENCH", "subjects": [SUBJECT], "storage": "file", "num_replicas": 1,
        "retention": "limits", "discard": "new", "allow_atomic": true,
    });
    let made: Value = jetstream.request("STREAM.CREATE.BENCH", &config).await?;
    if let Some(error) = made.get("error") {
        bail!("the stream: {error}");
    }
    Ok(jetstream)
}

/// An event as receivers publish them.
pub(crate) fn event() -> anyhow::Result<Bytes> {
    let mut events = Backlog { instances: 1, series: 1, interleaved: 1 }.events()?;
    let event = events.next().context("no event")??;
    Ok(serde_json::to_vec(&event)?.into())
}

/// Events a second, with and without a sync: the medians of some rounds, each with a store of its own.
async fn rates(
    lab: &Lab,
    rounds: u32,
    measure: impl AsyncFn(&jetstream::Context) -> anyhow::Result<f64>,
) -> anyhow::Result<[f64; 2]> {
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (sync, rates) in [Sync::Always, Sync::Sometimes].into_iter().zip(&mut rates) {
            let folder = lab.folder()?;
            let broker = Broker::start(&lab.nats_server, folder.path(), sync).await?;
            rates.push(measure(&stream(&broker).await?).await?);
        }
    }
    Ok(rates.map(median))
}

async fn one_by_one(
    jetstream: &jetstream::Context,
    event: &Bytes,
    events: usize,
    at_once: usize,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    futures::iter(0..events)
        .map(|_| async {
            jetstream.publish(SUBJECT, event.clone()).await?.await?;
            anyhow::Ok(())
        })
        .buffer_unordered(at_once)
        .try_collect::<()>()
        .await?;
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

async fn batches(
    jetstream: &jetstream::Context,
    event: &Bytes,
    events: usize,
    size: usize,
) -> anyhow::Result<f64> {
    let nats = jetstream.client();
    let (began, batches) = (Instant::now(), events / size);
    for _ in 0..batches {
        let batch = Uuid::new_v4().to_string();
        for place in 1..=size {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Batch-Id", batch.as_str());
            headers.insert("Nats-Batch-Sequence", place.to_string());
            if place < size {
                nats.publish_with_headers(SUBJECT, headers, event.clone()).await?;
                continue;
            }
            headers.insert("Nats-Batch-Commit", "1");
            let answer = nats.request_with_headers(SUBJECT, headers, event.clone()).await?;
            let answer: Value = serde_json::from_slice(&answer.payload)?;
            if let Some(error) = answer.get("error") {
                bail!("a batch: {error}");
            }
        }
    }
    Ok((batches * size) as f64 / began.elapsed().as_secs_f64())
}
