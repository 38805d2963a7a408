//! From a send to a complete series in the catalogue: counted once, complete once.

use crate::harness::tools::{dcmsend, dcmtk, have};
use crate::harness::{Collimator, Services};
use collimator::synthetic::SyntheticStudy;
use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use serde_json::json;
use std::path::PathBuf;

#[tokio::test]
async fn a_series_is_listed_and_announced_once_it_was_quiet() {
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().patient("Roe^Jane", "17").series("MR", 5).series("CT", 3);
    collimator.receives(study.write_to(folder.path()).unwrap()).await;

    let [mr, ct] = study.series_instance_uids().try_into().unwrap();
    let listed = collimator.lists(&mr, 5).await;
    collimator.lists(&ct, 3).await;
    assert_eq!(listed["PatientName"], "Roe^Jane");
    assert_eq!(listed["StudyInstanceUID"], study.study_instance_uid());
    assert_eq!((&listed["Revision"], &listed["Reason"]), (&json!(1), &json!("released")));

    let completions = collimator.completions().await;
    assert_eq!(completions.len(), 2);
    assert_eq!(completions[0].instances_added, completions[0].instances_count);
    assert!(collimator.events("DEAD").await.is_empty());
}

#[tokio::test]
async fn the_same_series_twice_is_counted_and_announced_once() {
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 4);
    let paths = study.write_to(folder.path()).unwrap();
    let [uid] = study.series_instance_uids().try_into().unwrap();
    collimator.receives(paths.clone()).await;
    collimator.lists(&uid, 4).await;
    collimator.receives(paths).await;

    // A second series, complete later than the resend could be, shows that it was passed over.
    let witness = SyntheticStudy::new().series("MR", 1);
    collimator.receives(witness.write_to(&folder.path().join("w")).unwrap()).await;
    collimator.lists(&witness.series_instance_uids()[0], 1).await;
    collimator.lists(&uid, 4).await;
    let completions = collimator.completions().await;
    let of_series = completions.iter().filter(|c| c.series_instance_uid.as_str() == uid).count();
    assert_eq!(of_series, 1);
    assert_eq!(collimator.stored().await.len(), 9);
}

#[tokio::test]
async fn a_late_instance_brings_the_next_revision() {
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 4);
    let mut paths = study.write_to(folder.path()).unwrap();
    let late = paths.split_off(3);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    collimator.receives(paths).await;
    collimator.lists(&uid, 3).await;
    collimator.receives(late).await;
    let listed = collimator.lists(&uid, 4).await;
    assert_eq!(listed["Revision"], 2);
    let completions = collimator.completions().await;
    let announced: Vec<_> =
        completions.iter().map(|c| (c.revision, c.instances_count, c.instances_added)).collect();
    assert_eq!(announced, [(1, 3, 3), (2, 4, 1)]);
}

#[tokio::test]
async fn a_series_sent_by_dcmsend_gives_the_contracts_five_fields_and_its_patient_is_in_no_log() {
    if !have("dcmsend") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let born = |object: &mut InMemDicomObject| {
        object.put_str(tags::PATIENT_BIRTH_DATE, VR::DA, "19010203");
    };
    let study = SyntheticStudy::new().patient("Ashdown^Rosalind", "1").extra(born).series("MR", 17);
    study.write_to(folder.path()).unwrap();
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let collimator = Collimator::start().await;
    dcmsend(collimator.dicom, &[folder.path()]).await;
    collimator.lists(&uid, 17).await;
    let text = reqwest::get(format!("{}/series", collimator.api)).await.unwrap().text().await;
    let expected = format!(
        r#"[{{"SeriesInstanceUID":"{uid}","PatientID":"1","PatientName":"Ashdown^Rosalind","StudyInstanceUID":"{}","InstancesCount":17,"#,
        study.study_instance_uid()
    );
    let text = text.unwrap();
    assert!(text.starts_with(&expected), "{text}");
    let log = collimator.process.printed();
    assert!(!log.contains("Ashdown") && !log.contains("19010203"), "a patient in the log");
}

#[tokio::test]
async fn two_series_interleaved_over_two_associations_are_told_apart() {
    if !have("storescu") {
        return;
    }
    // Each association sends half of both series, and both are open at the same time.
    let folder = tempfile::tempdir().unwrap();
    let studies = ["one", "other"].map(|name| {
        let study = SyntheticStudy::new().series("MR", 17);
        (study.series_instance_uids().remove(0), study.write_to(&folder.path().join(name)).unwrap())
    });
    let [(one, one_files), (other, other_files)] = studies;
    let mixed: Vec<_> = one_files.into_iter().zip(other_files).flat_map(|(a, b)| [a, b]).collect();
    let (first, second) = mixed.split_at(mixed.len() / 2);
    let collimator = Collimator::start().await;
    let store = async |files: &[PathBuf]| {
        let paths: Vec<_> = files.iter().map(PathBuf::as_path).collect();
        let output = dcmtk("storescu", collimator.dicom, &["-R"], &paths).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    tokio::join!(store(first), store(second));
    collimator.lists(&one, 17).await;
    collimator.lists(&other, 17).await;
    assert_eq!(collimator.series().await.len(), 2);
}

#[tokio::test]
async fn each_service_as_a_process_of_its_own_does_the_same() {
    let services = Services::start_with(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 7);
    services.receives(study.write_to(folder.path()).unwrap()).await;
    let [uid] = study.series_instance_uids().try_into().unwrap();
    services.lists(&uid, 7).await;
    assert_eq!(services.series().await.len(), 1);
    assert_eq!(services.completions().await.len(), 1);
}

#[tokio::test]
async fn no_log_line_names_a_patient_at_any_level() {
    let collimator = Collimator::start_with(&[("RUST_LOG", "trace")]).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().patient("Unmistakable^Name", "ID-4711").series("MR", 2);
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    let listed = collimator.lists(&study.series_instance_uids()[0], 2).await;
    assert_eq!(listed["PatientID"], "ID-4711");
    let log = collimator.process.printed();
    assert!(log.contains("\"DEBUG\""), "it does log more than usual");
    for line in log.lines() {
        assert!(!line.contains("Unmistakable") && !line.contains("ID-4711"), "{line}");
    }
}
