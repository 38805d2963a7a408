//! Webhooks: who is told of completions by HTTP, however often it takes.

use crate::harness::pipeline::{Process, free_addr};
use crate::harness::receiver::Receiver;
use crate::harness::tools::have;
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::collections::HashSet;
use std::path::Path;
use tempfile::TempDir;

const SECRET: &str = "correct horse battery";

/// A webhooks file in `folder`.
fn file(folder: &TempDir, text: &str) -> &'static str {
    let path = folder.path().join("webhooks.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string().leak()
}

fn webhook(name: &str, url: &str, more: &str) -> String {
    format!("[[webhook]]\nname = '{name}'\nurl = '{url}'\nsecret = '{SECRET}'\n{more}\n")
}

async fn started(folder: &TempDir, text: &str) -> Collimator {
    Collimator::start_with(&[("WEBHOOKS_FILE", file(folder, text))]).await
}

async fn sends(collimator: &Collimator, study: &SyntheticStudy) {
    let folder = tempfile::tempdir().unwrap();
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
}

fn small(modality: &str) -> SyntheticStudy {
    SyntheticStudy::new().series(modality, 2).size(16, 16)
}

/// What the API says of a webhook, once that is as expected.
async fn is_told(collimator: &Collimator, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("what is expected of {name}"), async || {
        let answer = reqwest::get(format!("{}/webhooks", collimator.api)).await.unwrap();
        let listed: Vec<Value> = answer.json().await.unwrap();
        listed.into_iter().find(|hook| hook["Name"] == name && is_so(hook))
    })
    .await
}

#[tokio::test]
async fn a_receiver_that_fails_twice_is_told_a_third_time_of_the_same_event() {
    let mut receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}?key=in-the-query", receiver.url);
    let collimator = started(&folder, &webhook("ai", &url, "")).await;
    let study = small("MR");
    sends(&collimator, &study).await;
    let [uid] = study.series_instance_uids().try_into().unwrap();

    let first = receiver.gets().await;
    assert_eq!(first.headers["content-type"], "application/cloudevents+json");
    assert_eq!(first.body["id"], format!("{uid}:1"));
    assert_eq!(first.body["data"]["InstancesCount"], 2);
    let event = first.body.clone();
    first.gets_answer(503, "").await;
    is_told(&collimator, "ai", |hook| hook["LastFailure"] == "the answer was 503").await;

    let second = receiver.gets().await;
    assert_eq!(second.body, event);
    second.gets_answer(302, &format!("location: {}\r\n", receiver.url)).await;
    let failed = |hook: &Value| hook["LastFailure"].to_string().contains("redirects");
    assert_eq!(is_told(&collimator, "ai", failed).await["InFlight"], 1);

    let third = receiver.gets().await;
    assert_eq!(third.body, event);
    third.gets_answer(204, "").await;
    let done = is_told(&collimator, "ai", |hook| hook["InFlight"] == 0).await;
    assert!(done["LastSuccessAt"].is_string(), "{done}");
    assert_eq!((&done["Pending"], &done["DeadLetters"]), (&json!(0), &json!(0)));
    assert_eq!(done["URL"], receiver.url);
    assert!(!receiver.has_more());
    let log = collimator.process.printed();
    assert!(log.contains("a delivery failed"));
    for secret in ["in-the-query", SECRET, event["data"]["PatientID"].as_str().unwrap()] {
        assert!(!log.contains(secret), "{secret} in the log");
    }
}

#[tokio::test]
async fn one_receiver_that_hangs_holds_up_no_other_and_what_it_missed_is_a_dead_letter() {
    let (mut hanging, mut quick) = (Receiver::start().await, Receiver::start().await);
    let folder = tempfile::tempdir().unwrap();
    let hooks = webhook("hanging", &hanging.url, "timeout = '1s'\nattempts = 2")
        + &webhook("quick", &quick.url, "");
    let collimator = started(&folder, &hooks).await;
    let study = small("MR");
    sends(&collimator, &study).await;
    let held = hanging.gets().await;
    quick.gets().await.gets_answer(200, "").await;
    let again = hanging.gets().await;
    assert_eq!(held.body, again.body);

    let dead = is_told(&collimator, "hanging", |hook| hook["DeadLetters"] == 1).await;
    assert_eq!(dead["LastFailure"], "no answer within 1s");
    is_told(&collimator, "hanging", |hook| hook["InFlight"] == 0).await;
    let [letter] = collimator.events("DEAD").await.try_into().unwrap();
    assert_eq!(letter.subject.as_str(), "dicom.dead.webhook.hanging");
    let header = |name| letter.headers.get(name).unwrap().as_str();
    assert_eq!(header("Collimator-Error"), "no answer within 1s; tried 2 times");
    assert_eq!(header("Collimator-Stream"), "SERIES");
    let payload: Value = serde_json::from_slice(&letter.payload).unwrap();
    assert_eq!(payload, again.body["data"]);
    let name = payload["PatientName"].as_str().unwrap();
    assert!(!collimator.process.printed().contains(name), "a patient in the log");
}

