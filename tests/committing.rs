//! Peers that ask for storage commitment (PS3.4 annex J): their lists complete series, and each gets its report.

use crate::harness::pipeline::Ends;
use crate::harness::python::{python, run};
use crate::harness::scu::Scu;
use crate::harness::tools::{Orthanc, free_port, have};
use crate::harness::{Collimator, Services, eventually};
use collimator::synthetic::SyntheticStudy;
use contract::event::{EvidenceKind, Reason, SeriesCompleted};
use dicom_object::{FileDicomObject, InMemDicomObject};
use dimse::command::{Operation, Request};
use dimse::data_set::Writer;
use dimse::identifier::{Encoding, IMPLICIT_VR_LITTLE_ENDIAN};
use dimse::proposal::Proposal;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

const PUSH_MODEL: &str = "1.2.840.10008.1.20.1";

/// A sources file in which one asks for commitments and takes reports at a port, and the path of it.
fn sources(folder: &TempDir, ae_title: &str, report_to: u16) -> &'static str {
    let file = folder.path().join("sources.toml");
    let entry = format!(
        "[[source]]\nae_title = '{ae_title}'\ncommitment = 'evidence'\n\
         report_to = {{ ae_title = '{ae_title}', host = '127.0.0.1', port = {report_to} }}\n"
    );
    std::fs::write(&file, entry).unwrap();
    file.to_str().unwrap().to_owned().leak()
}

/// With which neither a release nor silence completes anything soon.
fn settings(file: &'static str) -> [(&'static str, &'static str); 4] {
    [
        ("SETTLE_PERIOD", "30s"),
        ("QUIET_PERIOD", "1h"),
        ("ABORT_GRACE", "31s"),
        ("SOURCES_FILE", file),
    ]
}

async fn completed(ends: &Ends) -> SeriesCompleted {
    eventually("a completion", async || ends.completions().await.into_iter().next()).await
}

/// Sends a series of small images in an association of `TEST_SCU`; gives their UIDs.
async fn sends(to: SocketAddr, instances: u32) -> Vec<String> {
    let study = SyntheticStudy::new().series("MR", instances).size(16, 16);
    let images: Vec<FileDicomObject<InMemDicomObject>> = study.instances().unwrap();
    let mut scu = Scu::for_mr(to).await;
    for image in &images {
        scu.stores(image).await;
    }
    scu.release().await;
    images.iter().map(|image| image.meta().media_storage_sop_instance_uid().to_owned()).collect()
}

