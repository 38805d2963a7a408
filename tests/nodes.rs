//! `GET /health`: who answers for the deployment.

use crate::harness::restricted::{RestrictedBroker, refusals};
use crate::harness::{Collimator, eventually};
use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

/// The nodes, once there are as many of these services; each with whether it is ready.
async fn nodes(api: &str, services: &[&str]) -> Vec<Value> {
    eventually(&format!("{services:?} to be listed"), async || {
        let answer = reqwest::get(format!("{api}/health")).await.ok()?;
        let deployment: Value = answer.json().await.ok()?;
        let nodes = deployment["Nodes"].as_array()?.clone();
        let listed: Vec<_> = nodes.iter().map(|node| node["Service"].as_str().unwrap()).collect();
        let is_ready = nodes.iter().all(|node| node["Ready"] == true);
        (listed == services && is_ready).then_some(nodes)
    })
    .await
}

#[tokio::test]
async fn one_process_is_three_services() {
    let collimator = Collimator::start().await;
    let nodes = nodes(&collimator.api, &["api", "indexer", "ingest"]).await;
    assert_eq!(nodes[1]["Role"], "active");
    assert_eq!(nodes[0]["Version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(nodes[0]["Host"], shared::settings::host_name());
    let deployment: Value =
        reqwest::get(format!("{}/health", collimator.api)).await.unwrap().json().await.unwrap();
    let streams = deployment["Streams"].as_array().unwrap();
    let names: Vec<_> = streams.iter().map(|stream| stream["Name"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSTANCES", "SERIES", "DEAD", "AUDIT"]);
    assert!(streams.iter().all(|stream| stream["Replicas"] == 1), "{streams:?}");
}

#[tokio::test]
async fn an_api_that_can_not_use_its_catalogue_is_listed_so_without_being_asked_for_readiness() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    let url = format!("sqlite://{}", path.display());
    let collimator = Collimator::start_with(&[("DATABASE_URL", &url)]).await;
    nodes(&collimator.api, &["api", "indexer", "ingest"]).await;
    let mut catalog = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let other_version = "update _sqlx_migrations set success = false";
    sqlx::raw_sql(other_version).execute(&mut catalog).await.unwrap();
    eventually("the API to be not ready", async || {
        let answer = reqwest::get(format!("{}/health", collimator.api)).await.ok()?;
        let deployment: Value = answer.json().await.ok()?;
        let mut nodes = deployment["Nodes"].as_array()?.iter();
        let api = nodes.find(|node| node["Service"] == "api")?;
        let is_so = api["Ready"] == false && api["Reason"].as_str()?.contains("catalogue: ");
        is_so.then_some(())
    })
    .await;
}

#[tokio::test]
async fn nodes_are_listed_across_accounts_and_one_that_is_gone_is_not() {
    let broker = RestrictedBroker::start().await;
    let mut services = broker.services(broker.admin().await, &[]).await;
    let mut second = broker.service("ingest", &[]).await;
    let listed = nodes(&services.ends.api, &["api", "indexer", "ingest", "ingest"]).await;
    assert!(listed.iter().all(|node| node["Role"].is_string() == (node["Service"] == "indexer")));
    second.kill();
    nodes(&services.ends.api, &["api", "indexer", "ingest"]).await;
    services.indexer.kill();
    nodes(&services.ends.api, &["api", "ingest"]).await;
    for service in [&services.ingest, &services.indexer, &services.api] {
        assert_eq!(refusals(service), [""; 0]);
    }
}
