//! The INSTANCES stream as it fills: the sender is refused, nothing is dropped, and what is done
//! with makes room.

use crate::harness::{Collimator, Services, eventually};
use collimator::send::{SendSettings, send};
use collimator::synthetic::SyntheticStudy;
use shared::stream::position;

#[tokio::test]
async fn a_full_stream_refuses_the_sender_until_the_indexer_has_caught_up() {
    let mut services = Services::start_with(&[("INSTANCES_MAX_BYTES", "64KiB")]).await;
    services.indexer.kill();
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 50).size(16, 16);
    let paths = study.write_to(folder.path()).unwrap();
    let to = services.dicom.to_string();
    let report = send(&SendSettings::new(&to, paths)).await.unwrap();
    assert!(report.stored > 0 && !report.is_complete(), "{report:?}");
    assert!(report.not_stored.iter().all(|notice| notice.status == Some(0xa700)), "{report:?}");
    // Every Success is an event, and the first of them is still there.
    assert_eq!(services.stored().await.len(), report.stored);
    assert_eq!(position(&services.nats).await.unwrap().first, 1);

    // A sender tries again what was refused.
    services.start_indexer().await;
    let mut refused = report.not_stored;
    eventually("room for the rest", async || {
        let paths = refused.iter().map(|notice| notice.path.clone()).collect();
        refused = send(&SendSettings::new(&to, paths)).await.unwrap().not_stored;
        refused.is_empty().then_some(())
    })
    .await;
    services.lists(&study.series_instance_uids()[0], 50).await;
}

#[tokio::test]
async fn history_is_trimmed_when_it_is_old() {
    let collimator = Collimator::start_with(&[("HISTORY", "1s")]).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 5);
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    collimator.lists(&study.series_instance_uids()[0], 5).await;
    eventually("the events to be trimmed", async || {
        let now = position(&collimator.nats).await.unwrap();
        (now.last >= 5 && now.first == now.last + 1).then_some(())
    })
    .await;
    // The catalogue keeps what the stream has dropped.
    collimator.lists(&study.series_instance_uids()[0], 5).await;
}

#[tokio::test]
async fn a_stream_that_was_purged_unread_holds_nothing_up() {
    let mut services =
        Services::start_with(&[("QUIET_PERIOD", "3s"), ("SETTLE_PERIOD", "3s")]).await;
    let folder = tempfile::tempdir().unwrap();
    let (kept, lost) =
        (SyntheticStudy::new().series("MR", 3), SyntheticStudy::new().series("MR", 2));
    services.receives(kept.write_to(&folder.path().join("kept")).unwrap()).await;
    eventually("the series to be in the catalogue", async || {
        let stream =
            async_nats::jetstream::new(services.nats.clone()).get_stream("INSTANCES").await;
        let info = stream.unwrap().consumer_info("indexer").await.unwrap();
        // The start of the receiver, the opening of the association, three instances.
        let read = info.num_pending == 0 && info.num_ack_pending == 0;
        (read && info.ack_floor.stream_sequence >= 5).then_some(())
    })
    .await;
    services.indexer.kill();
    services.receives(lost.write_to(&folder.path().join("lost")).unwrap()).await;
    let jetstream = async_nats::jetstream::new(services.nats.clone());
    jetstream.get_stream("INSTANCES").await.unwrap().purge().await.unwrap();
    services.start_indexer().await;
    services.lists(&kept.series_instance_uids()[0], 3).await;
}

#[tokio::test]
async fn an_event_that_was_deleted_in_a_backlog_holds_nothing_up() {
    let mut services = Services::start_with(&[]).await;
    services.indexer.kill();
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 50).size(16, 16);
    services.receives(study.write_to(folder.path()).unwrap()).await;
    let jetstream = async_nats::jetstream::new(services.nats.clone());
    let stream = jetstream.get_stream("INSTANCES").await.unwrap();
    let middle = position(&services.nats).await.unwrap().last / 2;
    assert!(stream.delete_message(middle).await.unwrap());
    services.start_indexer().await;
    services.lists(&study.series_instance_uids()[0], 49).await;
}

#[tokio::test]
async fn events_as_long_as_a_message_may_be_lose_nothing_and_hold_nothing_up() {
    let mut services = Services::start_with(&[("INSTANCES_MAX_BYTES", "256MiB")]).await;
    services.indexer.kill();
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    services.receives(study.write_to(folder.path()).unwrap()).await;
    let jetstream = async_nats::jetstream::new(services.nats.clone());
    let event = services.stored().await.remove(0);
    let subject = event.subject.to_string();
    // More than the broker sends to one client at a time: 64 MiB.
    for number in 1..=100 {
        let mut long: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
        long["SOPInstanceUID"] = format!("2.25.{number}").into();
        long["SeriesDescription"] = "x".repeat(1_000_000).into();
        let published = jetstream.publish(subject.clone(), long.to_string().into()).await.unwrap();
        published.await.unwrap();
    }
    let unreadable = vec![b'x'; services.nats.server_info().max_payload - 100];
    jetstream.publish(subject, unreadable.into()).await.unwrap().await.unwrap();
    services.start_indexer().await;
    services.lists(&study.series_instance_uids()[0], 103).await;
    let dead = eventually("the dead letter", async || services.events("DEAD").await.pop()).await;
    let length = dead.headers.get("Collimator-Truncated-From").unwrap().as_str();
    assert_eq!(length, (services.nats.server_info().max_payload - 100).to_string());
    let log = services.indexer.printed();
    assert!(!log.contains("indexing stopped"), "{log}");
}
