//! SIGTERM: what has begun is finished, the rest is told to come again, and the exit code is 0.

use crate::harness::scu::{Kind, Received, Scu, written};
use crate::harness::{Collimator, Services, eventually};
use collimator::synthetic::SyntheticStudy;
use dicom_dictionary_std::uids;
use dicom_object::{FileDicomObject, InMemDicomObject};

/// Sends an instance until the receiver is in the middle of it, and gives the rest of its data set. To a receiver that
/// has not read the command yet an association is idle.
async fn begin(
    services: &Services,
    scu: &mut Scu,
    image: &FileDicomObject<InMemDicomObject>,
) -> Vec<u8> {
    let (sop, data_set) = written(image);
    let command = scu.store_command(uids::MR_IMAGE_STORAGE, &sop, true);
    scu.send(1, Kind::Command, &command, 1000).await;
    let mut rest = data_set.as_slice();
    eventually("the heartbeat of the instance", async || {
        let (piece, others) = rest.split_at(100);
        scu.send_part(piece, false).await;
        rest = others;
        let events = services.events("INSTANCES").await;
        events.iter().any(|it| it.subject.starts_with("dicom.instance.receiving")).then_some(())
    })
    .await;
    rest.to_vec()
}

#[tokio::test]
async fn a_store_that_has_begun_is_answered_before_the_receiver_ends() {
    let mut services = Services::start_with(&[]).await;
    let study = SyntheticStudy::new().series("MR", 2).size(512, 512);
    let images = study.instances().unwrap();
    let mut busy = Scu::for_mr(services.dicom).await;
    let mut idle = Scu::for_mr(services.dicom).await;
    busy.stores(&images[0]).await;

    let rest = begin(&services, &mut busy, &images[1]).await;
    services.ingest.signal("TERM");
    // The idle one is told at once.
    assert!(matches!(idle.next().await, Some(Received::Abort)));
    busy.send(1, Kind::DataSet, &rest, 10_000).await;
    assert_eq!(busy.answer().await.status, 0);
    assert!(matches!(busy.next().await, Some(Received::Abort)));
    assert_eq!(services.ingest.ended().await, Some(0));
    assert!(tokio::net::TcpStream::connect(services.dicom).await.is_err(), "the port is closed");

    let told = services.events("INSTANCES").await;
    let aborted = told.iter().rfind(|e| e.subject.starts_with("dicom.association.aborted"));
    let aborted: serde_json::Value = serde_json::from_slice(&aborted.unwrap().payload).unwrap();
    assert_eq!((&aborted["Acknowledged"], &aborted["Failed"]), (&2.into(), &0.into()));
    assert_eq!(aborted["Cause"], "the receiver was stopped");
    assert_eq!(services.stored().await.len(), 2);
}

#[tokio::test]
async fn a_receiver_that_is_stopping_takes_no_new_association() {
    let mut services = Services::start_with(&[]).await;
    let study = SyntheticStudy::new().series("MR", 1).size(512, 512);
    let mut busy = Scu::for_mr(services.dicom).await;
    let rest = begin(&services, &mut busy, &study.instances().unwrap()[0]).await;
    services.ingest.signal("TERM");
    eventually("the port to be closed", async || {
        tokio::net::TcpStream::connect(services.dicom).await.is_err().then_some(())
    })
    .await;
    busy.send(1, Kind::DataSet, &rest, 10_000).await;
    assert_eq!(busy.answer().await.status, 0);
    assert_eq!(services.ingest.ended().await, Some(0));
}

#[tokio::test]
async fn associations_go_on_until_the_end_of_the_drain_and_no_longer() {
    let mut services = Services::start_with(&[("DRAIN_TIMEOUT", "3s")]).await;
    let study = SyntheticStudy::new().series("MR", 2).size(64, 64);
    let images = study.instances().unwrap();
    let mut busy = Scu::for_mr(services.dicom).await;
    let mut idle = Scu::for_mr(services.dicom).await;
    busy.stores(&images[0]).await;
    services.ingest.signal("TERM");
    let draining = |line: &str| line.contains("draining").then_some(());
    services.ingest.says("that it drains", draining).await;
    busy.stores(&images[1]).await;
    busy.release().await;
    // This one stays, and is aborted.
    assert!(matches!(idle.next().await, Some(Received::Abort)));
    assert_eq!(services.ingest.ended().await, Some(0));
    let told = services.events("INSTANCES").await;
    assert!(told.iter().any(|event| event.subject.starts_with("dicom.association.released")));
}

#[tokio::test]
async fn a_second_signal_ends_a_drain() {
    let mut collimator = Collimator::start_with(&[("DRAIN_TIMEOUT", "1h")]).await;
    let mut idle = Scu::for_mr(collimator.dicom).await;
    collimator.process.signal("TERM");
    let draining = |line: &str| line.contains("draining").then_some(());
    collimator.process.says("that it drains", draining).await;
    assert!(!collimator.is_ready().await, "the API answers meanwhile");
    collimator.process.signal("INT");
    assert!(matches!(idle.next().await, Some(Received::Abort)));
    assert_eq!(collimator.process.ended().await, Some(0));
}
