//! What nats-server keeps of a durable consumer is damaged while it is stopped.

use crate::harness::eventually;
use crate::harness::indexing::{Indexing, Published};
use crate::harness::store::Broker;
use std::fs;
use std::path::{Path, PathBuf};

/// A way to damage a file of some bytes.
type Damage = fn(&Path, Vec<u8>);

const DAMAGES: [(&str, Damage); 6] = [
    ("emptied", |file, _| fs::write(file, []).unwrap()),
    ("cut in half", |file, bytes| fs::write(file, &bytes[..bytes.len() / 2]).unwrap()),
    ("other bytes", |file, bytes| {
        let other: Vec<u8> = bytes.iter().map(|byte| byte.wrapping_mul(91) ^ 0xa5).collect();
        fs::write(file, other).unwrap();
    }),
    ("one byte changed", |file, mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(file, bytes).unwrap();
    }),
    ("removed", |file, _| fs::remove_file(file).unwrap()),
    ("a folder", |file, _| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    }),
];

/// Where nats-server keeps how far the indexer has read.
fn state_file(store: &Path) -> PathBuf {
    store.join("jetstream/$G/streams/INSTANCES/obs/indexer/o.dat")
}

/// Nothing of what is published before, during and after it is lost or counted twice.
async fn is_got_over(what: &str, damage: Damage, while_it_runs: bool) {
    let mut broker = Broker::start().await;
    let mut indexing = Indexing::start(&broker.url()).await;
    let mut sender = Published::new("one", "2.25.1");
    sender.sends(&broker.url(), 30).await;
    indexing.has(30).await;
    if !while_it_runs {
        indexing.kill();
        sender.sends(&broker.url(), 10).await;
    }
    broker
        .while_stopped(|store| {
            let file = state_file(store);
            damage(&file, fs::read(&file).unwrap());
        })
        .await;
    sender.sends(&broker.url(), 10).await;
    if !while_it_runs {
        indexing.start_again().await;
    }
    let all = if while_it_runs { 40 } else { 50 };
    indexing.has(all).await;
    sender.releases(&broker.url()).await;
    // While the broker was away, the series may have been complete with fewer.
    eventually(&format!("a completion with all of them, {what}"), async || {
        let rows = indexing.catalog().rows().await.ok()?;
        let counts = rows.iter().filter_map(|row| row.strip_prefix("revisions "));
        let counts = counts.map(|row| {
            let revision: serde_json::Value = serde_json::from_str(row).unwrap();
            revision["instances_count"].as_u64().unwrap()
        });
        let most = counts.max()?;
        assert!(most <= all, "{what}: {most} of {all}");
        (most == all).then_some(())
    })
    .await;
    assert!(indexing.losses().await.is_empty(), "{what}");
    indexing.is(200, "ready").await;
    // It goes on like that.
    broker.while_stopped(|_| {}).await;
    sender.sends(&broker.url(), 5).await;
    indexing.has(all + 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_of_the_consumer_is_got_over_while_the_indexer_runs() {
    for (what, damage) in DAMAGES {
        is_got_over(what, damage, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_of_the_consumer_is_got_over_when_the_indexer_starts() {
    for (what, damage) in DAMAGES {
        is_got_over(what, damage, false).await;
    }
}
