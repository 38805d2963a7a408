//! QIDO-RS as a client of others reads it: dicomweb-client, on what came by DICOM.

use crate::harness::{Collimator, python};
use collimator::synthetic::SyntheticStudy;

const CLIENT: [&str; 1] = ["dicomweb-client==0.61.2"];

/// Asks at each level, and prints what it made of the answers.
const SCRIPT: &str = r#"
import sys, warnings
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset

client = DICOMwebClient(url=sys.argv[1])
read = lambda results: [Dataset.from_json(result) for result in results]
[study] = read(client.search_for_studies(fields=["StudyDescription"]))
assert "\u00eb" in str(study.PatientName), study.PatientName
assert study.PatientName.family_name, study.PatientName
name = str(study.PatientName).split("^")[0]
assert len(client.search_for_studies(search_filters={"PatientName": name + "*"})) == 1
assert len(client.search_for_studies(search_filters={"00100020": study.PatientID})) == 1
assert client.search_for_studies(search_filters={"PatientID": "no*body"}) == []
date = study.StudyDate
assert len(client.search_for_studies(search_filters={"StudyDate": f"{date}-{date}"})) == 1
assert study.NumberOfStudyRelatedSeries == 2 and study.NumberOfStudyRelatedInstances == 5
series = read(client.search_for_series(study.StudyInstanceUID))
assert sorted(one.Modality for one in series) == ["CT", "MR"]
assert len(client.search_for_series(search_filters={"Modality": "CT"})) == 1
assert len(client.search_for_series(limit=1)) == 1
assert len(client.search_for_series(limit=1, offset=2)) == 0
for one in series:
    instances = read(client.search_for_instances(study.StudyInstanceUID, one.SeriesInstanceUID))
    assert len(instances) == one.NumberOfSeriesRelatedInstances
    assert all(instance.Rows == 16 for instance in instances)
assert len(client.search_for_instances(study.StudyInstanceUID)) == 5
assert len(client.search_for_instances()) == 5
assert len(client.search_for_studies(fuzzymatching=True)) == 1
print("read", len(series))
"#;

#[tokio::test]
async fn dicomweb_client_finds_what_came_by_dicom_at_each_level() {
    let Some(packages) = python::packages("dicomweb", &CLIENT).await else { return };
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new()
        .patient("Königin^Zoë", "DEMO-9")
        .series("MR", 3)
        .series("CT", 2)
        .size(16, 16);
    let uids = study.series_instance_uids();
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    for (uid, count) in [(&uids[0], 3), (&uids[1], 2)] {
        collimator.lists(uid, count).await;
    }
    let url = format!("{}/dicom-web", collimator.api);
    assert_eq!(python::run(&packages, SCRIPT, &[&url]).await, "read 2\n");
}
