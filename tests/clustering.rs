//! Streams with three replicas on a cluster of three servers.

use crate::harness::cluster::Cluster;
use crate::harness::indexing::{Indexing, Published};
use crate::harness::pipeline::{
    COLLIMATOR, Process, address, broker, free_addr, service, test_settings,
};
use crate::harness::schemas::Schemas;
use crate::harness::scu::Scu;
use async_nats::jetstream;
use collimator::synthetic::SyntheticStudy;
use shared::health::Health;
use shared::settings::StreamSettings;
use shared::stream::ensure_streams_eventually;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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

/// A backlog that takes a while: of 51,000 in three parts.
const LARGE_BACKLOG: u64 = 17_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_backlog_is_indexed_while_a_follower_the_connected_server_and_the_leader_die() {
    let mut cluster = Cluster::start().await;
    let mut indexing = Indexing::start_with(&cluster.urls(), &[("STREAM_REPLICAS", "3")]).await;
    for stream in ["INSTANCES", "SERIES"] {
        cluster.has(stream, 3).await;
    }
    let mut sender = Published::new("one", "2.25.1");
    let (mut sent, mut alive) = (0, cluster.url(0));
    for dies in ["a follower", "the connected server", "the leader"] {
        indexing.kill();
        sender.sends(&alive, LARGE_BACKLOG).await;
        let leader = cluster.leader("INSTANCES").await;
        let connected = cluster.follower("INSTANCES").await;
        let victim = match dies {
            "the leader" => leader,
            "the connected server" => connected,
            _ => (0..3).find(|number| ![connected, leader].contains(number)).unwrap(),
        };
        // It connects to the first that it is told of, and to the others once that is dead.
        indexing.moves_to(&cluster.url(connected));
        indexing.start_again().await;
        // In the middle of it.
        indexing.has_more_than(sent).await;
        cluster.kill(victim);
        alive = cluster.other(victim);
        sent += LARGE_BACKLOG;
        indexing.has(sent).await;
        cluster.start_again(victim);
        cluster.has("INSTANCES", 3).await;
    }
    sender.releases(&alive).await;
    let series = crate::harness::eventually("the series to be complete", async || {
        let revisions = indexing.revisions().await;
        revisions.into_iter().find(|revision| revision["instances_count"] == sent)
    });
    assert_eq!(series.await["series_instance_uid"], "2.25.1");
}

