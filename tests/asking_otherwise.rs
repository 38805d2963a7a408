//! Sources that are asked over TLS, and by QIDO-RS.

use crate::asking::{answered, completed, said, settings};
use crate::harness::Collimator;
use crate::harness::tls::Authority;
use crate::harness::tools::{Orthanc, free_port, have, skip};
use collimator::synthetic::SyntheticStudy;
use contract::event::Reason;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// Orthanc's plugin for DICOMweb (Debian: orthanc-dicomweb).
const DICOM_WEB: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";

/// A sources file in which `PACS` is asked so, and the path of it.
pub(crate) fn asked_by(folder: &TempDir, ask: &str) -> &'static str {
    let file = folder.path().join("sources.toml");
    std::fs::write(&file, format!("[[source]]\nae_title = 'PACS'\nask = {{ {ask} }}\n")).unwrap();
    file.to_str().unwrap().to_owned().leak()
}

/// Whether Orthanc and its plugin for DICOMweb are here.
pub(crate) fn have_dicom_web() -> bool {
    have("Orthanc") && (Path::new(DICOM_WEB).is_file() || skip("orthanc-dicomweb is not installed"))
}

/// Its settings with DICOMweb at a port.
pub(crate) fn dicom_web(http: u16) -> Value {
    json!({ "HttpPort": http, "Plugins": [DICOM_WEB] })
}

/// Orthanc has 5 instances and pushes 2 of them; Collimator, that asks so, holds the series until it pushes the rest.
async fn holds_what_orthanc_has_more_of(collimator: &Collimator, orthanc: &Orthanc) {
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 5).size(16, 16);
    for path in study.write_to(folder.path()).unwrap() {
        orthanc.import(&path).await;
    }
    let instances = orthanc.all("instances").await;
    orthanc.push(&instances[..2]).await;
    let answers = answered(collimator, 1).await;
    assert_eq!((answers[0].count, answers[0].no_answer.as_deref()), (Some(5), None));
    assert_eq!(collimator.completions().await.len(), 0, "2 of 5 are not announced");
    orthanc.push(&instances[2..]).await;
    collimator.lists(&study.series_instance_uids()[0], 5).await;
    assert_eq!(said(&completed(collimator).await), (1, 5, Reason::Released, None));
}

#[tokio::test]
async fn a_source_is_asked_by_qido_rs() {
    if !have_dicom_web() {
        return;
    }
    let (folder, http) = (tempfile::tempdir().unwrap(), free_port());
    let file = asked_by(&folder, &format!("url = 'http://127.0.0.1:{http}/dicom-web/'"));
    let collimator = Collimator::start_with(&settings(file)).await;
    let orthanc = Orthanc::start_with(free_port(), collimator.dicom, &dicom_web(http)).await;
    holds_what_orthanc_has_more_of(&collimator, &orthanc).await;
}

#[tokio::test]
async fn a_source_is_asked_over_tls_with_a_certificate_of_ours() {
    if !have("Orthanc") {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let authority = Authority::new(folder.path(), "ca");
    let (theirs, ours) = (authority.issue("pacs"), authority.issue("us"));
    let ask = format!(
        "ae_title = 'PACS', host = 'localhost', port = {port}, \
         tls = {{ ca = '{}', certificate = '{}', key = '{}' }}",
        authority.file.display(),
        ours.certificate.display(),
        ours.key.display(),
    );
    let collimator = Collimator::start_with(&settings(asked_by(&folder, &ask))).await;
    let orthanc = Orthanc::start_with(
        port,
        collimator.dicom,
        &json!({
            "DicomTlsEnabled": true,
            "DicomTlsCertificate": theirs.certificate,
            "DicomTlsPrivateKey": theirs.key,
            "DicomTlsTrustedCertificates": authority.file,
        }),
    )
    .await;
    holds_what_orthanc_has_more_of(&collimator, &orthanc).await;
}
