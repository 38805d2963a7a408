//! The routes on a real catalogue, without a network and without a broker.

use super::*;
use crate::auth::tokens::Scope;
use crate::http::problem;
use catalog::{Batch, Bookmark, CatalogSettings, CatalogWriter, Received, Registration};
use completion::{
    Completion, Consequences, Deletion, Disproof, Lesson, OpenSeries, StudyCompletion,
};
use contract::event::{DeletionReason, InstanceStored, Reason};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use poem::http::{Method, StatusCode, header};
use poem::test::TestClient;
use serde_json::Value;
use std::collections::HashMap;
use test_database::TestDatabase;
use tokio_util::sync::CancellationToken;

mod guarding;
mod jwt;
mod listing;
mod qido;
mod retrieving;
mod rules;
mod searching;

struct TestApi {
    client: TestClient<Box<dyn poem::endpoint::DynEndpoint<Output = Response>>>,
    owner: Option<CatalogWriter>,
    _database: TestDatabase,
}

async fn api(with_catalogue: bool) -> TestApi {
    guarded(with_catalogue, Guard::default()).await
}

async fn guarded(with_catalogue: bool, guard: Guard) -> TestApi {
    api_with(with_catalogue, guard, InstanceStore::default()).await
}

async fn api_with(with_catalogue: bool, guard: Guard, store: InstanceStore) -> TestApi {
    let database = TestDatabase::new();
    let settings = CatalogSettings { database_url: database.url().to_owned() };
    let owner = match with_catalogue {
        true => Some(CatalogWriter::own(&settings).await.unwrap()),
        false => None,
    };
    let catalog = CatalogReader::open(&settings).unwrap();
    let events = Events::new(BrokerHandle::default(), &api_settings(), CancellationToken::new());
    let broker = BrokerHandle::default();
    let webhooks = Webhooks::default();
    let (health, metrics) = (Health::default(), Metrics::default());
    let stow = Stow::default();
    let auditor = Auditor::off();
    let routes =
        routes(catalog, &store, broker, events, webhooks, stow, guard, auditor, health, metrics);
    let client = TestClient::new(Box::new(poem::endpoint::ToDynEndpoint(routes)) as Box<_>);
    TestApi { client, owner, _database: database }
}

/// The settings that hold when nobody says otherwise.
fn api_settings() -> crate::Settings {
    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        settings: crate::Settings,
    }
    <Program as clap::Parser>::parse_from(["api"]).settings
}

fn store() -> Value {
    serde_json::json!({
        "SeriesInstanceUID": "1.2.3.4", "PatientID": "7", "PatientName": "Roe^Jane",
        "StudyInstanceUID": "1.2.3", "InstancesCount": 12
    })
}

/// The indexer has read requests to register series, each as `POST /store` takes it.
async fn register(owner: &CatalogWriter, series: impl IntoIterator<Item = Value>) {
    let mut sequence = owner.bookmark().await.unwrap().map_or(0, |bookmark| bookmark.last_sequence);
    let registrations = series.into_iter().map(|mut event| {
        sequence += 1;
        event["RequestID"] = "7e6f35d8-5a0f-4c55-9d7e-6f1c0b2a9d10".into();
        event["RequestedAt"] = "2026-02-03T04:05:06Z".into();
        let at = Timestamp::from_second(sequence as i64).unwrap();
        Registration { sequence, at, event: serde_json::from_value(event).unwrap() }
    });
    let registrations: Vec<_> = registrations.collect();
    let batch = Batch { registrations, ..Batch::new(bookmark(sequence)) };
    owner.record(&batch, |_| Consequences::default()).await.unwrap();
}

/// Of a stream that was read up to this sequence.
fn bookmark(last_sequence: u64) -> Bookmark {
    Bookmark::new(Timestamp::UNIX_EPOCH, last_sequence)
}

#[tokio::test]
async fn the_five_keys_of_the_seed_come_first_and_in_order() {
    let api = api(true).await;
    api.client.get("/series").send().await.assert_text("[]").await;
    register(api.owner.as_ref().unwrap(), [store()]).await;
    let listed = api.client.get("/series").send().await;
    let text = listed.0.into_body().into_string().await.unwrap();
    let expected = concat!(
        r#"[{"SeriesInstanceUID":"1.2.3.4","PatientID":"7","PatientName":"Roe^Jane","#,
        r#""StudyInstanceUID":"1.2.3","InstancesCount":12,"Source":"api","#
    );
    assert!(text.starts_with(expected), "{text}");
}

