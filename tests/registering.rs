//! `POST /store`: a request through the stream, answered once the catalogue has it.

use crate::harness::pipeline::{Ends, Services};
use crate::harness::{Collimator, eventually, series_to_store};
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const STORED: &str = "Series stored successfully";
const EXISTS: &str = "Series already exists";

fn series(uid: &str, instances: u64) -> Value {
    series_to_store(uid, "1.2.3", instances)
}

/// Posts a series; gives the status, and the message or what is wrong.
async fn post(api: &str, series: &Value) -> (u16, String) {
    let answer = Client::new().post(format!("{api}/store")).json(series).send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    let said = if status == 200 { &body["message"] } else { &body["detail"] };
    (status, said.as_str().unwrap().to_owned())
}

/// How often the completions of each series that was registered are announced.
async fn announced(services: &Ends) -> BTreeMap<String, usize> {
    let mut announced = BTreeMap::new();
    for event in services.completions().await {
        assert_eq!((event.revision, event.reason.as_str()), (1, "stored"));
        *announced.entry(event.series_instance_uid.to_string()).or_default() += 1;
    }
    announced
}

#[tokio::test]
async fn the_same_series_posted_twenty_times_at_once_is_stored_once() {
    let services = Collimator::start().await;
    let posts =
        (1..=20).map(async |count| (count, post(&services.api, &series("1.2.9", count)).await));
    let answers = join_all(posts).await;
    let said = |message: &str| {
        let said = answers.iter().filter(|(_, answer)| *answer == (200, message.to_owned()));
        said.map(|(count, _)| *count).collect::<Vec<u64>>()
    };
    let stored = said(STORED);
    assert_eq!((stored.len(), said(EXISTS).len()), (1, 19), "{answers:?}");
    let listed = services.lists("1.2.9", stored[0]).await;
    assert_eq!((&listed["Revision"], &listed["Reason"]), (&json!(1), &json!("stored")));
    eventually("one announcement", async || {
        (announced(&services).await == BTreeMap::from([("1.2.9".to_owned(), 1)])).then_some(())
    })
    .await;
    services.tells("completions_total{reason=\"stored\"}", 1).await;
    // It has its place among what was received.
    let event = services.completions().await.remove(0);
    assert!(event.instances_sequence > Some(0), "{event:?}");
}

#[tokio::test]
async fn without_an_indexer_a_post_fails_and_leaves_nothing_behind() {
    let mut services = Services::start_with(&[]).await;
    assert_eq!(post(&services.api, &series("1.2.8", 3)).await, (200, STORED.to_owned()));
    services.indexer.kill();
    assert_eq!(post(&services.api, &series("1.2.8", 4)).await, (200, EXISTS.to_owned()));
    let (status, said) = post(&services.api, &series("1.2.9", 3)).await;
    assert_eq!(status, 503);
    assert!(said.contains("no indexer acted on the request in time"), "{said}");
    services.start_indexer().await;
    services
        .indexer
        .says("that it passed the request over", |line| line.contains("too late").then_some(()))
        .await;
    // What is posted now comes after it.
    assert_eq!(post(&services.api, &series("1.2.10", 3)).await, (200, STORED.to_owned()));
    let listed = services.series().await;
    let listed: Vec<_> = listed.iter().map(|series| &series["SeriesInstanceUID"]).collect();
    assert_eq!(listed, ["1.2.8", "1.2.10"]);
    assert_eq!(post(&services.api, &series("1.2.9", 5)).await, (200, STORED.to_owned()));
    services.lists("1.2.9", 5).await;
    assert!(!services.indexer.printed().contains("Roe"), "a patient in the log");
}

#[tokio::test]
async fn what_was_answered_is_there_once_however_often_the_indexer_dies() {
    let mut services = Services::start_with(&[]).await;
    let api = services.api.clone();
    let posting = tokio::spawn(async move {
        let posts = (0..60).map(async |number: u64| {
            tokio::time::sleep(Duration::from_millis(100) * number as u32).await;
            let series = series(&format!("1.2.{number}"), number);
            (number, post(&api, &series).await)
        });
        join_all(posts).await
    });
    let mut deaths = 0;
    while !posting.is_finished() {
        services.pause(Duration::from_millis(300)).await;
        services.indexer.kill();
        services.start_indexer().await;
        deaths += 1;
    }
    assert!(deaths > 2, "{deaths}");
    let answers = posting.await.unwrap();
    for (number, (status, said)) in &answers {
        let is_known = (*status, said.as_str()) == (200, STORED) || *status == 503;
        assert!(is_known, "{number}: {status} {said}");
    }
    let stored = answers.iter().filter(|(_, (status, _))| *status == 200);
    let stored: BTreeSet<_> = stored.map(|(number, _)| format!("1.2.{number}")).collect();
    assert!(stored.len() >= 20, "{answers:?}");
    let mut listed = BTreeSet::new();
    eventually("all that was answered to be announced", async || {
        let series = services.series().await;
        let uid = |series: &Value| series["SeriesInstanceUID"].as_str().unwrap().to_owned();
        listed = series.iter().map(uid).collect();
        let announced = announced(&services).await;
        assert!(announced.values().all(|times| *times == 1), "{announced:?}");
        announced.keys().eq(listed.iter()).then_some(())
    })
    .await;
    assert!(listed.is_superset(&stored), "{stored:?} {listed:?}");
}
