//! Whether a Success is safe from a power cut is looked at when the receiver starts, and said; and none is given
//! where the disk fails.

use crate::harness::failing_disk::FailingDisk;
use crate::harness::pipeline::{
    Process, address, free_addr, nats_conf, nats_server, service, test_settings, with,
};
use collimator::send::{SendSettings, send};
use collimator::synthetic::SyntheticStudy;
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

#[tokio::test]
async fn a_sender_gets_no_success_for_an_instance_that_the_disk_could_not_sync() {
    /// Refused: Out of Resources (PS3.4 B.2.3).
    const OUT_OF_RESOURCES: u16 = 0xa700;
    let folder = tempfile::tempdir().unwrap();
    let nats = free_addr();
    let mut broker = nats_server(&nats_conf(), folder.path(), nats.port(), 0).await;
    let url = format!("nats://{nats}");
    let settings = [("NATS_URL", &*url), ("PUBLISH_TIMEOUT", "2s")];
    let settings = with(test_settings(folder.path()), &settings);
    let mut ingest = Process::start(&service("ingest").await, folder.path(), &settings);
    let dicom = ingest.says("where it receives", |line| address(line, "ingest listens")).await;
    let written = |name: &str| {
        SyntheticStudy::new().series("MR", 2).write_to(&folder.path().join(name)).unwrap()
    };
    let (before, meanwhile) = (written("before"), written("meanwhile"));
    let sent = async |paths: &[_]| {
        send(&SendSettings::new(dicom.to_string(), paths.to_vec())).await.unwrap()
    };
    assert!(sent(&before).await.is_complete());

    let Some(disk) = FailingDisk::of(broker.id(), folder.path()).await else { return };
    let report = sent(&meanwhile).await;
    let statuses: Vec<_> = report.not_stored.iter().map(|notice| notice.status).collect();
    assert_eq!((report.stored, statuses), (0, vec![Some(OUT_OF_RESOURCES); 2]), "{report:?}");
    assert!(disk.ends().await > 0, "no sync has failed");

    // It stores nothing more until it is started again.
    broker.kill();
    let _broker = nats_server(&nats_conf(), folder.path(), nats.port(), 0).await;
    let report = sent(&meanwhile).await;
    assert!(report.is_complete(), "{report:?}");
}
