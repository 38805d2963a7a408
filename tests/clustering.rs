//! Streams with three replicas on a cluster of three servers.

use crate::harness::cluster::Cluster;
use crate::harness::indexing::{Indexing, Published};

/// Enough for many requests, of which each may be overtaken by its end.
const BACKLOG: u64 = 4800;

#[tokio::test(flavor = "multi_thread")]
async fn all_is_indexed_of_replicated_streams_though_the_connected_follower_is_killed() {
    let mut cluster = Cluster::start().await;
    // It makes the streams and goes.
    let mut indexing = Indexing::start(&cluster.url(0)).await;
    indexing.kill();
    for stream in ["INSTANCES", "SERIES"] {
        cluster.replicates(stream).await;
    }
    let mut sender = Published::new("one", "2.25.1");
    sender.sends(&cluster.url(0), BACKLOG).await;

    let follower = cluster.follower("INSTANCES").await;
    indexing.moves_to(&cluster.url(follower));
    indexing.start_again().await;
    indexing.has(BACKLOG).await;
    let log = indexing.printed();
    assert!(!log.contains("indexing stopped"), "{log}");

    sender.sends(&cluster.other(follower), BACKLOG / 4).await;
    cluster.kill(follower);
    sender.sends(&cluster.other(follower), BACKLOG / 4).await;
    indexing.has(BACKLOG * 3 / 2).await;
    sender.releases(&cluster.other(follower)).await;
    indexing.is(200, "ready").await;
}
