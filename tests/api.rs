//! The HTTP API on the running pipeline: the seed's contract, and what operators ask for.

use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use contract::event::SeriesCompleted;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

fn series() -> Value {
    json!({
        "SeriesInstanceUID": "1.2.3.4", "PatientID": "7", "PatientName": "Roe^Jane",
        "StudyInstanceUID": "1.2.3", "InstancesCount": 12
    })
}

async fn ask(
    collimator: &Collimator,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let mut request = Client::new().request(method, format!("{}{path}", collimator.api));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn a_stored_series_is_listed_and_announced_and_stays_as_it_was() {
    let collimator = Collimator::start().await;
    assert_eq!(ask(&collimator, Method::GET, "/series", None).await.1, json!([]));
    let (status, answer) = ask(&collimator, Method::POST, "/store", Some(series())).await;
    assert_eq!((status.as_u16(), answer), (200, json!({"message": "Series stored successfully"})));
    let mut again = series();
    again["InstancesCount"] = json!(99);
    let (status, answer) = ask(&collimator, Method::POST, "/store", Some(again)).await;
    assert_eq!((status.as_u16(), answer), (200, json!({"message": "Series already exists"})));

    let listed = collimator.lists("1.2.3.4", 12).await;
    assert_eq!(listed["Source"], "api");
    let announced = eventually("the announcement", async || {
        let events = collimator.events("SERIES").await;
        Some(events.first()?.payload.clone())
    })
    .await;
    let announced: SeriesCompleted = serde_json::from_slice(&announced).unwrap();
    assert_eq!((announced.instances_count, announced.revision), (12, 1));
}

#[tokio::test]
async fn a_bad_body_is_422_and_names_the_field() {
    let collimator = Collimator::start().await;
    for field in ["SeriesInstanceUID", "PatientID", "PatientName", "StudyInstanceUID"] {
        for wrong in [json!(17), json!(null), json!(["1.2"])] {
            let mut body = series();
            body[field] = wrong;
            let (status, problem) = ask(&collimator, Method::POST, "/store", Some(body)).await;
            assert_eq!(status, 422, "{field}: {problem}");
            assert!(problem.to_string().contains(field), "{field}: {problem}");
        }
        let mut body = series();
        body.as_object_mut().unwrap().remove(field);
        let (status, problem) = ask(&collimator, Method::POST, "/store", Some(body)).await;
        assert_eq!(status, 422);
        assert!(problem.to_string().contains(field), "{field}: {problem}");
    }
    for wrong in [json!("17"), json!(-1), json!(1.5), json!(null), json!(true)] {
        let mut body = series();
        body["InstancesCount"] = wrong;
        let (status, problem) = ask(&collimator, Method::POST, "/store", Some(body)).await;
        assert_eq!(status, 422);
        assert!(problem.to_string().contains("InstancesCount"), "{problem}");
    }
    for uid in ["", "1..2", "1.02", "abc", &"1".repeat(65)] {
        let mut body = series();
        body["SeriesInstanceUID"] = json!(uid);
        let (status, problem) = ask(&collimator, Method::POST, "/store", Some(body)).await;
        assert_eq!(status, 422, "{uid}");
        assert!(problem.to_string().contains("SeriesInstanceUID"), "{problem}");
        assert!(!problem.to_string().contains("Roe"), "a patient in an error: {problem}");
    }
    assert!(collimator.series().await.is_empty());
}

#[tokio::test]
async fn another_method_is_405_and_an_unknown_path_404() {
    let collimator = Collimator::start().await;
    let (status, problem) = ask(&collimator, Method::PUT, "/store", Some(series())).await;
    assert_eq!((status.as_u16(), &problem["status"]), (405, &json!(405)));
    let (status, problem) = ask(&collimator, Method::GET, "/nowhere", None).await;
    assert_eq!((status.as_u16(), &problem["status"]), (404, &json!(404)));
}

#[tokio::test]
async fn health_spec_and_docs_are_served() {
    let collimator = Collimator::start().await;
    assert_eq!(ask(&collimator, Method::GET, "/health/live", None).await.0, 200);
    let (status, ready) = ask(&collimator, Method::GET, "/health/ready", None).await;
    assert_eq!((status.as_u16(), &ready["status"]), (200, &json!("ready")));
    let (_, spec) = ask(&collimator, Method::GET, "/openapi.json", None).await;
    assert!(spec["paths"]["/store"]["post"].is_object());
    let docs = reqwest::get(format!("{}/docs", collimator.api)).await.unwrap();
    assert_eq!(docs.status(), 200);
    assert!(docs.text().await.unwrap().contains("SwaggerUI"));
}

#[tokio::test]
async fn an_operator_can_complete_a_series_that_would_wait() {
    let settings = [("QUIET_PERIOD", "1h"), ("SETTLE_PERIOD", "1h")];
    let collimator = Collimator::start_with(&settings).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    let client = reqwest::Client::new();
    let complete = format!("{}/series/{uid}/complete", collimator.api);
    eventually("the series to be known", async || {
        let answer = client.post(&complete).send().await.unwrap();
        assert!(matches!(answer.status().as_u16(), 202 | 404), "{answer:?}");
        (answer.status() == 202).then_some(())
    })
    .await;
    assert_eq!(collimator.lists(&uid, 3).await["Reason"], "requested");
    assert_eq!(client.post(&complete).send().await.unwrap().status(), 409);
    let history = format!("{}/series/{uid}/history", collimator.api);
    let history: Value = reqwest::get(history).await.unwrap().json().await.unwrap();
    assert_eq!(history.as_array().unwrap().len(), 1);
    assert_eq!(history[0]["Reason"], "requested");
}

#[tokio::test]
async fn a_sender_that_proved_wrong_is_believed_again_when_an_operator_says_so() {
    let settings = [("QUIET_PERIOD", "3s"), ("SETTLE_PERIOD", "200ms")];
    let collimator = Collimator::start_with(&settings).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let mut paths = study.write_to(folder.path()).unwrap();
    let late = paths.split_off(2);
    collimator.receives(paths).await;
    collimator.lists(&uid, 2).await;
    collimator.receives(late).await;
    let sources = async || -> Value {
        let sources = reqwest::get(format!("{}/sources", collimator.api)).await.unwrap();
        sources.json().await.unwrap()
    };
    let disproved = eventually("the sender to be disbelieved", async || {
        let sources = sources().await;
        (sources[0]["Released"]["Trusted"] == false).then(|| sources[0].clone())
    })
    .await;
    assert_eq!(disproved["CallingAETitle"], "COLLIMATOR_SCU");
    assert_eq!(disproved["Released"]["DisprovedBy"], uid);
    let client = reqwest::Client::new();
    let trust = async |ae: &str| {
        let path = format!("{}/sources/{ae}/trust", collimator.api);
        client.post(path).send().await.unwrap().status().as_u16()
    };
    assert_eq!((trust("NOBODY").await, trust("COLLIMATOR_SCU").await), (404, 202));
    eventually("the sender to be believed", async || {
        (sources().await[0]["Released"]["Trusted"] == true).then_some(())
    })
    .await;
}

#[tokio::test]
async fn idle_connections_do_not_keep_others_out_for_long() {
    let settings = [("MAX_HTTP_CONNECTIONS", "4"), ("HTTP_IDLE_TIMEOUT", "1s")];
    let collimator = Collimator::start_with(&settings).await;
    let addr = collimator.api.trim_start_matches("http://").to_owned();
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(tokio::net::TcpStream::connect(&addr).await.unwrap());
    }
    // It is served once the first of them are ended, while all of them still hold on.
    assert!(collimator.series().await.is_empty());
    assert_eq!(idle.len(), 8);
}