#[tokio::test]
async fn a_body_that_is_no_object_is_a_problem_of_its_own() {
    let api = api(true).await;
    for (body, content_type, status) in [
        ("{", "application/json", 422),
        ("[]", "application/json", 422),
        ("", "application/json", 422),
        ("{}", "text/plain", 415),
        (&" ".repeat(70_000), "application/json", 413),
    ] {
        let request = api.client.post("/store").body(body.to_owned());
        let answer = request.content_type(content_type).send().await;
        answer.assert_status(StatusCode::from_u16(status).unwrap());
        answer.assert_content_type(problem::PROBLEM_JSON);
    }
}

#[tokio::test]
async fn another_method_is_405_and_says_which_are_allowed() {
    let api = api(true).await;
    for (path, allowed) in [
        ("/store", "POST"),
        ("/series", "GET"),
        ("/series/1.2/history", "GET"),
        ("/series/1.2", "DELETE, GET"),
        ("/events", "GET"),
        ("/series/1.2/complete", "POST"),
        ("/sources/MY%20PACS/trust", "POST"),
    ] {
        let answer = api.client.put(path).send().await;
        answer.assert_status(StatusCode::METHOD_NOT_ALLOWED);
        answer.assert_header(header::ALLOW, allowed);
        answer.assert_content_type(problem::PROBLEM_JSON);
    }
    // Whatever is asked of it: no parameter is wrong where there is nothing to ask.
    for path in ["/store", "/series/1.2/complete", "/sources/MY%20PACS/trust"] {
        let answer = api.client.get(path).query("x", &1).send().await;
        answer.assert_status(StatusCode::METHOD_NOT_ALLOWED);
        answer.assert_header(header::ALLOW, "POST");
    }
    let answer = api.client.get("/nowhere").send().await;
    answer.assert_status(StatusCode::NOT_FOUND);
    answer.assert_content_type(problem::PROBLEM_JSON);
}

#[tokio::test]
async fn without_a_catalogue_it_is_alive_not_ready_and_says_what_to_do() {
    let api = api(false).await;
    for path in ["/series", "/health/ready"] {
        let answer = api.client.get(path).send().await;
        answer.assert_status(StatusCode::SERVICE_UNAVAILABLE);
        let said = answer.0.into_body().into_string().await.unwrap();
        assert!(said.contains("catalogue"), "{said}");
    }
    let answer = api.client.post("/store").body_json(&store()).send().await;
    answer.assert_status(StatusCode::SERVICE_UNAVAILABLE);
    answer.assert_header(header::RETRY_AFTER, problem::RETRY_AFTER.to_string());
    api.client.get("/health/live").send().await.assert_status_is_ok();
}

#[tokio::test]
async fn without_nats_the_state_of_the_deployment_is_not_known() {
    let api = api(true).await;
    let answer = api.client.get("/health").send().await;
    answer.assert_status(StatusCode::SERVICE_UNAVAILABLE);
    answer.assert_content_type(problem::PROBLEM_JSON);
    let answer = api.client.get("/health").query("node", &"one").send().await;
    answer.assert_status(StatusCode::UNPROCESSABLE_ENTITY);
    api.client.get("/health/else").send().await.assert_status(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_spec_is_the_committed_one() {
    let api = api(true).await;
    let spec = api.client.get("/openapi.json").send().await.0.into_body();
    let spec: Value = serde_json::from_slice(&spec.into_bytes().await.unwrap()).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, format!("{spec:#}\n")).unwrap();
    }
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(
        spec == committed,
        "the API changed; look at what `UPDATE_OPENAPI=1 cargo test -p api` makes of {path}"
    );
}

#[tokio::test]
async fn the_documentation_begins_with_what_people_need_first() {
    let api = api(true).await;
    let spec = api.client.get("/openapi.json").send().await.0.into_body();
    let spec = spec.into_string().await.unwrap();
    let page = api.client.get("/docs").send().await.0.into_body().into_string().await.unwrap();
    assert!(page.contains(&spec), "Swagger UI shows another document");
    let place = |path: &str| spec.find(&format!("\"{path}\":")).unwrap();
    let order = ["/store", "/series", "/series/{SeriesInstanceUID}", "/studies", "/events"];
    assert!(order.map(place).is_sorted(), "{:?}", order.map(place));
    let spec: Value = serde_json::from_str(&spec).unwrap();
    let tags = spec["tags"].as_array().unwrap();
    assert!(tags.iter().all(|tag| tag["description"].is_string()), "{tags:?}");
    let tags: Vec<_> = tags.iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    assert_eq!(tags[..4], ["Series", "Studies", "Events", "STOW-RS"]);
    assert_eq!(tags.len(), 10, "{tags:?}");
}

