//! What somebody sees who taps the subjects.

use crate::harness::tools::{dcmsend, have};
use crate::harness::{Collimator, DEADLINE};
use collimator::synthetic::SyntheticStudy;
use futures_util::StreamExt;
use serde_json::Value;

/// Sends one series of `count` instances and collects what a subscriber to everything sees, up to
/// the completion of that series.
async fn tapped(
    collimator: &Collimator,
    send: impl Future<Output = ()>,
) -> Vec<async_nats::Message> {
    let mut tap = collimator.nats.subscribe("dicom.>").await.unwrap();
    collimator.nats.flush().await.unwrap();
    send.await;
    let mut seen = Vec::new();
    while !seen.last().is_some_and(|m: &async_nats::Message| m.subject.contains("completed")) {
        let next = tokio::time::timeout(DEADLINE, tap.next()).await;
        seen.push(next.expect("the completion in time").unwrap());
    }
    seen
}

fn check(seen: &[async_nats::Message], uid: &str, count: usize) {
    let on = |prefix: &str| {
        seen.iter().filter(|message| message.subject.starts_with(prefix)).collect::<Vec<_>>()
    };
    let stored = on("dicom.instance.stored.");
    assert_eq!(stored.len(), count);
    for message in stored {
        let subject = message.subject.as_str();
        assert!(subject.ends_with(&format!(".MR.{uid}")), "{subject}");
        assert!(subject.parse::<contract::subject::Subject>().is_ok(), "{subject}");
        let payload: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(payload["SeriesInstanceUID"], uid);
        assert!(payload["PatientName"].is_string() && payload["Rows"].is_number(), "{payload}");
        let headers = message.headers.as_ref().unwrap();
        assert_eq!(headers.get("ce-type").unwrap().as_str(), "dicom.instance.stored");
        let (id, ours) = (headers.get("ce-id"), headers.get("Nats-Msg-Id"));
        assert_eq!(id, ours);
    }
    let completed = on("dicom.series.completed.");
    assert_eq!(completed.len(), 1);
    assert_eq!(completed[0].subject.as_str(), format!("dicom.series.completed.MR.{uid}"));
    let payload: Value = serde_json::from_slice(&completed[0].payload).unwrap();
    assert_eq!(payload["InstancesCount"], count);
    let id = completed[0].headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap();
    assert_eq!(id.as_str(), format!("{uid}:1"));
}

#[tokio::test]
async fn a_subscriber_sees_each_instance_and_one_completion() {
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 6);
    let paths = study.write_to(folder.path()).unwrap();
    let seen = tapped(&collimator, async {
        collimator.receives(paths).await;
    })
    .await;
    check(&seen, &study.series_instance_uids()[0], 6);
}

#[tokio::test]
async fn a_subscriber_sees_17_instances_of_a_series_that_dcmsend_sends_and_one_completion() {
    if !have("dcmsend") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 17);
    study.write_to(folder.path()).unwrap();
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let collimator = Collimator::start().await;
    let folders = [folder.path()];
    let seen = tapped(&collimator, dcmsend(collimator.dicom, &folders)).await;
    check(&seen, &uid, 17);
}
