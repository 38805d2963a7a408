//! NATS hangs, dies and comes back: senders are refused in time, on associations that stay, and the
//! receiver says that it is not ready.

use crate::harness::eventually;
use crate::harness::pipeline::{
    Process, address, free_addr, nats_conf, nats_server, service, test_settings,
};
use crate::harness::scu::{Scu, written};
use collimator::synthetic::SyntheticStudy;
use dicom_dictionary_std::uids;
use std::net::SocketAddr;
use tempfile::TempDir;

/// A broker that can be hurt, and a receiver.
struct Receiver {
    nats: Process,
    nats_addr: SocketAddr,
    dicom: SocketAddr,
    ready: String,
    _ingest: Process,
    folder: TempDir,
}

impl Receiver {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (nats_addr, admin) = (free_addr(), free_addr());
        let nats = nats_server(&nats_conf(), folder.path(), nats_addr.port(), 0).await;
        let mut settings = test_settings(folder.path());
        settings.extend([
            ("NATS_URL", format!("nats://{nats_addr}")),
            ("ADMIN_ADDR", admin.to_string()),
            ("PUBLISH_TIMEOUT", "1s".to_owned()),
        ]);
        let mut ingest = Process::start(&service("ingest").await, folder.path(), &settings);
        let dicom = ingest.says("where it receives", |l| address(l, "ingest listens")).await;
        let ready = format!("http://{admin}/health/ready");
        let receiver = Self { nats, nats_addr, dicom, ready, _ingest: ingest, folder };
        receiver.is(200, "").await;
        receiver
    }

    /// Waits for an answer about its readiness.
    async fn is(&self, status: u16, why: &str) {
        eventually(&format!("{status} {why:?} at {}", self.ready), async || {
            let answer = reqwest::get(&self.ready).await.ok()?;
            let found = answer.status().as_u16();
            (found == status && answer.text().await.ok()?.contains(why)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_broker_that_hangs_refuses_in_time_and_the_association_goes_on_afterwards() {
    let receiver = Receiver::start().await;
    let images = SyntheticStudy::new().series("MR", 3).size(16, 16).instances().unwrap();
    let mut scu = Scu::for_mr(receiver.dicom).await;
    scu.stores(&images[0]).await;
    receiver.nats.signal("STOP");
    let (sop, data_set) = written(&images[1]);
    let refused = scu.store(1, uids::MR_IMAGE_STORAGE, &sop, &data_set).await;
    assert_eq!(refused.status, 0xa700);
    assert!(refused.comment.contains("did not acknowledge within 1s"), "{refused:?}");
    receiver.is(503, "acknowledge").await;
    receiver.nats.signal("CONT");
    // Without any sender trying.
    receiver.is(200, "").await;
    for image in &images[1..] {
        scu.stores(image).await;
    }
    scu.release().await;
}

#[tokio::test]
async fn a_broker_that_dies_and_comes_back_is_found_again() {
    let mut receiver = Receiver::start().await;
    let images = SyntheticStudy::new().series("MR", 2).size(16, 16).instances().unwrap();
    let mut scu = Scu::for_mr(receiver.dicom).await;
    scu.stores(&images[0]).await;
    receiver.nats.kill();
    receiver.is(503, "disconnected").await;
    let (sop, data_set) = written(&images[1]);
    let refused = scu.store(1, uids::MR_IMAGE_STORAGE, &sop, &data_set).await;
    assert_eq!(refused.status, 0xa700);
    let (folder, port) = (receiver.folder.path(), receiver.nats_addr.port());
    receiver.nats = nats_server(&nats_conf(), folder, port, 0).await;
    receiver.is(200, "").await;
    scu.stores(&images[1]).await;
    scu.release().await;
}
