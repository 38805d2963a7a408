//! INSTANCES loses events that were acknowledged: its end, or some in the middle.

use crate::harness::eventually;
use crate::harness::indexing::{Indexing, Published};
use crate::harness::store::Broker;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The file with the last events of INSTANCES.
fn blocks(store: &Path) -> Vec<PathBuf> {
    let mut blocks = Vec::new();
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "blk")
                && path.components().any(|part| part.as_os_str() == "INSTANCES")
            {
                blocks.push(path);
            }
        }
    }
    let number = |path: &PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
    blocks.sort_by_key(number);
    blocks
}

/// What was catalogued of 10 + 20 instances, of which the stream lost the latter, with those that came after.
async fn after_an_older_store(
    broker: &mut Broker,
    indexing: &mut Indexing,
    while_it_runs: bool,
    later: u64,
) {
    let mut before = Published::new("before", "2.25.1");
    before.sends(&broker.url(), 10).await;
    indexing.has(10).await;
    let copy = broker.copies().await;
    let mut lost = Published::new("lost", "2.25.2");
    lost.sends(&broker.url(), 20).await;
    indexing.has(30).await;
    if !while_it_runs {
        indexing.kill();
    }
    broker.has_again(&copy).await;
    let mut after = Published::new("after", "2.25.3");
    after.sends(&broker.url(), later).await;
    if !while_it_runs {
        indexing.start_again().await;
    }
    indexing.has(30 + later).await;
    indexing.is(503, "has lost its end").await;
    let losses = indexing.losses().await;
    assert_eq!(losses.len(), 1, "{losses:?}");
    assert!(losses[0].events() >= 20, "{losses:?}");
    let log = indexing.printed();
    assert!(log.contains("no longer in INSTANCES"), "{log}");
    assert!(!log.contains("DEAD"), "{log}");
    // A restart takes notice of it.
    indexing.kill();
    indexing.start_again().await;
    indexing.is(200, "ready").await;
    indexing.has(30 + later).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_after_an_older_store_was_put_back_is_indexed() {
    for while_it_runs in [true, false] {
        // Less than was lost, and more, so that the stream ends before the bookmark or beyond it.
        for later in [5, 40] {
            let mut broker = Broker::start().await;
            let mut indexing = Indexing::start(&broker.url()).await;
            after_an_older_store(&mut broker, &mut indexing, while_it_runs, later).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_after_the_last_block_was_cut_short_is_indexed() {
    let mut broker = Broker::start().await;
    let indexing = Indexing::start(&broker.url()).await;
    let mut sender = Published::new("one", "2.25.1");
    sender.sends(&broker.url(), 50).await;
    indexing.has(50).await;
    let had = broker.last().await;
    broker
        .while_stopped(|store| {
            let last = blocks(store).pop().unwrap();
            let file = fs::OpenOptions::new().write(true).open(&last).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
            // What it remembers of the block is of before.
            let _ = fs::remove_file(last.with_file_name("index.db"));
        })
        .await;
    assert!(broker.last().await < had, "nothing was lost");
    sender.sends(&broker.url(), 90).await;
    indexing.has(140).await;
    indexing.is(503, "has lost its end").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_is_corrected_by_an_account_that_comes_after_it() {
    let broker = Broker::start().await;
    let mut indexing = Indexing::start(&broker.url()).await;
    let mut sender = Published::new("one", "2.25.1");
    sender.sends(&broker.url(), 3).await;
    indexing.has(3).await;
    indexing.kill();
    sender.sends(&broker.url(), 3).await;
    // Acknowledged, and gone before anybody has read them.
    let last = broker.last().await;
    broker.loses(last - 2..=last).await;
    indexing.start_again().await;
    let revisions = async |number: usize| {
        eventually("the revision", async || {
            let revisions = indexing.revisions().await;
            (revisions.len() == number).then_some(revisions)
        })
        .await
    };
    let first = revisions(1).await;
    assert_eq!(
        (&first[0]["instances_count"], &first[0]["expected_count"]),
        (&3.into(), &Value::Null)
    );

    sender.releases(&broker.url()).await;
    let second = &revisions(2).await[1];
    assert_eq!(second["instances_count"], 3, "{second}");
    assert_eq!(second["expected_count"], 6, "{second}");
    assert_eq!(second["instances_added"], 0, "{second}");
    let counted = "collimator_incomplete_completions_total 1";
    assert!(indexing.metrics().await.lines().any(|line| line == counted));
    assert!(indexing.printed().contains("acknowledged instances of the series are lost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_association_sent_twice_contradicts_nothing() {
    let broker = Broker::start().await;
    let mut indexing = Indexing::start(&broker.url()).await;
    indexing.kill();
    // An event was lost before, of another series.
    let mut before = Published::new("before", "2.25.3");
    before.sends(&broker.url(), 3).await;
    let lost = broker.last().await - 1;
    broker.loses(lost..=lost).await;
    before.releases(&broker.url()).await;
    indexing.start_again().await;
    indexing.is(503, "missing in INSTANCES").await;
    let mut sender = Published::new("one", "2.25.1");
    sender.sends(&broker.url(), 3).await;
    eventually("both completions", async || (indexing.revisions().await.len() == 2).then_some(()))
        .await;
    sender.sends_again(&broker.url(), 3).await;
    sender.releases(&broker.url()).await;
    // What comes after it is complete, and so it was read.
    let mut other = Published::new("other", "2.25.2");
    other.sends(&broker.url(), 1).await;
    other.releases(&broker.url()).await;
    let revisions = eventually("the other series", async || {
        let revisions = indexing.revisions().await;
        (revisions.len() == 3).then_some(revisions)
    })
    .await;
    assert!(revisions.iter().all(|revision| revision["revision"] == 1), "{revisions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_damaged_middle_block_had_is_said_to_be_missing() {
    let mut broker = Broker::start().await;
    let mut indexing = Indexing::start(&broker.url()).await;
    indexing.kill();
    let mut sender = Published::new("one", "2.25.1").padded(20_000);
    let mut sent = 0;
    while blocks(&broker.store()).len() < 4 {
        sender.sends(&broker.url(), 200).await;
        sent += 200;
    }
    sender.releases(&broker.url()).await;
    broker
        .while_stopped(|store| {
            let middle = &blocks(store)[1];
            let length = fs::metadata(middle).unwrap().len();
            fs::write(middle, vec![0; length as usize]).unwrap();
            let _ = fs::remove_file(middle.with_file_name("index.db"));
        })
        .await;
    indexing.start_again().await;
    indexing.is(503, "are missing in INSTANCES").await;
    let revision = eventually("the series", async || indexing.revisions().await.pop()).await;
    let count = revision["instances_count"].as_u64().unwrap();
    assert!(count < sent, "{revision}");
    assert_eq!(revision["expected_count"], sent, "{revision}");
    assert_eq!(revision["reason"], "quiet", "{revision}");
    let counted =
        format!("collimator_indexer_events_lost_total{{cause=\"missing\"}} {}", sent - count);
    assert!(indexing.metrics().await.lines().any(|line| line == counted), "{counted}");
}
