//! A PostgreSQL server that is killed while the indexer commits.

use crate::harness::database::Database;
use crate::harness::eventually;
use crate::harness::indexing::{Indexing, Published};
use crate::harness::pipeline::{broker, events};
use crate::harness::tools::skip;
use std::collections::BTreeSet;
use test_database::KillableServer;

/// Kills, unless the environment says how many.
const KILLS: u64 = 5;

/// Events that are published before each.
const EVENTS: u64 = 2000;

fn kills() -> u64 {
    std::env::var("COLLIMATOR_KILLS").map_or(KILLS, |kills| kills.parse().unwrap())
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_of_commits_loses_and_doubles_nothing() {
    let Some(mut server) = KillableServer::start() else {
        skip("PostgreSQL is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let url = broker.url().to_string();
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
    let nats = async_nats::connect(&url).await.unwrap();
    let announced = eventually("each to be announced", async || {
        let announced = events(&nats, "SERIES").await;
        (announced.len() >= series).then_some(announced)
    })
    .await;
    let ids: BTreeSet<_> =
        announced.iter().map(|event| event.headers.get("Nats-Msg-Id").unwrap().as_str()).collect();
    assert!(ids.iter().all(|id| id.ends_with(":1")), "{ids:?}");
    assert_eq!((announced.len(), ids.len()), (series, series), "each is announced once: {ids:?}");
    assert!(!indexing.printed().contains("ERROR"), "{}", indexing.printed());
}
