//! Two indexers with catalogues of their own on one NATS: there is one, and the other says why it isn't.

use crate::harness::Services;
use crate::harness::pipeline::Process;
use collimator::synthetic::SyntheticStudy;

/// A catalogue beside that of the services.
fn other_catalogue(services: &Services) -> String {
    format!("sqlite://{}", services.folder().join("other").join("catalog.db").display())
}

async fn receives(services: &Services) -> String {
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    services.receives(study.write_to(&services.folder().join("study")).unwrap()).await;
    study.series_instance_uids().remove(0)
}

fn error(indexer: &Process) -> String {
    let printed = indexer.printed();
    printed.lines().rfind(|line| line.contains("ERROR")).unwrap_or(&printed).to_owned()
}

#[tokio::test]
async fn an_indexer_with_another_catalogue_does_not_start_and_names_the_one_that_is_there() {
    let services = Services::start_with(&[]).await;
    let other = other_catalogue(&services);
    let mut other = services.another_indexer_with(&[("DATABASE_URL", &other)]).await;
    assert_eq!(other.ended().await, Some(1), "{}", other.printed());
    let error = error(&other);
    let process = format!("process {}", services.indexer.id());
    let catalogue = services.folder().join("catalog.db").display().to_string();
    for named in ["another indexer", "host ", &process, &catalogue, "stop that one"] {
        assert!(error.contains(named), "{named}: {error}");
    }
    services.lists(&receives(&services).await, 3).await;
    assert!(!services.indexer.printed().contains("indexing stopped"), "it was not disturbed");
}

#[tokio::test]
async fn the_lease_of_an_indexer_that_is_gone_ends() {
    let mut services = Services::start_with(&[]).await;
    services.indexer.kill();
    let other = other_catalogue(&services);
    services.another_indexer_with(&[("DATABASE_URL", &other)]).await.indexes().await;
}

#[tokio::test]
async fn an_indexer_whose_place_another_one_has_taken_ends_and_says_so() {
    let mut services = Services::start_with(&[]).await;
    services.indexer.signal("STOP");
    let other = other_catalogue(&services);
    let mut other = services.another_indexer_with(&[("DATABASE_URL", &other)]).await;
    other.indexes().await;
    services.indexer.signal("CONT");
    assert_eq!(services.indexer.ended().await, Some(1), "{}", services.indexer.printed());
    let error = error(&services.indexer);
    assert!(error.contains(&format!("process {}", other.id())), "{error}");
    receives(&services).await;
    other.says("a completion", |line| line.contains("series complete").then_some(())).await;
    assert!(!other.printed().contains("indexing stopped"), "its consumer was left alone");
}
