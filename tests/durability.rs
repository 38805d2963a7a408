//! Whether a Success is safe from a power cut is looked at when the receiver starts, and said.

use crate::harness::pipeline::{
    Process, free_addr, nats_conf, nats_server, service, test_settings,
};
use std::path::Path;

/// Starts a broker with a configuration and a receiver that may look at it; gives what that says.
async fn said(configuration: &Path, looks: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (nats, monitoring) = (free_addr(), free_addr());
    let _broker = nats_server(configuration, folder.path(), nats.port(), monitoring.port()).await;
    let mut settings = test_settings(folder.path());
    settings.push(("NATS_URL", format!("nats://{nats}")));
    if looks {
        settings.push(("NATS_MONITOR_URL", format!("http://{monitoring}")));
    }
    let mut ingest = Process::start(&service("ingest").await, folder.path(), &settings);
    ingest.says("whether it is safe", |l| l.contains("each event").then(|| l.to_owned())).await
}

#[tokio::test]
async fn a_broker_that_syncs_each_event_is_said_to() {
    let line = said(&nats_conf(), true).await;
    assert!(line.contains("INFO") && line.contains("NATS syncs each event"), "{line}");
}

#[tokio::test]
async fn a_broker_that_does_not_and_one_that_nobody_can_look_at_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let lazy = folder.path().join("lazy.conf");
    let ours = std::fs::read_to_string(nats_conf()).unwrap();
    std::fs::write(&lazy, ours.replace("sync_interval: always", "sync_interval: 2m")).unwrap();
    let line = said(&lazy, true).await;
    assert!(line.contains("WARN") && line.contains("does not sync each event"), "{line}");
    let line = said(&nats_conf(), false).await;
    assert!(line.contains("WARN") && line.contains("NATS_MONITOR_URL"), "{line}");
}
