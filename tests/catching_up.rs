//! An indexer that was away: killed, stopped, or standing by.

use crate::harness::indexing::{Indexing, Published};
use crate::harness::pipeline::broker;
use crate::harness::{Collimator, Services, eventually};
use collimator::synthetic::SyntheticStudy;
use std::time::Instant;

#[tokio::test]
async fn an_indexer_that_is_killed_in_the_middle_of_a_send_loses_and_doubles_nothing() {
    let mut services =
        Services::start_with(&[("QUIET_PERIOD", "3s"), ("SETTLE_PERIOD", "3s")]).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 60).series("CT", 60);
    let paths = study.write_to(folder.path()).unwrap();
    for (round, paths) in paths.chunks(20).enumerate() {
        services.receives(paths.to_vec()).await;
        // At different moments of reading, committing and acknowledging.
        services.indexer.kill();
        if round % 2 == 0 {
            services.start_indexer().await;
        }
    }
    services.start_indexer().await;
    for uid in study.series_instance_uids() {
        let listed = services.lists(&uid, 60).await;
        assert_eq!(listed["Revision"], 1);
    }
    assert_eq!(services.completions().await.len(), 2);
    assert!(services.events("DEAD").await.is_empty());
}

#[tokio::test]
async fn nothing_is_announced_while_instances_wait_unread() {
    let mut services = Services::start_with(&[]).await;
    services.indexer.kill();
    // Sent in two halves with a pause that is longer than the quiet period, by the broker's clock.
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 10).series("CT", 10);
    let paths = study.write_to(folder.path()).unwrap();
    let (first, second) =
        paths.iter().cloned().enumerate().partition::<Vec<_>, _>(|p| p.0 % 2 == 0);
    services.receives(first.into_iter().map(|p| p.1).collect()).await;
    let paused = shared::stream::position(&services.nats).await.unwrap().now;
    eventually("a pause longer than the quiet period", async || {
        let now = shared::stream::position(&services.nats).await.unwrap().now;
        (now.duration_since(paused).as_secs() >= 2).then_some(())
    })
    .await;
    services.receives(second.into_iter().map(|p| p.1).collect()).await;

    services.start_indexer().await;
    for uid in study.series_instance_uids() {
        assert_eq!(services.lists(&uid, 10).await["Revision"], 1);
    }
    let values: Vec<_> = services.completions().await.iter().map(|c| c.instances_count).collect();
    assert_eq!(values, [10, 10]);
}

#[tokio::test]
async fn series_that_are_due_at_once_are_completed_in_steps_between_which_others_may_write() {
    const SERIES: u64 = 3000;
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let url = broker.url().to_string();
    let mut indexing = Indexing::start(&url).await;
    indexing.kill();
    // All are due as soon as they are read.
    Published::new("one", "2.25.1").scatters(&url, SERIES).await;
    indexing.start_again().await;
    let catalog = indexing.catalog();
    let mut steps = std::collections::BTreeSet::new();
    eventually("the completion of all", async || {
        steps.insert(catalog.statistics().await.ok()?.complete);
        steps.contains(&SERIES).then_some(())
    })
    .await;
    assert!(steps.iter().any(|complete| (1..SERIES).contains(complete)), "{steps:?}");
}

#[tokio::test]
async fn a_series_that_was_open_at_the_kill_is_completed_after_the_restart() {
    let mut services =
        Services::start_with(&[("QUIET_PERIOD", "5s"), ("SETTLE_PERIOD", "5s")]).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3);
    services.receives(study.write_to(folder.path()).unwrap()).await;
    services.indexer.kill();
    services.start_indexer().await;
    services.lists(&study.series_instance_uids()[0], 3).await;
    assert_eq!(services.completions().await.len(), 1);
}

#[tokio::test]
async fn a_second_indexer_stands_by_and_takes_over() {
    let mut services = Services::start_with(&[]).await;
    let mut second = services.another_indexer().await;
    second.stands_by().await;
    services.indexer.kill();
    second.indexes().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3);
    services.receives(study.write_to(folder.path()).unwrap()).await;
    services.lists(&study.series_instance_uids()[0], 3).await;
}

