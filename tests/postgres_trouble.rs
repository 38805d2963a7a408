//! A PostgreSQL server that is killed while the indexer commits.

use crate::harness::database::Database;
use crate::harness::indexing::{Indexing, Published};
use crate::harness::pipeline::broker;
use crate::harness::tools::skip;
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
    indexing.completes_each_once(series, EVENTS / 2).await;
    assert!(!indexing.printed().contains("ERROR"), "{}", indexing.printed());
}
