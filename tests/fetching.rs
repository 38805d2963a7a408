//! What a source has more is fetched from it.

use crate::asking::{completed, settings};
use crate::asking_otherwise::{asked_by, dicom_web, have_dicom_web};
use crate::harness::schemas::Schemas;
use crate::harness::tools::{Orthanc, dcmqrscp, dcmtk, free_port, have};
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use contract::event::{InstancesFetched, InstancesWanted, Reason};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// Waits for the completion of a series of 17, of which 9 were sent, and for the record of what was fetched.
async fn is_whole_by_itself(collimator: &Collimator) {
    let completion = completed(collimator).await;
    let said = (completion.revision, completion.instances_count, completion.reason);
    assert_eq!(said, (1, 17, Reason::Released));
    assert_eq!((completion.fetched, completion.expected_count), (8, None));
    let fetched = eventually("the record of it", async || {
        let events = collimator.events("INSTANCES").await;
        let schemas = Schemas::read();
        let evidence = events.iter().filter(|it| it.subject.starts_with("dicom.evidence."));
        evidence.for_each(|event| assert!(schemas.hold(event).starts_with("dicom.evidence.")));
        let of = |kind: &str| {
            let subject = format!("dicom.evidence.{kind}.");
            events.iter().filter(|it| it.subject.starts_with(&subject)).collect::<Vec<_>>()
        };
        let (wanted, fetched) = (of("wanted"), of("fetched"));
        assert!(wanted.len() <= 1, "once for each revision");
        let wanted: InstancesWanted = serde_json::from_slice(&wanted.first()?.payload).unwrap();
        assert_eq!(wanted.instances.len(), 8);
        Some(serde_json::from_slice::<InstancesFetched>(&fetched.first()?.payload).unwrap())
    })
    .await;
    assert_eq!((fetched.wanted, fetched.failure), (8, None));
    collimator.tells("fetches_total{outcome=\"fetched\"}", 1).await;
}

async fn pushes_9_of_17(orthanc: &Orthanc, folder: &Path) {
    for path in SyntheticStudy::new().series("MR", 17).size(16, 16).write_to(folder).unwrap() {
        orthanc.import(&path).await;
    }
    orthanc.push(&orthanc.all("instances").await[..9]).await;
}

#[tokio::test]
async fn what_orthanc_has_more_comes_by_c_move() {
    if !have("Orthanc") {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let ask = format!("ae_title = 'PACS', host = '127.0.0.1', port = {port}, fetch_missing = true");
    let collimator = Collimator::start_with(&settings(asked_by(&folder, &ask))).await;
    let orthanc = Orthanc::start_at(port, collimator.dicom).await;
    pushes_9_of_17(&orthanc, folder.path()).await;
    is_whole_by_itself(&collimator).await;
}

#[tokio::test]
async fn what_a_source_by_url_has_more_comes_by_wado_rs() {
    if !have_dicom_web() {
        return;
    }
    let (folder, http) = (tempfile::tempdir().unwrap(), free_port());
    let ask = format!("url = 'http://127.0.0.1:{http}/dicom-web', fetch_missing = true");
    let collimator = Collimator::start_with(&settings(asked_by(&folder, &ask))).await;
    let orthanc = Orthanc::start_with(free_port(), collimator.dicom, &dicom_web(http)).await;
    pushes_9_of_17(&orthanc, folder.path()).await;
    is_whole_by_itself(&collimator).await;
}

#[tokio::test]
async fn what_dcmqrscp_has_more_comes_by_c_move() {
    if !have("dcmqrscp") {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let ask = format!("ae_title = 'PACS', host = '127.0.0.1', port = {port}, fetch_missing = true");
    let collimator = Collimator::start_with(&settings(asked_by(&folder, &ask))).await;
    let us = format!("us = (COLLIMATOR, 127.0.0.1, {})\n", collimator.dicom.port());
    let mut dcmqrscp = dcmqrscp(folder.path(), at, &us).await;
    let study = SyntheticStudy::new().series("MR", 17).size(16, 16);
    let files = study.write_to(&folder.path().join("files")).unwrap();
    let files: Vec<_> = files.iter().map(|path| path.as_path()).collect();
    let stored = dcmtk("storescu", at, &["-aec", "PACS"], &files).await;
    assert!(stored.status.success(), "{stored:?}");
    let pushed = ["-aet", "PACS", "-aec", "COLLIMATOR"];
    let pushed = dcmtk("storescu", collimator.dicom, &pushed, &files[..9]).await;
    assert!(pushed.status.success(), "{pushed:?}");
    is_whole_by_itself(&collimator).await;
    dcmqrscp.kill().await.unwrap();
}
