//! A catalogue that is older than SERIES: a backup that was put back, or one that begins anew. What was
//! announced stays so, and each series goes on with the next revision.

use crate::harness::{Services, eventually, series_to_store};
use async_nats::HeaderMap;
use async_nats::jetstream;
use collimator::synthetic::SyntheticStudy;
use contract::event::SeriesCompleted;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A study of one series: its UID and its instances.
fn series(folder: &Path, instances: u32) -> (String, Vec<PathBuf>) {
    let study = SyntheticStudy::new().series("MR", instances).size(16, 16);
    let uid = study.series_instance_uids().remove(0);
    (uid.clone(), study.write_to(&folder.join(uid)).unwrap())
}

/// Waits until these revisions of a series are announced, with so many instances each, and no others.
async fn announced(services: &Services, uid: &str, wanted: &[(u32, u64)]) {
    eventually(&format!("{wanted:?} of {uid}"), async || {
        let events = services.events("SERIES").await;
        let events = events.iter().filter(|event| event.subject.contains(".series.completed."));
        let events = events.map(|event| serde_json::from_slice(&event.payload).unwrap());
        let events =
            events.filter(|event: &SeriesCompleted| event.series_instance_uid.as_str() == uid);
        let revisions: Vec<_> =
            events.map(|event| (event.revision, event.instances_count)).collect();
        (revisions == wanted).then_some(())
    })
    .await;
}

/// A message id is one event.
async fn each_number_is_one_completion(services: &Services) {
    let mut seen = HashSet::new();
    for event in services.events("SERIES").await {
        let id = event.headers.get("Nats-Msg-Id").unwrap().to_string();
        assert!(seen.insert(id.clone()), "{id} twice");
    }
}

async fn stores(services: &Services, uid: &str) {
    let body = series_to_store(uid, "1.2.3", 12);
    let client = reqwest::Client::new();
    let answer = client.post(format!("{}/store", services.api)).json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["message"], "Series stored successfully");
}

fn remove_catalogue(services: &Services) {
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(services.folder().join(name));
    }
}

/// Waits until the catalogue has read all of INSTANCES; gives what it says then.
async fn all_is_read(services: &Services) -> Vec<String> {
    let last = shared::stream::position(&services.nats).await.unwrap().last;
    eventually("all of INSTANCES to be read", async || {
        let rows = services.catalogue_rows().await;
        rows[0].contains(&format!("\"last_sequence\":{last},")).then_some(rows)
    })
    .await
}

#[tokio::test]
async fn a_backup_from_the_middle_takes_up_what_was_announced_since() {
    let mut services = Services::start_with(&[("STUDY_QUIET_PERIOD", "1s")]).await;
    let (grown, mut paths) = series(services.folder(), 5);
    let late = paths.split_off(3);
    services.receives(paths).await;
    let (deleted, paths) = series(services.folder(), 2);
    services.receives(paths.clone()).await;
    announced(&services, &grown, &[(1, 3)]).await;
    announced(&services, &deleted, &[(1, 2)]).await;
    let backup = services.folder().join("backup.db");
    let (code, printed) = services.indexer_command(&["backup", backup.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{printed}");

    services.receives(late[..1].to_vec()).await;
    announced(&services, &grown, &[(1, 3), (2, 4)]).await;
    stores(&services, "1.2.3.4").await;
    announced(&services, "1.2.3.4", &[(1, 12)]).await;
    let client = reqwest::Client::new();
    let answer = client.delete(format!("{}/series/{deleted}", services.api)).send().await.unwrap();
    assert!(answer.status().is_success());
    eventually("the deletion and all studies", async || {
        let events = services.events("SERIES").await;
        let deleted = events.iter().any(|event| event.subject.contains(".deleted."));
        let rows = services.catalogue_rows().await;
        let are_open = rows.iter().any(|row| row.starts_with("open_studies"));
        let stored = events.iter().any(|event| event.subject.ends_with("study.completed.1.2.3"));
        (deleted && stored && !are_open).then_some(())
    })
    .await;
    let before = all_is_read(&services).await;
    let events = services.events("SERIES").await.len();

    services.indexer.kill();
    remove_catalogue(&services);
    std::fs::rename(&backup, services.folder().join("catalog.db")).unwrap();
    services.start_indexer().await;
    assert_eq!(all_is_read(&services).await, before);
    assert_eq!(services.events("SERIES").await.len(), events, "nothing is announced again");

    // Each goes on where it was.
    services.receives(late[1..].to_vec()).await;
    services.receives(paths).await;
    announced(&services, &grown, &[(1, 3), (2, 4), (3, 5)]).await;
    announced(&services, &deleted, &[(1, 2), (2, 2)]).await;
    each_number_is_one_completion(&services).await;
}

#[tokio::test]
async fn a_catalogue_that_begins_anew_goes_on_with_the_next_revisions() {
    let mut services = Services::start_with(&[]).await;
    let (uid, mut paths) = series(services.folder(), 3);
    let late = paths.split_off(2);
    services.receives(paths).await;
    announced(&services, &uid, &[(1, 2)]).await;
    stores(&services, "1.2.3.4").await;
    announced(&services, "1.2.3.4", &[(1, 12)]).await;
    let before = all_is_read(&services).await;

    // With all of INSTANCES there, it is as it was.
    services.indexer.kill();
    remove_catalogue(&services);
    services.start_indexer().await;
    assert!(!services.indexer.printed().contains("another indexer"), "the one before is gone");
    assert_eq!(all_is_read(&services).await, before);

    // With INSTANCES trimmed, SERIES knows.
    services.indexer.kill();
    remove_catalogue(&services);
    let jetstream = jetstream::new(services.nats.clone());
    jetstream.get_stream("INSTANCES").await.unwrap().purge().await.unwrap();
    services.start_indexer().await;
    services.receives(late).await;
    announced(&services, &uid, &[(1, 2), (2, 1)]).await;
    let rows = services.catalogue_rows().await;
    let stored = |row: &String| row.starts_with("series ") && row.contains("\"1.2.3.4\"");
    assert!(rows.iter().any(stored), "{rows:?}");
    each_number_is_one_completion(&services).await;
}

#[tokio::test]
async fn a_number_that_series_has_for_another_completion_is_not_taken_for_announced() {
    let services = Services::start_with(&[]).await;
    let (other, paths) = series(services.folder(), 1);
    services.receives(paths).await;
    announced(&services, &other, &[(1, 1)]).await;

    // Somebody has announced the first revision of a series that has not come yet.
    let (uid, mut paths) = series(services.folder(), 3);
    let late = paths.split_off(2);
    let events = services.events("SERIES").await;
    let event = events.iter().find(|event| event.subject.contains(".completed.MR.")).unwrap();
    let mut foreign: Value = serde_json::from_slice(&event.payload).unwrap();
    foreign["SeriesInstanceUID"] = json!(uid);
    foreign["InstancesCount"] = json!(99);
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", format!("{uid}:1"));
    let jetstream = jetstream::new(services.nats.clone());
    let (subject, payload) = (format!("dicom.series.completed.MR.{uid}"), foreign.to_string());
    let stored = jetstream.publish_with_headers(subject, headers, payload.into()).await.unwrap();
    stored.await.unwrap();

    services.receives(paths).await;
    announced(&services, &uid, &[(1, 99), (2, 2)]).await;
    assert_eq!(services.lists(&uid, 2).await["Revision"], 2, "the catalogue says that number");
    services.receives(late).await;
    announced(&services, &uid, &[(1, 99), (2, 2), (3, 3)]).await;
    each_number_is_one_completion(&services).await;
}