#[tokio::test]
async fn orthanc_that_asks_for_commitment_completes_its_series_at_once_and_keeps_its_copies() {
    if !have("Orthanc") {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let collimator = Collimator::start_with(&settings(sources(&folder, "PACS", port))).await;
    let orthanc = Orthanc::start_at(port, collimator.dicom).await;
    for path in SyntheticStudy::new().series("MR", 17).write_to(folder.path()).unwrap() {
        orthanc.import(&path).await;
    }
    let body = serde_json::json!({
        "Resources": orthanc.all("studies").await, "StorageCommitment": true, "Synchronous": false,
    });
    let client = reqwest::Client::new();
    let store = format!("{}/modalities/collimator/store", orthanc.url);
    let answer = client.post(store).json(&body).send().await.unwrap();
    let job: serde_json::Value = answer.json().await.unwrap();
    let completion = completed(&collimator).await;
    assert_eq!((completion.reason, completion.instances_count), (Reason::Confirmed, 17));
    let kinds: Vec<_> = completion.evidence.iter().map(|evidence| evidence.kind).collect();
    assert_eq!(kinds[0], EvidenceKind::Commitment, "{kinds:?}");
    let job = format!("{}/jobs/{}", orthanc.url, job["ID"].as_str().unwrap());
    let report = eventually("the report", async || {
        let job: serde_json::Value = client.get(&job).send().await.unwrap().json().await.unwrap();
        let transaction = job["Content"]["StorageCommitmentTransactionUID"].as_str()?.to_owned();
        let report = format!("{}/storage-commitment/{transaction}", orthanc.url);
        let report: serde_json::Value = client.get(report).send().await.ok()?.json().await.ok()?;
        Some(report).filter(|report| report["Status"] != "Pending")
    })
    .await;
    assert_eq!(report["Status"], "Failure", "{report}");
    assert_eq!(report["Failures"].as_array().unwrap().len(), 17, "{report}");
    // No such object instance (PS3.3 section C.14.1.1).
    assert_eq!(report["Failures"][0]["FailureReason"], 0x0112, "{report}");
}

/// Asks for a commitment of some instances, and prints the report that comes through the same association.
const ASK: &str = r#"
import json, sys, time
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel
host, port, *uids = sys.argv[1:]
reports = []
def reported(event):
    reports.append((event.event_type, event.event_information))
    return 0x0000, None
ae = AE(ae_title="TEST_SCU")
ae.add_requested_context(StorageCommitmentPushModel)
association = ae.associate(host, int(port), ae_title="COLLIMATOR", evt_handlers=[(evt.EVT_N_EVENT_REPORT, reported)])
assert association.is_established
ds = Dataset()
ds.TransactionUID = "2.25.4711"
ds.ReferencedSOPSequence = []
for uid in uids:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    item.ReferencedSOPInstanceUID = uid
    ds.ReferencedSOPSequence.append(item)
status, _ = association.send_n_action(ds, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1")
deadline = time.monotonic() + 30
while not reports and time.monotonic() < deadline:
    time.sleep(0.05)
association.release()
event_type, info = reports[0]
print(json.dumps({"status": status.Status, "event_type": event_type, "transaction": info.TransactionUID,
    "failed": [[it.ReferencedSOPInstanceUID, it.FailureReason] for it in info.FailedSOPSequence]}))
"#;

#[tokio::test]
async fn a_list_with_an_instance_that_is_not_here_holds_its_series_and_gets_a_report() {
    let Some(packages) = python().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(sources(&folder, "TEST_SCU", 9));
    (settings[0].1, settings[2].1) = ("3s", "5s");
    let collimator = Collimator::start_with(&settings).await;
    let mut uids = sends(collimator.dicom, 2).await;
    uids.push("2.25.99".to_owned());
    let (host, port) = (collimator.dicom.ip().to_string(), collimator.dicom.port().to_string());
    let mut arguments = vec![host.as_str(), port.as_str()];
    arguments.extend(uids.iter().map(String::as_str));
    let said: serde_json::Value =
        serde_json::from_str(&run(packages, ASK, &arguments).await).unwrap();
    let failed: Vec<_> = uids.iter().map(|uid| serde_json::json!([uid, 0x0112])).collect();
    let expected = serde_json::json!({
        "status": 0, "event_type": 2, "transaction": "2.25.4711", "failed": failed,
    });
    assert_eq!(said, expected);
    let completion = completed(&collimator).await;
    let it = (completion.reason, completion.instances_count, completion.expected_count);
    assert_eq!(it, (Reason::Released, 2, Some(3)));
    assert_eq!(completion.missing_instances, ["2.25.99"]);
    let series = completion.series_instance_uid.as_str();
    let known = format!("{}/series/{series}/evidence", collimator.api);
    let known: serde_json::Value = reqwest::get(known).await.unwrap().json().await.unwrap();
    let [known] = &known.as_array().unwrap()[..] else { panic!("{known}") };
    assert_eq!(known["MissingInstances"], serde_json::json!(["2.25.99"]));
    assert_eq!((&known["Revision"], &known["ExpectedCount"]), (&1.into(), &3.into()));
    assert_eq!(known["Evidence"][0]["Kind"], "commitment");
    assert_eq!(known["Evidence"][0]["MissingCount"], 1);
}

/// Asks for the same commitment twice before its report comes and once after it, and prints the statuses and the reports
/// through both associations and through one of ours.
const REPEAT: &str = r#"
import json, sys, time, urllib.request
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel
host, port, report_to, metrics, *uids = sys.argv[1:]
reports, statuses = [], []
def reported(way):
    def keep(event):
        reports.append([way, event.event_information.TransactionUID])
        return 0x0000, None
    return [(evt.EVT_N_EVENT_REPORT, keep)]
server = AE(ae_title="TEST_SCU")
server.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
server = server.start_server(("127.0.0.1", int(report_to)), block=False, evt_handlers=reported("ours"))
ae = AE(ae_title="TEST_SCU")
ae.add_requested_context(StorageCommitmentPushModel)
def opened(way):
    return ae.associate(host, int(port), ae_title="COLLIMATOR", evt_handlers=reported(way))
def ask(association, transaction):
    ds = Dataset()
    ds.TransactionUID = transaction
    ds.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        item.ReferencedSOPInstanceUID = uid
        ds.ReferencedSOPSequence.append(item)
    status, _ = association.send_n_action(ds, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1")
    statuses.append(status.Status)
def until(what, there):
    deadline = time.monotonic() + 30
    while not there():
        assert time.monotonic() < deadline, (what, statuses, reports)
        time.sleep(0.05)
def done(number):
    line = 'collimator_commitment_reports_total{outcome="reported"} %d' % number
    return line in urllib.request.urlopen(metrics).read().decode().splitlines()
first = opened("first")
ask(first, "2.25.1")
ask(first, "2.25.1")
ask(first, "2.25.2")
# Both transactions are over, whichever way their reports took.
until("two reports", lambda: done(2))
second = opened("second")
ask(second, "2.25.1")
ask(second, "2.25.3")
until("a third report", lambda: done(3))
first.release()
second.release()
server.shutdown()
print(json.dumps({"statuses": statuses, "reports": reports}))
"#;

#[tokio::test]
async fn a_request_that_is_repeated_is_answered_with_success_and_gets_one_report_a_way() {
    let Some(packages) = python().await else { return };
    let (folder, report_to) = (tempfile::tempdir().unwrap(), free_port());
    let file = sources(&folder, "TEST_SCU", report_to);
    let collimator = Collimator::start_with(&settings(file)).await;
    let uids = sends(collimator.dicom, 2).await;
    let (host, port) = (collimator.dicom.ip().to_string(), collimator.dicom.port().to_string());
    let (report_to, metrics) = (report_to.to_string(), format!("{}/metrics", collimator.api));
    let mut arguments = vec![host.as_str(), &port, &report_to, &metrics];
    arguments.extend(uids.iter().map(String::as_str));
    let said: serde_json::Value =
        serde_json::from_str(&run(packages, REPEAT, &arguments).await).unwrap();
    // One that comes again after its report has lost it.
    let reports = [["first", "1"], ["first", "2"], ["second", "1"], ["second", "3"]];
    let reports = reports.map(|[way, number]| [way.to_owned(), format!("2.25.{number}")]);
    assert_eq!(said, serde_json::json!({ "statuses": [0, 0, 0, 0, 0], "reports": reports }));
    let completion = completed(&collimator).await;
    assert_eq!((completion.reason, completion.revision), (Reason::Confirmed, 1));
}

/// Takes one report on an association of its sender's, and prints it.
const LISTEN: &str = r#"
import sys, threading
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel
done = threading.Event()
def reported(event):
    info = event.event_information
    print(event.event_type, info.TransactionUID, len(info.FailedSOPSequence))
    done.set()
    return 0x0000, None
ae = AE(ae_title="TEST_SCU")
ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
server = ae.start_server(("127.0.0.1", int(sys.argv[1])), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, reported)])
assert done.wait(60)
server.shutdown()
"#;

#[tokio::test]
async fn a_report_outlives_the_death_of_the_receiver_that_owes_it() {
    let Some(packages) = python().await else { return };
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut services = Services::start_with(&settings(sources(&folder, "TEST_SCU", port))).await;
    let uids = sends(services.dicom, 2).await;
    let proposal = Proposal {
        calling_ae_title: "TEST_SCU".to_owned(),
        called_ae_title: "COLLIMATOR".to_owned(),
        contexts: vec![(PUSH_MODEL.to_owned(), vec![IMPLICIT_VR_LITTLE_ENDIAN.to_owned()])],
        max_pdu_length: 16384,
    };
    let opened = dimse::net::Scu::open(services.dicom, &proposal, Duration::from_secs(10)).await;
    let mut scu = opened.unwrap();
    let mut list = Writer::new(Encoding::Implicit);
    list.uid(0x0008_1195, "2.25.4712");
    let items = uids.iter().map(|uid| {
        let mut item = Writer::new(Encoding::Implicit);
        item.uid(0x0008_1150, "1.2.840.10008.5.1.4.1.1.4");
        item.uid(0x0008_1155, uid);
        item
    });
    list.sequence(0x0008_1199, items);
    let instance = "1.2.840.10008.1.20.1.1";
    let action = Request::notification(Operation::Action, 1, PUSH_MODEL, instance, Some(1));
    let response = scu.notify(1, &action, &list.finish()).await.unwrap();
    assert_eq!(response.status.code(), 0x0000);
    // The association is open still, so nothing is reported yet.
    services.ingest.kill();
    let port = port.to_string();
    let arguments = [port.as_str()];
    let listening = run(packages, LISTEN, &arguments);
    let (said, ()) = tokio::join!(listening, services.start_ingest());
    assert_eq!(said.trim(), "2 2.25.4712 2");
    assert_eq!(completed(&services).await.reason, Reason::Confirmed);
}
