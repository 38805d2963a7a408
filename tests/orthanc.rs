//! Orthanc as the PACS that pushes.

use crate::harness::Collimator;
use crate::harness::tools::{Orthanc, have, sample};
use collimator::synthetic::SyntheticStudy;
use std::path::PathBuf;

#[tokio::test]
async fn orthanc_pushes_whole_studies() {
    if !have("Orthanc") {
        return;
    }
    let collimator = Collimator::start().await;
    let orthanc = Orthanc::start(collimator.dicom).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 5).series("CT", 4);
    for path in study.write_to(folder.path()).unwrap() {
        orthanc.import(&path).await;
    }
    let real = sample("lehmann-t1-tse-sag");
    if let Some(real) = &real {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(real).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            orthanc.import(&file).await;
        }
    }
    let pushed = orthanc.push_everything().await;
    assert_eq!(pushed["FailedInstancesCount"], 0, "{pushed}");

    let [mr, ct] = study.series_instance_uids().try_into().unwrap();
    collimator.lists(&mr, 5).await;
    collimator.lists(&ct, 4).await;
    if real.is_some() {
        collimator.lists("2.25.265891057852514317505363974980016867097", 17).await;
    }
}