#[tokio::test]
async fn the_docs_need_no_network() {
    let api = api(true).await;
    let docs = api.client.get("/docs").send().await;
    docs.assert_status_is_ok();
    let html = docs.0.into_body().into_string().await.unwrap();
    assert!(html.contains("syntaxHighlight: false"), "answers are coloured");
    for outside in ["src=\"http", "src='http", "href=\"http", "href='http", "@import"] {
        let tags =
            html.split('<').filter(|tag| tag.starts_with("script") || tag.starts_with("link"));
        assert!(tags.clone().count() > 0);
        assert!(!tags.clone().any(|tag| tag.split('>').next().unwrap().contains(outside)));
    }
}

#[tokio::test]
async fn the_dashboard_is_at_the_root() {
    let page = api(true).await.client.get("/").send().await;
    page.assert_status_is_ok();
    page.assert_content_type("text/html; charset=utf-8");
}

/// Records one instance of a series, by a sender, and leaves the series open.
async fn receive(owner: &CatalogWriter, sequence: u64) {
    let attributes = serde_json::json!({ "SeriesInstanceUID": "2.1", "CallingAETitle": "MY PACS" });
    record(owner, sequence, attributes).await;
}

/// Records an instance with these attributes, and leaves its series open.
async fn record(owner: &CatalogWriter, sequence: u64, attributes: Value) {
    let mut event = serde_json::json!({
        "SOPInstanceUID": format!("3.{sequence}"), "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4",
        "TransferSyntaxUID": "1.2.840.10008.1.2.1", "Bytes": 100, "Digest": "d0",
        "CallingAETitle": "MR1", "CalledAETitle": "COLLIMATOR", "PeerAddress": "192.0.2.7",
        "AssociationID": "a", "Ordinal": 1, "ReceivedAt": "2026-02-03T04:05:06Z",
    });
    event.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
    let event: InstanceStored = serde_json::from_value(event).unwrap();
    let at = Timestamp::from_second(sequence as i64).unwrap();
    let open = OpenSeries::new(at, &event.calling_ae_title);
    let open = vec![(event.series_instance_uid.clone(), open)];
    let instances = vec![Received { sequence, at, event: Box::new(event) }];
    let batch = Batch { instances, ..Batch::new(bookmark(sequence)) };
    let consequences = Consequences { open, ..Consequences::default() };
    owner.record(&batch, |_| consequences).await.unwrap();
}

/// A series is complete.
async fn complete(owner: &CatalogWriter, reason: Reason) {
    owner.complete(&[completion("2.1", reason, Timestamp::UNIX_EPOCH)]).await.unwrap();
}

/// The decision at this time that a series is complete.
fn completion(series: &str, reason: Reason, decided_at: Timestamp) -> Completion {
    Completion {
        series: SeriesInstanceUid::parse(series).unwrap(),
        reason,
        opened_at: decided_at,
        decided_at,
        expected: None,
        retrieve_from: None,
        hold_disagreeing: false,
        at_source: None,
        listed: None,
        evidence: Vec::new(),
        absent: Vec::new(),
        fetched: Vec::new(),
        missing: 0,
    }
}