#[tokio::test]
async fn trouble_of_a_receiver_is_counted_and_told_in_three_lines_however_long_it_is() {
    let mut receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let collimator = started(&folder, &webhook("ai", &receiver.url, "attempts = 1")).await;
    collimator.tells(r#"webhook_deliveries_total{webhook="ai",outcome="dead_letter"}"#, 0).await;
    collimator.tells(r#"webhook_failing{webhook="ai"}"#, 0).await;
    let study = (0..5).fold(SyntheticStudy::new(), |study, _| study.series("MR", 1));
    sends(&collimator, &study.size(16, 16)).await;
    for _ in 0..5 {
        receiver.gets().await.gets_answer(503, "").await;
    }
    collimator.tells(r#"webhook_deliveries_total{webhook="ai",outcome="failed"}"#, 5).await;
    collimator.tells(r#"webhook_deliveries_total{webhook="ai",outcome="dead_letter"}"#, 5).await;
    collimator.tells(r#"webhook_failing{webhook="ai"}"#, 1).await;

    sends(&collimator, &small("MR")).await;
    receiver.gets().await.gets_answer(200, "").await;
    collimator.tells(r#"webhook_deliveries_total{webhook="ai",outcome="taken"}"#, 1).await;
    collimator.tells(r#"webhook_failing{webhook="ai"}"#, 0).await;
    let is_seen = |line: &&str| line.contains("\"hook\":\"ai\"") && !line.contains("DEBUG");
    let log = collimator.process.printed();
    let lines: Vec<_> = log.lines().filter(is_seen).collect();
    let [_served, begins, costs, ends] = lines[..] else { panic!("{lines:?}") };
    assert!(begins.contains("a delivery failed") && begins.contains("503"), "{begins}");
    assert!(costs.contains("a completion is a dead letter"), "{costs}");
    assert!(ends.contains("again") && ends.contains("\"dead_letters\":5"), "{ends}");
}

#[tokio::test]
async fn what_a_killed_pipeline_was_delivering_comes_again() {
    let mut receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string().leak() as &'static str;
    let file = file(&folder, &webhook("ai", &receiver.url, "timeout = '1s'"));
    let settings = [("DATA_DIR", data), ("WEBHOOKS_FILE", file)];
    let mut first = Collimator::start_with(&settings).await;
    sends(&first, &small("MR")).await;
    let cut_off = receiver.gets().await;
    first.process.kill();

    let _second = Collimator::start_with(&settings).await;
    let again = receiver.gets().await;
    assert_eq!(again.body, cut_off.body);
    again.gets_answer(200, "").await;
}

/// How many completions SERIES has.
async fn announced(collimator: &Collimator) -> usize {
    collimator.events("SERIES").await.len()
}

/// Sends series and waits until all of them are announced.
async fn announces(collimator: &Collimator, series: usize) {
    let before = announced(collimator).await;
    let study = (0..series).fold(SyntheticStudy::new(), |study, _| study.series("MR", 1));
    sends(collimator, &study.size(16, 16)).await;
    eventually("the completions", async || {
        (announced(collimator).await >= before + series).then_some(())
    })
    .await;
}

/// The deliveries that come, each taken, until as many different events came.
async fn takes(receiver: &mut Receiver, different: usize) -> HashSet<String> {
    let mut ids = HashSet::new();
    while ids.len() < different {
        let delivery = receiver.gets().await;
        ids.insert(delivery.body["id"].as_str().unwrap().to_owned());
        delivery.gets_answer(204, "").await;
    }
    ids
}

#[tokio::test]
async fn a_webhook_whose_consumer_was_lost_gets_what_it_was_owed_and_what_came_meanwhile() {
    let mut receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string().leak() as &'static str;
    let file = file(&folder, &webhook("ai", &receiver.url, ""));
    let settings = [("DATA_DIR", data), ("WEBHOOKS_FILE", file)];
    let mut first = Collimator::start_with(&settings).await;
    announces(&first, 1).await;
    let before = takes(&mut receiver, 1).await;
    is_told(&first, "ai", |hook| hook["InFlight"] == 0).await;
    let kept = "select delivered from webhooks where name = 'ai'";
    let catalog = Path::new(data).join("catalog.db");
    let is_kept = async || -> Option<i64> {
        let options = SqliteConnectOptions::new().filename(&catalog).read_only(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query_scalar(kept).fetch_optional(&mut connection).await.ok().flatten()
    };
    eventually("that it is kept", async || is_kept().await.filter(|up_to| *up_to == 1)).await;

    // Five that its receiver fails to take; the consumer is lost while nobody looks; and ten more.
    announces(&first, 5).await;
    for _ in 0..5 {
        receiver.gets().await.gets_answer(503, "").await;
    }
    let series = async |collimator: &Collimator| {
        let jetstream = async_nats::jetstream::new(collimator.nats.clone());
        eventually("SERIES", async || jetstream.get_stream("SERIES").await.ok()).await
    };
    series(&first).await.delete_consumer("webhook-ai").await.unwrap();
    announces(&first, 10).await;
    let owed = takes(&mut receiver, 15).await;
    assert!(before.is_disjoint(&owed), "what it had taken came again");
    is_told(&first, "ai", |hook| hook["InFlight"] == 0 && hook["Pending"] == 0).await;
    eventually("that it is kept", async || is_kept().await.filter(|up_to| *up_to == 16)).await;
    let log = first.process.printed();
    assert!(log.contains("its consumer was lost; it goes on after this sequence"), "{log}");

    // The same over a restart.
    series(&first).await.delete_consumer("webhook-ai").await.unwrap();
    first.process.kill();
    let mut second = Collimator::start_with(&settings).await;
    second.process.says("that it is served", |l| l.contains("is served").then_some(())).await;
    announces(&second, 1).await;
    assert!(owed.is_disjoint(&takes(&mut receiver, 1).await));

    // A stream made anew is delivered from its start, and one that left the file is forgotten.
    second.process.signal("TERM");
    assert_eq!(second.process.ended().await, Some(0));
    std::fs::remove_dir_all(Path::new(data).join("nats/jetstream/$G/streams/SERIES")).unwrap();
    let third = Collimator::start_with(&settings).await;
    announces(&third, 2).await;
    takes(&mut receiver, 2).await;
}

#[tokio::test]
async fn each_is_told_of_what_it_asked_for() {
    let (mut ct, mut ours) = (Receiver::start().await, Receiver::start().await);
    let folder = tempfile::tempdir().unwrap();
    let hooks = webhook("ct", &ct.url, "modalities = ['CT']")
        + &webhook("ours", &ours.url, "calling_ae_titles = ['COLLIMATOR_SCU']")
        + &webhook("nobody", "http://127.0.0.1:9", "calling_ae_titles = ['OTHER']");
    let collimator = started(&folder, &hooks).await;
    sends(&collimator, &small("MR").series("CT", 2)).await;
    let only = ct.gets().await;
    assert_eq!(only.body["data"]["Modality"], "CT");
    only.gets_answer(200, "").await;
    for _ in 0..2 {
        ours.gets().await.gets_answer(200, "").await;
    }
    let done = |hook: &Value| hook["InFlight"] == 0 && hook["Pending"] == 0;
    let nobody = is_told(&collimator, "nobody", done).await;
    assert!(nobody["LastSuccessAt"].is_null() && nobody["LastFailureAt"].is_null(), "{nobody}");
    assert_eq!(is_told(&collimator, "ct", done).await["DeadLetters"], 0);
    assert!(!ct.has_more());
}

#[tokio::test]
async fn a_webhook_that_left_the_file_is_removed_and_one_that_stayed_goes_on() {
    let mut stays = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string().leak() as &'static str;
    let both = webhook("leaves", "http://127.0.0.1:9", "") + &webhook("stays", &stays.url, "");
    let settings = [("DATA_DIR", data), ("WEBHOOKS_FILE", file(&folder, &both))];
    let mut first = Collimator::start_with(&settings).await;
    sends(&first, &small("MR")).await;
    stays.gets().await.gets_answer(200, "").await;
    is_told(&first, "stays", |hook| hook["InFlight"] == 0).await;
    is_told(&first, "leaves", |hook| hook["LastFailure"].is_string()).await;
    first.process.signal("TERM");
    assert_eq!(first.process.ended().await, Some(0));

    file(&folder, &webhook("stays", &stays.url, "modalities = ['MR']"));
    let mut second = Collimator::start_with(&settings).await;
    let removed = |line: &str| line.contains("a webhook that left").then(|| line.to_owned());
    let said = second.process.says("that one was removed", removed).await;
    assert!(said.contains("leaves") && said.contains("\"undelivered\":1"), "{said}");
    sends(&second, &small("MR")).await;
    let next = stays.gets().await;
    next.gets_answer(200, "").await;
    assert!(!stays.has_more());
}

#[tokio::test]
async fn the_receiver_of_the_documentation_takes_what_is_signed_and_nothing_else() {
    if !have("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/webhook_receiver.py");
    let port = free_addr().port();
    let arguments = [script.to_str().unwrap(), &port.to_string()];
    let secret = [("SECRET", SECRET.to_owned())];
    let python = Path::new("python3");
    let mut receiver = Process::start_with(python, &arguments, folder.path(), &secret);
    receiver.says("that it listens", |line| line.starts_with("listening").then_some(())).await;
    let url = format!("http://127.0.0.1:{port}/");
    let hooks = webhook("genuine", &url, "")
        + &webhook("false", &url, "").replace(SECRET, "another secret than that");
    let collimator = started(&folder, &hooks).await;
    let study = small("MR");
    sends(&collimator, &study).await;
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let taken = format!("complete: {uid}:1 2");
    receiver.says(&taken, |line| (line == taken).then_some(())).await;
    is_told(&collimator, "false", |hook| hook["LastFailure"] == "the answer was 401").await;
    assert_eq!(receiver.printed().matches("complete").count(), 1);
}
