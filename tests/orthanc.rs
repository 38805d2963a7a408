//! Orthanc as the PACS that pushes.

use crate::harness::Collimator;
use crate::harness::tools::{Orthanc, have};
use collimator::synthetic::SyntheticStudy;

#[tokio::test]
async fn orthanc_pushes_whole_studies() {
    if !have("Orthanc") {
        return;
    }
    let collimator = Collimator::start().await;
    let orthanc = Orthanc::start(collimator.dicom).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 17).series("CT", 4);
    for path in study.write_to(folder.path()).unwrap() {
        orthanc.import(&path).await;
    }
    let pushed = orthanc.push_everything().await;
    assert_eq!(pushed["FailedInstancesCount"], 0, "{pushed}");

    let [mr, ct] = study.series_instance_uids().try_into().unwrap();
    collimator.lists(&mr, 17).await;
    collimator.lists(&ct, 4).await;
}