async fn json(client: &TestClient<impl Endpoint>, path: &str) -> Value {
    let answer = client.get(path).send().await;
    answer.assert_status_is_ok();
    serde_json::from_slice(&answer.0.into_body().into_bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_series_has_a_history_and_one_that_is_unknown_has_none() {
    let api = api(true).await;
    let owner = api.owner.as_ref().unwrap();
    receive(owner, 1).await;
    assert_eq!(json(&api.client, "/series/2.1/history").await, serde_json::json!([]));
    complete(owner, Reason::Released).await;
    receive(owner, 2).await;
    complete(owner, Reason::Quiet).await;
    let history = json(&api.client, "/series/2.1/history").await;
    let expected = serde_json::json!({
        "Revision": 2, "Reason": "quiet", "InstancesCount": 2, "InstancesAdded": 1,
        "InstancesCorrected": 0, "CallingAETitle": "MY PACS",
        "CompletedAt": "1970-01-01T00:00:00Z", "InstancesSequence": 2,
    });
    assert_eq!((history.as_array().unwrap().len(), &history[1]), (2, &expected));
    let too_long = format!("/series/{}/history", "1".repeat(65));
    for (path, status) in [("/series/2.9/history", 404), (&too_long, 422)] {
        let answer = api.client.get(path).send().await;
        answer.assert_status(StatusCode::from_u16(status).unwrap());
        answer.assert_content_type(problem::PROBLEM_JSON);
    }
}

#[tokio::test]
async fn a_request_needs_something_to_ask_for_and_a_broker() {
    let api = api(true).await;
    let owner = api.owner.as_ref().unwrap();
    receive(owner, 1).await;
    let ask = async |path: &str| api.client.post(path).send().await.0.status().as_u16();
    assert_eq!(ask("/series/2.1/complete").await, 503, "there is no broker");
    assert_eq!(ask("/sources/MY%20PACS/trust").await, 503, "there is no broker");
    assert_eq!(ask("/series/2.9/complete").await, 404);
    assert_eq!(ask("/sources/OTHER/trust").await, 404);
    complete(owner, Reason::Quiet).await;
    assert_eq!(ask("/series/2.1/complete").await, 409);
}

/// The indexer has read a request to delete the series.
async fn delete(owner: &CatalogWriter, sequence: u64) {
    let batch = Batch::new(bookmark(sequence));
    let series = SeriesInstanceUid::parse("2.1").unwrap();
    let (reason, decided_at) = (DeletionReason::Requested, Timestamp::UNIX_EPOCH);
    let deletions = vec![Deletion { series, reason, decided_at }];
    let consequences = Consequences { deletions, ..Consequences::default() };
    owner.record(&batch, |_| consequences).await.unwrap();
}

#[tokio::test]
async fn a_deleted_series_is_gone_and_its_history_is_not() {
    let api = api(true).await;
    let owner = api.owner.as_ref().unwrap();
    receive(owner, 1).await;
    complete(owner, Reason::Quiet).await;
    let asked = api.client.delete("/series/2.1").send().await;
    asked.assert_status(StatusCode::SERVICE_UNAVAILABLE);
    api.client.delete("/series/2.9").send().await.assert_status(StatusCode::NOT_FOUND);
    delete(owner, 2).await;
    for path in ["/series/2.1", "/series/2.1/instances"] {
        let answer = api.client.get(path).send().await;
        answer.assert_status(StatusCode::GONE);
        answer.assert_content_type(problem::PROBLEM_JSON);
        let said = answer.0.into_body().into_string().await.unwrap();
        assert!(said.contains("deleted at 1970-01-01T00:00:00Z"), "{said}");
    }
    api.client.post("/series/2.1/complete").send().await.assert_status(StatusCode::GONE);
    api.client.delete("/series/2.1").send().await.assert_status(StatusCode::GONE);
    assert_eq!(json(&api.client, "/series?State=all").await, serde_json::json!([]));
    assert_eq!(json(&api.client, "/studies").await, serde_json::json!([]));
    let found = api.client.get("/dicom-web/series").send().await;
    found.assert_status(StatusCode::NO_CONTENT);
    let history = json(&api.client, "/series/2.1/history").await;
    let expected = serde_json::json!({
        "Revision": 1, "Reason": "requested", "InstancesCount": 1, "InstancesAdded": 0,
        "InstancesCorrected": 0, "DeletedAt": "1970-01-01T00:00:00Z", "InstancesSequence": 2,
    });
    assert_eq!((history.as_array().unwrap().len(), &history[1]), (2, &expected));
}

#[tokio::test]
async fn the_senders_are_listed_with_what_their_evidence_is_worth() {
    let api = api(true).await;
    let owner = api.owner.as_ref().unwrap();
    receive(owner, 1).await;
    let disproof = Disproof {
        sender: "MY PACS".to_owned(),
        rule: Reason::Released,
        at: Timestamp::UNIX_EPOCH,
        series: SeriesInstanceUid::parse("2.1").unwrap(),
    };
    let batch = Batch::new(bookmark(2));
    let lessons = vec![Lesson::Disproved(disproof)];
    owner.record(&batch, |_| Consequences { lessons, ..Consequences::default() }).await.unwrap();
    let expected = serde_json::json!([{
        "CallingAETitle": "MY PACS", "LastSeenAt": "1970-01-01T00:00:01Z",
        "Released": {
            "Trusted": false, "DisprovedAt": "1970-01-01T00:00:00Z", "DisprovedBy": "2.1",
        },
        "Expected": {"Trusted": true}, "Confirmed": {"Trusted": true},
        "Performed": {"Trusted": true}, "Available": {"Trusted": true},
    }]);
    assert_eq!(json(&api.client, "/sources").await, expected);
}

#[tokio::test]
async fn requests_are_counted_by_the_template_of_their_path() {
    let api = api(true).await;
    for path in
        ["/series/2.25.4711", "/series/2.25.4711/history", "/", "/secret/2.25.4711", "/docs"]
    {
        api.client.get(path).send().await;
    }
    api.client.get("/dicom-web/studies/2.25.4711/series").send().await;
    api.client.get("/series?PatientName=Roe&Misspelt=1").send().await;
    api.client.put("/store").send().await;
    api.client.request(Method::from_bytes(b"BREW").unwrap(), "/series").send().await;
    let exposed = api.client.get("/metrics").send().await.0;
    let types: Vec<_> = exposed.headers().get_all(header::CONTENT_TYPE).iter().collect();
    assert_eq!(types, ["text/plain; version=0.0.4; charset=utf-8"], "and no other");
    let exposed = exposed.into_body().into_string().await.unwrap();
    for labels in [
        r#"route="/series/{SeriesInstanceUID}",method="GET",status="404""#,
        r#"route="/series/{SeriesInstanceUID}/history",method="GET",status="404""#,
        r#"route="/dicom-web/studies/{study}/series",method="GET",status="204""#,
        r#"route="/series",method="GET",status="422""#,
        r#"route="/series",method="other",status="405""#,
        r#"route="/store",method="PUT",status="405""#,
        r#"route="/",method="GET",status="200""#,
        r#"route="/docs",method="GET",status="200""#,
        r#"route="other",method="GET",status="404""#,
    ] {
        let sample = format!("collimator_http_requests_total{{{labels}}} 1");
        assert!(exposed.lines().any(|line| line == sample), "{sample} in {exposed}");
    }
    for secret in ["4711", "Roe", "secret", "BREW"] {
        assert!(!exposed.contains(secret), "{secret} in {exposed}");
    }
    let duration = r#"collimator_http_request_duration_seconds_count{route="/series"} 2"#;
    assert!(
        exposed.contains(duration) && exposed.contains("collimator_event_listeners 0"),
        "{exposed}"
    );
}

#[tokio::test]
async fn metrics_do_not_grow_with_the_methods_that_somebody_tries() {
    let api = api(true).await;
    let documented: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    let paths: Vec<_> = documented["paths"].as_object().unwrap().keys().collect();
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
    let strange = ["TRACE", "BREW", "PROPFIND", "MKCOL", "get"];
    for path in &paths {
        for method in known.iter().chain(&strange) {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            api.client.request(method, path.replace(['{', '}'], "")).send().await;
        }
    }
    let exposed =
        api.client.get("/metrics").send().await.0.into_body().into_string().await.unwrap();
    let samples = |name: &str| {
        let name = format!("collimator_http_{name}{{");
        exposed.lines().filter(|line| line.starts_with(&name)).collect::<Vec<_>>()
    };
    assert_eq!(samples("request_duration_seconds_count").len(), paths.len(), "{exposed}");
    for sample in samples("requests_total") {
        let method = sample.split("method=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(known.contains(&method) || method == "other", "{sample}");
    }
}

#[tokio::test]
async fn what_is_nowhere_says_where_it_is_told_what_there_is() {
    let api = api(true).await;
    for (path, place) in [
        ("/nowhere", "/docs"),
        ("/dicom-webs", "/docs"),
        ("/dicom-web", "docs/dicom-conformance.md"),
        ("/dicom-web/", "docs/dicom-conformance.md"),
        ("/dicom-web/patients", "docs/dicom-conformance.md"),
        ("/dicom-web/studies/1.2/rendered", "docs/dicom-conformance.md"),
    ] {
        let answer = api.client.get(path).send().await;
        answer.assert_status(StatusCode::NOT_FOUND);
        let said = answer.0.into_body().into_string().await.unwrap();
        assert!(said.contains("there is nothing at this path"), "{path}: {said}");
        assert!(said.contains(place), "{path}: {said}");
        assert_eq!(said.contains("/docs lists"), place == "/docs", "{path}: {said}");
    }
}