/// What the doctor says of the streams on a broker.
fn doctor(url: &str, replicas: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(COLLIMATOR);
    command.arg("doctor").current_dir(folder.path());
    for addr in ["DICOM_ADDR", "API_ADDR", "NATS_ADDR"] {
        command.env(addr, free_addr().to_string());
    }
    let asked = command.env("NATS_URL", url).env("STREAM_REPLICAS", replicas).output().unwrap();
    String::from_utf8(asked.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_kept_on_as_many_servers_as_is_said() {
    let mut cluster = Cluster::start().await;
    let streams = ["INSTANCES", "SERIES", "DEAD", "AUDIT"];
    let mut indexing = Indexing::start_with(&cluster.url(0), &[("STREAM_REPLICAS", "3")]).await;
    for stream in streams {
        cluster.has(stream, 3).await;
    }
    let told = doctor(&cluster.url(0), "3");
    assert!(told.contains("SERIES has 0 B on 3 servers (leader server"), "{told}");
    // They are three processes on one machine.
    assert!(told.contains("servers of NATS have the address 127.0.0.1 in common"), "{told}");

    // Whoever says nothing leaves them, and whoever says less has less.
    for (setting, replicas) in [(None, 3), (Some("1"), 1), (Some("3"), 3)] {
        indexing.kill();
        indexing.set("STREAM_REPLICAS", setting);
        indexing.start_again().await;
        for stream in streams {
            cluster.has(stream, replicas).await;
        }
    }

    let dead = cluster.follower("INSTANCES").await;
    cluster.kill(dead);
    let told = crate::harness::eventually("the doctor to see that", async || {
        let told = doctor(&cluster.other(dead), "3");
        told.contains("1 of its 3 replicas do not have all of it").then_some(told)
    });
    let told = told.await;
    assert!(told.contains(&format!("server{dead}")), "{told}");
}

#[tokio::test]
async fn more_replicas_than_there_are_servers_are_refused_by_a_line_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (alone, cluster) = (broker(&folder.path().join("nats")).await, Cluster::start().await);
    for (url, replicas) in [(alone.url().to_string(), "3"), (cluster.url(0), "5")] {
        let mut settings = test_settings(folder.path());
        let catalogue = folder.path().join(format!("{replicas}.db"));
        settings.extend([
            ("NATS_URL", url),
            ("DATABASE_URL", format!("sqlite://{}", catalogue.display())),
            ("STREAM_REPLICAS", replicas.to_owned()),
        ]);
        let mut indexer = Process::start(&service("indexer").await, folder.path(), &settings);
        assert_eq!(indexer.ended().await, Some(1), "{}", indexer.printed());
        let line = "STREAM_REPLICAS is more than NATS has servers that can take the stream";
        assert!(indexer.printed().contains(line), "{}", indexer.printed());
    }
}

/// Services that start at the same time.
const STARTING: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_several_services_make_at_the_same_time_are_made() {
    let cluster = Cluster::start().await;
    let settings = StreamSettings { stream_replicas: Some(3), ..StreamSettings::default() };
    let mut making = JoinSet::new();
    for number in 0..STARTING {
        let client = async_nats::connect(cluster.url(number % 3)).await.unwrap();
        let (jetstream, settings) = (jetstream::new(client), settings.clone());
        making.spawn(async move {
            let (part, stop) = (Health::default().part("streams"), CancellationToken::new());
            ensure_streams_eventually(&jetstream, &settings, &part, &stop).await
        });
    }
    for made in making.join_all().await {
        assert!(made.unwrap());
    }
    for stream in ["INSTANCES", "SERIES", "DEAD", "AUDIT"] {
        cluster.has(stream, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sender_is_refused_while_one_server_after_the_other_dies() {
    let mut cluster = Cluster::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = test_settings(folder.path());
    let catalogue = folder.path().join("catalog.db");
    settings.extend([
        ("NATS_URL", cluster.urls()),
        ("DATABASE_URL", format!("sqlite://{}", catalogue.display())),
        ("STREAM_REPLICAS", "3".to_owned()),
        // On a machine that is busy with other tests an election can take longer than by default.
        ("PUBLISH_TIMEOUT", "50s".to_owned()),
    ]);
    let start = async |name| Process::start(&service(name).await, folder.path(), &settings);
    let (mut indexer, mut ingest) = (start("indexer").await, start("ingest").await);
    let mut api = start("api").await;
    let dicom = ingest.says("where it receives", |line| address(line, "ingest listens")).await;
    let api = api.says("where it is", |line| address(line, "api listens")).await;
    indexer.indexes().await;

    let study = SyntheticStudy::new().series("MR", 20_000).size(8, 8);
    let uid = study.series_instance_uids().remove(0);
    let is_over = Arc::new(AtomicBool::new(false));
    let images = study.instances().unwrap();
    let sending = tokio::spawn({
        let is_over = is_over.clone();
        async move {
            let mut scu = Scu::for_mr(dicom).await;
            let mut sent = 0;
            for image in &images {
                // Each has to be answered with Success.
                scu.stores(image).await;
                sent += 1;
                // So that there are enough for all that is to come.
                tokio::time::sleep(Duration::from_millis(5)).await;
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
            scu.release().await;
            sent
        }
    });
    for stream in ["INSTANCES", "SERIES"] {
        cluster.has(stream, 3).await;
    }
    // The leader, whoever leads then, and one that does not: among them the one that each is connected to.
    for leads in [true, true, false] {
        let victim = match leads {
            true => cluster.leader("INSTANCES").await,
            false => cluster.follower("INSTANCES").await,
        };
        cluster.kill(victim);
        cluster.still_stores(victim).await;
        cluster.start_again(victim);
        cluster.has("INSTANCES", 3).await;
    }
    is_over.store(true, Ordering::Relaxed);
    let sent: u64 = sending.await.unwrap();
    let series = format!("http://{api}/series/{uid}");
    crate::harness::eventually("the series to be complete and whole", async || {
        let series: serde_json::Value = reqwest::get(&series).await.ok()?.json().await.ok()?;
        let is_complete = series["State"] == "complete" && series["InstancesCount"] == sent;
        is_complete.then_some(())
    })
    .await;
    assert!(!ingest.printed().contains("NATS stores no events"), "{}", ingest.printed());
}

/// How often a leader is cut off: as often as you like by COLLIMATOR_PARTITIONS.
fn rounds() -> u64 {
    std::env::var("COLLIMATOR_PARTITIONS").map_or(2, |rounds| rounds.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_decides_nothing() {
    let cluster = Cluster::start().await;
    let replicated = [("STREAM_REPLICAS", "3"), ("QUIET_PERIOD", "2s")];
    let mut indexing = Indexing::start_with(&cluster.url(0), &replicated).await;
    for round in 1..=rounds() {
        for stream in ["INSTANCES", "SERIES"] {
            cluster.has(stream, 3).await;
        }
        let leader = cluster.leader("INSTANCES").await;
        indexing.kill();
        indexing.moves_to(&cluster.url(leader));
        indexing.start_again().await;
        let series = format!("2.25.{round}");
        let mut sender = Published::new(&format!("association {round}"), &series);
        sender.sends(&cluster.url(leader), 17).await;
        indexing.has(27 * (round - 1) + 17).await;

        // The indexer speaks to the one that was the leader, and the sender to the others.
        cluster.isolate(leader);
        for _ in 0..10 {
            sender.sends_eventually(&cluster.other(leader)).await;
        }
        // It still says that it leads, and of a stream that has ended before.
        let ends = async |url: String| {
            let client = async_nats::connect(url).await.unwrap();
            shared::stream::position(&client).await.unwrap().last
        };
        assert!(ends(cluster.url(leader)).await + 10 <= ends(cluster.other(leader)).await);
        cluster.rejoin(leader);
        let revisions = crate::harness::eventually("the series to be complete", async || {
            let revisions = indexing.revisions().await;
            let of_series: Vec<_> = revisions
                .into_iter()
                .filter(|revision| revision["series_instance_uid"] == series.as_str())
                .collect();
            let counted = of_series.last()?["instances_count"].as_u64()?;
            (counted == 27).then_some(of_series)
        })
        .await;
        let instances =
            cluster.stored_at("INSTANCES", |s| s.ends_with(&format!(".{series}"))).await;
        let ticks = cluster.stored_at("INSTANCES", |s| s.starts_with("dicom.clock.")).await;
        for revision in &revisions {
            // The time came through the stream, and all that was stored by then was counted. (Under load
            // the quiet period can be over before the leader is cut off.)
            let completed_at = revision["completed_at"].as_i64().unwrap();
            assert!(ticks.contains(&completed_at), "{revision}");
            let by_then = instances.iter().filter(|at| **at <= completed_at).count();
            assert_eq!(revision["instances_count"], by_then, "{revision} of {revisions:?}");
        }
    }
    let tick = cluster.last("INSTANCES", "dicom.clock.*").await;
    assert_eq!(Schemas::read().hold(&tick), "dicom.clock");
}
