//! A PostgreSQL server that is killed while the indexer commits.

use crate::harness::database::Database;
use crate::harness::eventually;
use crate::harness::indexing::{Indexing, Published};
use crate::harness::pipeline::broker;
use crate::harness::tools::skip;
use async_nats::jetstream;
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use test_database::KillableServer;

/// Kills, unless the environment says how many.
const KILLS: u64 = 5;

/// Events that are published before each.
const EVENTS: u64 = 2000;

fn kills() -> u64 {
    std::env::var("COLLIMATOR_KILLS").map_or(KILLS, |kills| kills.parse().unwrap())
}

/// The announcements in SERIES, by their ids.
async fn announced(url: &str) -> BTreeMap<String, u32> {
    let jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
    let stream = jetstream.get_stream("SERIES").await.unwrap();
    let consumer =
        stream.create_consumer(jetstream::consumer::pull::OrderedConfig::default()).await.unwrap();
    let waiting = stream.cached_info().state.messages;
    let mut messages = consumer.messages().await.unwrap().take(waiting as usize);
    let mut ids = BTreeMap::new();
    while let Some(message) = messages.next().await {
        let message = message.unwrap();
        let id = message.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap();
        *ids.entry(id.to_string()).or_default() += 1;
    }
    ids
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_of_commits_loses_and_doubles_nothing() {
    let Some(mut server) = KillableServer::start() else {
        skip("PostgreSQL is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let nats = broker(folder.path()).await;
    let url = nats.url().to_string();
    let settings = [("QUIET_PERIOD", "1s"), ("SETTLE_PERIOD", "200ms")];
    let indexing = Indexing::start_on(Database::at(server.url()), &url, &settings).await;
    let (mut sent, mut series) = (0, 0);
    for kill in 0..kills() {
        let (scattered, whole) = (format!("2.25.8{kill:03}"), format!("2.25.7{kill:03}"));
        let mut one = Published::new(&whole, &whole);
        one.sends(&url, EVENTS / 2).await;
        one.releases(&url).await;
        let before = sent;
        sent += EVENTS / 2;
        series += 1;
        // In the middle of it, wherever that is by now.
        indexing.has_more_than(before).await;
        server.kill();
        let mut other = Published::new(&scattered, &scattered);
        other.sends(&url, EVENTS / 2).await;
        other.releases(&url).await;
        sent += EVENTS / 2;
        series += 1;
        server.start_again();
    }
    indexing.has(sent).await;
    let revisions = eventually("each series to be complete", async || {
        let revisions = indexing.revisions().await;
        (revisions.len() >= series).then_some(revisions)
    })
    .await;
    assert_eq!(revisions.len(), series, "each is complete once: {revisions:?}");
    for revision in &revisions {
        assert_eq!(revision["instances_count"], EVENTS / 2, "{revision}");
    }
    let ids = eventually("each to be announced", async || {
        let ids = announced(&url).await;
        let of_series = ids.keys().filter(|id| id.ends_with(":1")).count();
        (of_series >= series).then_some(ids)
    })
    .await;
    assert!(ids.values().all(|count| *count == 1), "announced once: {ids:?}");
    assert!(!indexing.printed().contains("ERROR"), "{}", indexing.printed());
}
