//! NATS hangs, dies and comes back: senders are refused in time, on associations that stay, and the
//! receiver says that it is not ready.

use crate::harness::link::Link;
use crate::harness::pipeline::{
    Process, address, free_addr, nats_conf, nats_server, service, signal, test_settings,
};
use crate::harness::schemas::Schemas;
use crate::harness::scu::{Scu, written};
use crate::harness::small_disk::SmallDisk;
use crate::harness::{Collimator, eventually};
use collimator::send::{SendSettings, send};
use collimator::synthetic::SyntheticStudy;
use contract::event::IngestResumed;
use dicom_dictionary_std::uids;
use futures_util::StreamExt as _;
use std::net::SocketAddr;
use tempfile::TempDir;

/// A broker that can be hurt, and a receiver.
struct Receiver {
    nats: Process,
    nats_addr: SocketAddr,
    /// Between the two.
    link: Link,
    dicom: SocketAddr,
    ready: String,
    _ingest: Process,
    folder: TempDir,
}

impl Receiver {
    async fn start() -> Self {
        Self::start_with("1s").await
    }

    async fn start_with(publish_timeout: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (nats_addr, admin) = (free_addr(), free_addr());
        let nats = nats_server(&nats_conf(), folder.path(), nats_addr.port(), 0).await;
        let link = Link::to(nats_addr).await;
        let mut settings = test_settings(folder.path());
        settings.extend([
            ("NATS_URL", format!("nats://{}", link.addr)),
            ("ADMIN_ADDR", admin.to_string()),
            ("PUBLISH_TIMEOUT", publish_timeout.to_owned()),
        ]);
        let mut ingest = Process::start(&service("ingest").await, folder.path(), &settings);
        let dicom = ingest.says("where it receives", |l| address(l, "ingest listens")).await;
        let ready = format!("http://{admin}/health/ready");
        let receiver = Self { nats, nats_addr, link, dicom, ready, _ingest: ingest, folder };
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
    // The end of the outage is on the record.
    let nats = async_nats::connect(receiver.nats_addr.to_string()).await.unwrap();
    let stream = async_nats::jetstream::new(nats).get_stream("INSTANCES").await.unwrap();
    let resumed = stream.get_last_raw_message_by_subject("dicom.ingest.resumed.>").await.unwrap();
    assert_eq!(Schemas::read().hold(&resumed), "dicom.ingest.resumed");
    let resumed: IngestResumed = serde_json::from_slice(&resumed.payload).unwrap();
    assert_eq!((resumed.outage, resumed.cause.contains("1s")), (1, true), "{resumed:?}");
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

#[tokio::test]
async fn a_dead_connection_to_the_broker_is_made_anew_before_anybody_is_refused() {
    let receiver = Receiver::start_with("20s").await;
    let images = SyntheticStudy::new().series("MR", 3).size(16, 16).instances().unwrap();
    let mut scu = Scu::for_mr(receiver.dicom).await;
    for image in &images {
        scu.stores(image).await;
        receiver.link.die();
    }
    scu.release().await;
}

#[tokio::test]
async fn a_stream_that_nobody_leads_for_a_moment_refuses_nobody() {
    let receiver = Receiver::start_with("20s").await;
    let images = SyntheticStudy::new().series("MR", 2).size(16, 16).instances().unwrap();
    let mut scu = Scu::for_mr(receiver.dicom).await;
    scu.stores(&images[0]).await;
    // As in an election: who publishes is told that nobody takes it.
    let nats = async_nats::connect(receiver.nats_addr.to_string()).await.unwrap();
    let mut tries = nats.subscribe("dicom.instance.stored.>").await.unwrap();
    let jetstream = async_nats::jetstream::new(nats.clone());
    let stream = jetstream.get_stream("INSTANCES").await.unwrap();
    let config = stream.cached_info().config.clone();
    jetstream.delete_stream("INSTANCES").await.unwrap();
    let led_again = async {
        for _ in 0..3 {
            tries.next().await.unwrap();
        }
        jetstream.create_stream(config).await.unwrap();
    };
    tokio::join!(scu.stores(&images[1]), led_again);
    scu.release().await;
    receiver.is(200, "").await;
}

#[tokio::test]
async fn an_own_broker_that_hangs_is_restarted_and_keeps_what_it_had() {
    let collimator = Collimator::start_with(&[("PUBLISH_TIMEOUT", "1s")]).await;
    let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let images = study.instances().unwrap();
    let mut scu = Scu::for_mr(collimator.dicom).await;
    scu.stores(&images[0]).await;
    let [broker] = collimator.process.children()[..] else { panic!("one nats-server") };
    signal(broker, "STOP");
    let (sop, data_set) = written(&images[1]);
    let refused = scu.store(1, uids::MR_IMAGE_STORAGE, &sop, &data_set).await;
    assert_eq!(refused.status, 0xa700);
    eventually("another nats-server", async || {
        let children = collimator.process.children();
        (children.len() == 1 && children[0] != broker).then_some(())
    })
    .await;
    eventually("readiness", async || collimator.is_ready().await.then_some(())).await;
    scu.stores(&images[1]).await;
    scu.release().await;
    collimator.lists(&study.series_instance_uids()[0], 2).await;
    assert_eq!(collimator.stored_instances().await.len(), 2);
}

#[tokio::test]
async fn streams_that_somebody_deleted_are_made_anew_without_a_restart() {
    let collimator = Collimator::start_with(&[("PUBLISH_TIMEOUT", "1s")]).await;
    let jetstream = async_nats::jetstream::new(collimator.nats.clone());
    let folder = tempfile::tempdir().unwrap();
    let study = || SyntheticStudy::new().series("MR", 8).size(16, 16);
    let (before, after) = (study(), study());
    collimator.receives(before.write_to(&folder.path().join("before")).unwrap()).await;
    collimator.lists(&before.series_instance_uids()[0], 8).await;
    let children = collimator.process.children();
    let made_anew = async || {
        eventually("the restored streams", async || {
            let all = ["INSTANCES", "SERIES", "DEAD"];
            for name in all {
                jetstream.get_stream(name).await.ok()?;
            }
            collimator.is_ready().await.then_some(())
        })
        .await;
    };

    jetstream.delete_stream("INSTANCES").await.unwrap();
    let paths = after.write_to(&folder.path().join("after")).unwrap();
    let to = collimator.dicom.to_string();
    let mut refused = send(&SendSettings::new(&to, paths)).await.unwrap().not_stored;
    eventually("the rest to be stored", async || {
        let paths: Vec<_> = refused.iter().map(|notice| notice.path.clone()).collect();
        if !paths.is_empty() {
            refused = send(&SendSettings::new(&to, paths)).await.unwrap().not_stored;
        }
        refused.is_empty().then_some(())
    })
    .await;
    collimator.lists(&after.series_instance_uids()[0], 8).await;
    collimator.lists(&before.series_instance_uids()[0], 8).await;
    made_anew().await;

    // Those too for which nobody waits just now.
    for stream in ["INSTANCES", "SERIES", "DEAD"] {
        jetstream.delete_stream(stream).await.unwrap();
    }
    made_anew().await;
    let again = study();
    collimator.receives(again.write_to(&folder.path().join("again")).unwrap()).await;
    collimator.lists(&again.series_instance_uids()[0], 8).await;
    eventually("the announcement", async || {
        (collimator.completions().await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(collimator.process.children(), children, "the same nats-server");
    assert!(collimator.process.printed().contains("they are made anew"));
}

#[tokio::test]
async fn a_full_disk_under_the_broker_refuses_and_is_over_once_there_is_room() {
    let Some(disk) = SmallDisk::mount(48) else { return };
    let data: &str = disk.path().join("data").to_str().unwrap().to_owned().leak();
    let collimator = Collimator::start_with(&[("DATA_DIR", data), ("PUBLISH_TIMEOUT", "1s")]).await;
    let said = collimator.process.printed();
    assert!(said.contains("the disk of") && said.contains("too small"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let (before, during) =
        (SyntheticStudy::new().series("MR", 5), SyntheticStudy::new().series("MR", 20));
    collimator.receives(before.write_to(&folder.path().join("before")).unwrap()).await;
    let filler = disk.fill();
    let paths = during.write_to(&folder.path().join("during")).unwrap();
    let to = collimator.dicom.to_string();
    let mut refused = send(&SendSettings::new(&to, paths)).await.unwrap().not_stored;
    assert!(!refused.is_empty(), "the disk is not full");
    assert!(refused.iter().all(|notice| notice.status == Some(0xa700)), "{refused:?}");
    eventually("no readiness", async || (!collimator.is_ready().await).then_some(())).await;
    std::fs::remove_file(filler).unwrap();
    eventually("readiness", async || collimator.is_ready().await.then_some(())).await;
    eventually("room for the rest", async || {
        let paths = refused.iter().map(|notice| notice.path.clone()).collect();
        refused = send(&SendSettings::new(&to, paths)).await.unwrap().not_stored;
        refused.is_empty().then_some(())
    })
    .await;
    collimator.lists(&before.series_instance_uids()[0], 5).await;
    collimator.lists(&during.series_instance_uids()[0], 20).await;
    assert_eq!(collimator.stored_instances().await.len(), 25);
}
