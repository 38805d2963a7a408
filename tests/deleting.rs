//! Series that operators delete: gone everywhere, with a trace, and on the record.

use crate::harness::pipeline::rows;
use crate::harness::{Services, eventually, series_to_store};
use collimator::synthetic::SyntheticStudy;
use contract::event::{DeletionReason, SeriesDeleted};
use reqwest::Client;
use serde_json::{Value, json};

async fn get(services: &Services, path: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{}{path}", services.api)).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// Deletes a series, and waits until it is gone.
async fn delete(services: &Services, uid: &str) {
    let path = format!("{}/series/{uid}", services.api);
    let answer = Client::new().delete(&path).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let said: Value = answer.json().await.unwrap();
    assert_eq!(said, json!({"message": "Deletion requested"}));
    eventually("the series to be gone", async || {
        (get(services, &format!("/series/{uid}")).await.0 == 410).then_some(())
    })
    .await;
}

/// The deletions that were announced, once there are so many.
async fn announced(services: &Services, count: usize) -> Vec<SeriesDeleted> {
    eventually("the deletions to be announced", async || {
        let mut events = services.events("SERIES").await;
        events.retain(|event| event.subject.starts_with("dicom.series.deleted."));
        let read = |event: &async_nats::jetstream::message::StreamMessage| {
            serde_json::from_slice(&event.payload).unwrap()
        };
        (events.len() == count).then(|| events.iter().map(read).collect())
    })
    .await
}

#[tokio::test]
async fn a_deleted_series_is_gone_announced_and_goes_on_when_it_comes_again() {
    let services = Services::start_with(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3).series("CT", 2).size(16, 16);
    let uids = study.series_instance_uids();
    let paths = study.write_to(folder.path()).unwrap();
    services.receives(paths.clone()).await;
    services.lists(&uids[0], 3).await;
    services.lists(&uids[1], 2).await;

    delete(&services, &uids[0]).await;
    let told = announced(&services, 1).await.remove(0);
    assert_eq!(told.series_instance_uid.as_str(), uids[0]);
    assert_eq!((told.revision, told.instances_count), (1, 3));
    assert_eq!(told.reason, DeletionReason::Requested);
    let listed = services.series().await;
    assert_eq!((listed.len(), &listed[0]["SeriesInstanceUID"]), (1, &json!(uids[1])));
    let (_, study_now) = get(&services, &format!("/studies/{}", study.study_instance_uid())).await;
    assert_eq!(study_now["SeriesCount"], 1);
    let (status, history) = get(&services, &format!("/series/{}/history", uids[0])).await;
    assert_eq!((status, history.as_array().unwrap().len()), (200, 2));
    assert!(history[1]["DeletedAt"].is_string(), "{history}");

    // With its last series the study goes, and the patient.
    delete(&services, &uids[1]).await;
    assert_eq!(get(&services, "/studies").await.1, json!([]));
    assert_eq!(get(&services, "/series?State=all").await.1, json!([]));

    // The same instances again: new to the catalogue, and the next revision.
    services.receives(paths).await;
    let again = services.lists(&uids[0], 3).await;
    assert_eq!(again["Revision"], 2);
    services.lists(&uids[1], 2).await;

    // By HTTP it goes on likewise.
    delete(&services, &uids[0]).await;
    let body = series_to_store(&uids[0], &study.study_instance_uid(), 12);
    let path = format!("{}/store", services.api);
    let stored = Client::new().post(path).json(&body).send().await.unwrap();
    assert_eq!(stored.status(), 200);
    assert_eq!(services.lists(&uids[0], 12).await["Revision"], 3);
    announced(&services, 3).await;

    eventually("all of it to be announced", async || {
        (services.completions().await.len() == 5).then_some(())
    })
    .await;
    let rebuilt = services.folder().join("rebuilt.db");
    let arguments = ["replay", "--into", rebuilt.to_str().unwrap()];
    let (code, printed) = services.indexer_command(&arguments).await;
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("5 completions, 3 deletions"), "{printed}");
    assert_eq!(rows(&rebuilt).await, services.catalogue_rows().await);
}

#[tokio::test]
async fn series_leave_the_catalogue_when_they_have_been_complete_for_long() {
    let services = Services::start_with(&[("CATALOG_RETENTION", "4s")]).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let uid = study.series_instance_uids().remove(0);
    let paths = study.write_to(folder.path()).unwrap();
    services.receives(paths.clone()).await;
    services.lists(&uid, 3).await;
    let told = announced(&services, 1).await.remove(0);
    assert_eq!((told.reason, told.instances_count), (DeletionReason::Expired, 3));
    let completed = services.completions().await.remove(0).completed_at;
    assert!(told.deleted_at.duration_since(completed).as_secs() >= 4, "{told:?}");
    assert_eq!(get(&services, &format!("/series/{uid}")).await.0, 410);

    services.receives(paths).await;
    assert_eq!(services.lists(&uid, 3).await["Revision"], 2);
    announced(&services, 2).await;
    let rebuilt = services.folder().join("rebuilt.db");
    let arguments = ["replay", "--into", rebuilt.to_str().unwrap()];
    let (code, printed) = services.indexer_command(&arguments).await;
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(rows(&rebuilt).await, services.catalogue_rows().await);
}
