//! Several indexers on one catalogue: one works, and another takes over when it is stopped, killed, or hangs.

use crate::harness::Services;
use collimator::synthetic::SyntheticStudy;

/// Sends a series and waits until it is listed.
async fn receives(services: &Services, name: &str) {
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    services.receives(study.write_to(&services.folder().join(name)).unwrap()).await;
    services.lists(&study.series_instance_uids()[0], 3).await;
}

/// Each series so far is announced once.
async fn announced(services: &Services, series: usize) {
    let completions = services.completions().await;
    let mut uids: Vec<_> = completions.iter().map(|it| it.series_instance_uid.clone()).collect();
    uids.sort_unstable();
    uids.dedup();
    assert_eq!((completions.len(), uids.len()), (series, series));
}

#[tokio::test]
async fn an_indexer_that_is_stopped_is_replaced_and_stands_by_once_it_goes_on() {
    let services = &mut Services::start_with(&[]).await;
    let mut second = services.another_indexer().await;
    second.stands_by().await;
    receives(services, "before").await;

    services.indexer.signal("STOP");
    second.indexes().await;
    receives(services, "meanwhile").await;
    services.indexer.signal("CONT");
    let taken = |line: &str| line.contains("another indexer has taken over").then_some(());
    services.indexer.says("that it was replaced", taken).await;
    services.indexer.stands_by().await;
    receives(services, "after").await;
    announced(services, 3).await;

    second.kill();
    services.indexer.indexes().await;
    receives(services, "at last").await;
    announced(services, 4).await;
    let printed = [services.indexer.printed(), second.printed()].concat();
    assert!(!printed.contains("ERROR"), "{printed}");
}

#[tokio::test]
async fn one_that_stands_by_is_ready_and_says_that_it_stands_by() {
    let services = &mut Services::start_with(&[]).await;
    let admin = crate::harness::pipeline::free_addr().to_string();
    let mut second = services.another_indexer_with(&[("ADMIN_ADDR", &admin)]).await;
    second.stands_by().await;
    let ready = reqwest::get(format!("http://{admin}/health/ready")).await.unwrap();
    assert_eq!(ready.status(), 200);
    let ready: serde_json::Value = ready.json().await.unwrap();
    let says = "standing by: another indexer has this catalogue";
    assert_eq!(ready["parts"]["indexer"], says);
    let active = async || {
        let metrics = reqwest::get(format!("http://{admin}/metrics")).await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let active = metrics.lines().find(|line| line.starts_with("collimator_indexer_active "));
        active.unwrap_or_default().to_owned()
    };
    assert_eq!(active().await, "collimator_indexer_active 0");
    services.indexer.signal("TERM");
    second.indexes().await;
    assert_eq!(active().await, "collimator_indexer_active 1");
}