#[tokio::test]
async fn an_event_that_can_not_be_read_becomes_a_dead_letter_and_the_rest_goes_on() {
    let services = Services::start_with(&[]).await;
    let jetstream = async_nats::jetstream::new(services.nats.clone());
    let mut sequences = Vec::new();
    for (subject, payload) in [
        ("dicom.instance.stored.07.MR.1.2.3", r#"{"PatientName":"Roe^Jane","#),
        ("dicom.instance.stored.07.MR.1.2.3", r#"{"SeriesInstanceUID":"1.2.3"}"#),
        ("dicom.instance.stored.xx", "{}"),
    ] {
        let stored = jetstream.publish(subject, payload.into()).await.unwrap().await.unwrap();
        sequences.push(stored.sequence.to_string());
    }
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3);
    services.receives(study.write_to(folder.path()).unwrap()).await;
    services.lists(&study.series_instance_uids()[0], 3).await;

    let dead = services.events("DEAD").await;
    let subjects: Vec<_> = dead.iter().map(|letter| letter.subject.as_str()).collect();
    assert_eq!(
        subjects,
        ["dicom.dead.unreadable", "dicom.dead.unreadable", "dicom.dead.unknown_subject"]
    );
    assert_eq!(dead[0].payload, r#"{"PatientName":"Roe^Jane","#);
    let header = |name| dead[0].headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(header("Collimator-Subject"), "dicom.instance.stored.07.MR.1.2.3");
    assert_eq!(header("Collimator-Sequence"), sequences[0]);
    assert!(!services.indexer.printed().contains("Roe"), "a patient in the log");
}

#[tokio::test]
async fn the_last_event_that_somebody_deleted_unread_is_not_waited_for() {
    let mut services = Services::start_with(&[]).await;
    services.indexer.kill();
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    services.receives(study.write_to(folder.path()).unwrap()).await;
    // Said after the sender has gone.
    let released = eventually("the end of the association", async || {
        let last = services.events("INSTANCES").await.pop()?;
        last.subject.starts_with("dicom.association.released").then_some(last.sequence)
    })
    .await;
    let jetstream = async_nats::jetstream::new(services.nats.clone());
    jetstream.get_stream("INSTANCES").await.unwrap().delete_message(released).await.unwrap();
    services.start_indexer().await;
    let listed = services.lists(&study.series_instance_uids()[0], 3).await;
    assert_eq!(listed["Reason"], "quiet");
}

#[tokio::test]
async fn instances_that_come_one_by_one_are_committed_together() {
    // Nothing is due meanwhile, for which reading would hurry.
    let settings = [("QUIET_PERIOD", "1h"), ("SETTLE_PERIOD", "1h")];
    let collimator = Collimator::start_with(&settings).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 400).size(16, 16);
    let paths = study.write_to(folder.path()).unwrap();
    // How many events were committed, and in how many transactions.
    let values = async |what: &str| {
        let (metrics, name) =
            (collimator.metrics().await, format!("collimator_batch_events_{what} "));
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        value.parse::<f64>().unwrap()
    };
    let (committed, commits, began) = (values("sum").await, values("count").await, Instant::now());
    collimator.receives(paths).await;
    eventually("all instances in the catalogue", async || {
        (values("sum").await - committed >= 400.0).then_some(())
    })
    .await;
    // The first at once, and then at most one in 50 ms.
    let most = 2.0 + began.elapsed().as_secs_f64() / 0.05;
    let commits = values("count").await - commits;
    assert!(commits <= most, "{commits} commits, {most} at the most");
}

#[tokio::test]
async fn a_backlog_of_several_batches_is_read_without_a_stop() {
    let mut services = Services::start_with(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    services.receives(study.write_to(folder.path()).unwrap()).await;
    let [uid] = study.series_instance_uids().try_into().unwrap();
    services.lists(&uid, 3).await;
    services.indexer.kill();
    let event = services.stored().await.remove(0);
    let mut another: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
    for number in 1..=4500 {
        another["SOPInstanceUID"] = format!("2.25.{number}").into();
        let payload = another.to_string().into();
        services.nats.publish(event.subject.clone(), payload).await.unwrap();
    }
    services.nats.flush().await.unwrap();
    services.start_indexer().await;
    services.lists(&uid, 4503).await;
    let log = services.indexer.printed();
    assert!(!log.contains("indexing stopped"), "{log}");
}
