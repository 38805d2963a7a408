//! Dead letters: what an operator does with what could not be processed.

use crate::harness::receiver::Receiver;
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use contract::subject::Subject;
use reqwest::{Method, Response};
use serde_json::Value;
use shared::dead::Dead;

const UNREADABLE: &str = r#"{"PatientName":"Roe^Jane","#;

async fn lists(collimator: &Collimator, query: &str) -> Vec<Value> {
    let answer = reqwest::get(format!("{}/dead-letters{query}", collimator.api)).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

async fn asks(collimator: &Collimator, method: Method, path: &str) -> Response {
    let url = format!("{}/dead-letters/{path}", collimator.api);
    reqwest::Client::new().request(method, url).send().await.unwrap()
}

/// The only letter that a query finds, once there is one.
async fn letter(collimator: &Collimator, query: &str) -> Value {
    eventually("a dead letter", async || {
        let [letter] = lists(collimator, query).await.try_into().ok()?;
        Some(letter)
    })
    .await
}

#[tokio::test]
async fn an_event_that_is_replayed_goes_back_into_its_stream_and_is_judged_anew() {
    let collimator = Collimator::start().await;
    let jetstream = async_nats::jetstream::new(collimator.nats.clone());
    let subject = "dicom.instance.stored.07.MR.1.2.3";
    jetstream.publish(subject, UNREADABLE.into()).await.unwrap().await.unwrap();
    let first = letter(&collimator, "").await;
    assert_eq!(first["Reason"], "unreadable");
    assert_eq!(
        (&first["OriginalSubject"], &first["OriginalStream"]),
        (&subject.into(), &"INSTANCES".into())
    );
    assert_eq!(first["Bytes"], UNREADABLE.len());
    assert!(!first.to_string().contains("Roe"), "{first}");

    // Nothing has changed, so it dies again, as another letter.
    let sequence = first["Sequence"].as_u64().unwrap();
    let replayed = asks(&collimator, Method::POST, &format!("{sequence}/replay")).await;
    assert_eq!(replayed.status(), 204);
    let second = letter(&collimator, &format!("?after={sequence}")).await;
    assert_eq!(second["OriginalSubject"], subject);
    assert!(second["OriginalSequence"].as_u64() > first["OriginalSequence"].as_u64());
    assert_eq!(lists(&collimator, "").await, std::slice::from_ref(&second));
    let payloads: Vec<_> =
        collimator.events("DEAD").await.into_iter().map(|it| it.payload).collect();
    assert_eq!(payloads, [UNREADABLE]);

    let sequence = second["Sequence"].as_u64().unwrap();
    assert_eq!(asks(&collimator, Method::DELETE, &sequence.to_string()).await.status(), 204);
    assert_eq!(lists(&collimator, "").await, Vec::<Value>::new());
    for (method, path) in
        [(Method::DELETE, format!("{sequence}")), (Method::POST, format!("{sequence}/replay"))]
    {
        assert_eq!(asks(&collimator, method, &path).await.status(), 404);
    }
    assert_eq!(asks(&collimator, Method::DELETE, "0").await.status(), 422);
    assert!(!collimator.process.printed().contains("Roe"), "a patient in the log");
}

#[tokio::test]
async fn a_letter_that_can_not_be_replayed_says_why_and_stays() {
    let collimator = Collimator::start().await;
    let jetstream = async_nats::jetstream::new(collimator.nats.clone());
    let message = |payload: &str| async_nats::Message {
        subject: "dicom.instance.stored.07.MR.1.2.3".into(),
        reply: None,
        payload: payload.to_owned().into(),
        headers: None,
        status: None,
        description: None,
        length: 0,
    };
    let longest = collimator.nats.server_info().max_payload;
    for (stream, payload) in [("SERIES", "{}".to_owned()), ("INSTANCES", " ".repeat(longest))] {
        let message = message(&payload);
        let dead = Dead { message: &message, stream, sequence: Some(1), error: "unreadable" };
        dead.bury(&jetstream, &Subject::dead("unreadable"), stream).await.unwrap();
    }
    let [foreign, cut] = lists(&collimator, "?limit=2").await.try_into().unwrap();
    assert_eq!(cut["TruncatedFrom"], longest);
    for (letter, why) in [(&foreign, "where it came from"), (&cut, "only the beginning")] {
        let answer =
            asks(&collimator, Method::POST, &format!("{}/replay", letter["Sequence"])).await;
        assert_eq!(answer.status(), 409);
        let problem: Value = answer.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
    }
    assert_eq!(lists(&collimator, "").await, [foreign, cut]);
}

#[tokio::test]
async fn a_completion_that_no_webhook_took_is_replayed_to_its_receiver() {
    let mut receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("webhooks.toml");
    let hook = format!(
        "[[webhook]]\nname = 'ai'\nurl = '{}'\nsecret = 'correct horse battery'\nattempts = 1\n",
        receiver.url
    );
    std::fs::write(&file, hook).unwrap();
    let file = file.display().to_string().leak() as &'static str;
    let collimator = Collimator::start_with(&[("WEBHOOKS_FILE", file)]).await;
    let files = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
    collimator.receives(study.write_to(files.path()).unwrap()).await;
    let refused = receiver.gets().await;
    let event = refused.body.clone();
    refused.gets_answer(500, "").await;
    let dead = letter(&collimator, "").await;
    assert_eq!(dead["Reason"], "webhook.ai");
    assert_eq!(dead["Error"], "the answer was 500; tried 1 times");

    let replay = format!("{}/replay", dead["Sequence"]);
    for (status, answer) in [(503, 502), (200, 204)] {
        let (replayed, ()) = tokio::join!(asks(&collimator, Method::POST, &replay), async {
            let delivery = receiver.gets().await;
            assert_eq!(delivery.body, event);
            delivery.gets_answer(status, "").await;
        });
        assert_eq!(replayed.status(), answer);
    }
    assert_eq!(lists(&collimator, "").await, Vec::<Value>::new());
    // The others who listen to completions were not told again.
    assert_eq!(collimator.events("SERIES").await.len(), 1);
}
