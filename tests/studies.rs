//! When studies are complete.

use crate::harness::pipeline::{Ends, rows};
use crate::harness::{Collimator, Services, eventually, series_to_store};
use collimator::synthetic::SyntheticStudy;
use contract::event::StudyCompleted;
use reqwest::Client;
use serde_json::{Value, json};

/// The completions of studies that were announced, once there are so many.
async fn announced(ends: &Ends, count: usize) -> Vec<StudyCompleted> {
    eventually("the studies to be announced", async || {
        let mut events = ends.events("SERIES").await;
        events.retain(|event| event.subject.starts_with("dicom.study.completed."));
        let read = |event: &async_nats::jetstream::message::StreamMessage| {
            serde_json::from_slice(&event.payload).unwrap()
        };
        (events.len() >= count).then(|| events.iter().map(read).collect())
    })
    .await
}

async fn study(ends: &Ends, uid: &str) -> Value {
    reqwest::get(format!("{}/studies/{uid}", ends.api)).await.unwrap().json().await.unwrap()
}

async fn store(api: &str, series: &str, study: &str) {
    let body = series_to_store(series, study, 12);
    let path = format!("{api}/store");
    assert_eq!(Client::new().post(path).json(&body).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_study_is_announced_once_its_series_are_complete_and_again_when_there_is_more() {
    let mut services = Services::start_with(&[("STUDY_QUIET_PERIOD", "3s")]).await;
    let folder = tempfile::tempdir().unwrap();
    let synthetic = SyntheticStudy::new().series("MR", 3).series("CT", 2).size(16, 16);
    let uid = synthetic.study_instance_uid();
    let mut paths = synthetic.write_to(folder.path()).unwrap();
    let ct = paths.split_off(3);
    services.receives(paths).await;
    services.receives(ct).await;
    let told = announced(&services, 1).await.remove(0);
    assert_eq!(told.study_instance_uid, uid);
    assert_eq!((told.revision, told.modalities_in_study.join(" ").as_str()), (1, "CT MR"));
    assert_eq!((told.series.len(), told.number_of_study_related_instances), (2, 5));
    let shown = study(&services, &uid).await;
    assert_eq!((&shown["State"], &shown["Revision"]), (&json!("complete"), &json!(1)));
    assert_eq!(shown["StudyCompletedAt"], told.completed_at.to_string());

    // A series by HTTP is one of the study too. The indexer is away when it is asked for.
    services.indexer.kill();
    let (api, study_uid) = (services.api.clone(), uid.clone());
    let storing = tokio::spawn(async move { store(&api, "1.2.3.4", &study_uid).await });
    eventually("the request", async || {
        let events = services.events("INSTANCES").await;
        events
            .iter()
            .any(|event| event.subject.as_str() == "dicom.request.register.1.2.3.4")
            .then_some(())
    })
    .await;
    services.start_indexer().await;
    storing.await.unwrap();
    let again = announced(&services, 2).await.remove(1);
    assert_eq!((again.revision, again.series.len()), (2, 3));
    assert_eq!(again.number_of_study_related_instances, 17);
    // And when it is not.
    store(&services.api, "1.2.3.5", "1.2.3").await;
    let other = announced(&services, 3).await.remove(2);
    assert_eq!((other.study_instance_uid.as_str(), other.revision), ("1.2.3", 1));

    // One that waits for its quiet period.
    store(&services.api, "1.2.3.6", "1.2.3").await;
    eventually("it to be announced", async || {
        (services.completions().await.len() == 5).then_some(())
    })
    .await;
    services.indexer.kill();
    let rebuilt = services.folder().join("rebuilt.db");
    let arguments = ["replay", "--into", rebuilt.to_str().unwrap()];
    let (code, printed) = services.indexer_command(&arguments).await;
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("3 completions of studies"), "{printed}");
    let live = services.catalogue_rows().await;
    assert_eq!(rows(&rebuilt).await, live);
    assert!(live.iter().any(|row| row.starts_with("open_studies ")), "{live:?}");
}

#[tokio::test]
async fn studies_are_not_announced_where_nobody_wants_it() {
    let collimator = Collimator::start_with(&[("STUDY_QUIET_PERIOD", "0s")]).await;
    let folder = tempfile::tempdir().unwrap();
    let synthetic = SyntheticStudy::new().series("MR", 2).size(16, 16);
    collimator.receives(synthetic.write_to(folder.path()).unwrap()).await;
    collimator.lists(&synthetic.series_instance_uids()[0], 2).await;
    let uid = synthetic.study_instance_uid();
    eventually("the study to be complete", async || {
        (study(&collimator, &uid).await["State"] == "complete").then_some(())
    })
    .await;
    assert_eq!(study(&collimator, &uid).await["Revision"], 0);
    let events = collimator.events("SERIES").await;
    assert!(events.iter().all(|event| event.subject.starts_with("dicom.series.")));
}
