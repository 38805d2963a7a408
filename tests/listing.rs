//! Peers that list instances by notifications of availability (IAN, PS3.4 annex R) and by performed procedure steps (MPPS,
//! section F.7).

use crate::harness::pipeline::Ends;
use crate::harness::python::{python, run};
use crate::harness::scu::Scu;
use crate::harness::{Collimator, Services, eventually};
use collimator::synthetic::SyntheticStudy;
use contract::event::{EvidenceKind, Reason, SeriesCompleted};
use dicom_object::{FileDicomObject, InMemDicomObject};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

type Image = FileDicomObject<InMemDicomObject>;

/// A sources file in which `TEST_SCU` may list instances by both services, and the path of it.
fn sources(folder: &TempDir) -> &'static str {
    let file = folder.path().join("sources.toml");
    let entry = "[[source]]\nae_title = 'TEST_SCU'\nperformed_steps = 'evidence'\navailability = 'evidence'\n";
    std::fs::write(&file, entry).unwrap();
    file.to_str().unwrap().to_owned().leak()
}

/// With which silence completes nothing soon, and a release only what no list holds.
fn settings(file: &'static str, settle: &'static str) -> [(&'static str, &'static str); 4] {
    [
        ("SETTLE_PERIOD", settle),
        ("QUIET_PERIOD", "1h"),
        ("ABORT_GRACE", "40s"),
        ("SOURCES_FILE", file),
    ]
}

fn uid(image: &Image) -> &str {
    image.meta().media_storage_sop_instance_uid()
}

async fn sends(to: SocketAddr, images: &[Image]) {
    let mut scu = Scu::for_mr(to).await;
    for image in images {
        scu.stores(image).await;
    }
    scu.release().await;
}

async fn completed(ends: &Ends, series: &str) -> SeriesCompleted {
    eventually("a completion", async || {
        let all = ends.completions().await;
        all.into_iter().find(|it| it.series_instance_uid.as_str() == series)
    })
    .await
}

/// Sends what it is told as `TEST_SCU`, and prints the answers: Status, Error ID, Affected SOP Instance UID.
const LIST: &str = r#"
import json, sys
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import InstanceAvailabilityNotification as IAN, ModalityPerformedProcedureStep as MPPS
host, port, messages = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])

def dataset(**values):
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds

def reference(uid, **more):
    return dataset(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.4", ReferencedSOPInstanceUID=uid, **more)

def notification(message):
    series = [dataset(SeriesInstanceUID=series, ReferencedSOPSequence=[
        reference(uid, InstanceAvailability="ONLINE", RetrieveAETitle="PACS") for uid in uids])
        for series, uids in message["series"].items()]
    return dataset(ReferencedPerformedProcedureStepSequence=[], StudyInstanceUID="2.25.1", ReferencedSeriesSequence=series)

def step(message):
    series = [dataset(PerformingPhysicianName="", ProtocolName="T1", SeriesInstanceUID=series, RetrieveAETitle="",
        ReferencedImageSequence=[reference(uid) for uid in uids[1:]],
        ReferencedNonImageCompositeSOPInstanceSequence=[reference(uid) for uid in uids[:1]])
        for series, uids in message.get("series", {}).items()]
    return dataset(PatientName="Doe^Jane", PatientID="42", PerformedProcedureStepStatus=message["status"],
        PerformedSeriesSequence=series)

def associated(title, affected):
    ae = AE(ae_title=title)
    ae.add_requested_context(IAN)
    ae.add_requested_context(MPPS)
    received = lambda event: affected.append(str(event.message.command_set.get("AffectedSOPInstanceUID", "")))
    association = ae.associate(host, port, ae_title="COLLIMATOR", evt_handlers=[(evt.EVT_DIMSE_RECV, received)])
    # Woken after one answer, the thread of an association may take the next one, for which send_n_create or send_n_set
    # then waits in vain. This side serves no requests: only who waits takes messages.
    get_msg = association.dimse.get_msg
    association.dimse.get_msg = lambda block=False: get_msg(block) if block else (None, None)
    return association

assert not associated("OTHER", []).accepted_contexts
affected, answers = [], []
association = associated("TEST_SCU", affected)
for message in messages:
    uid = message["uid"]
    match message["is"]:
        case "available":
            status, _ = association.send_n_create(notification(message), IAN, uid)
        case "begins":
            status, _ = association.send_n_create(step(message), MPPS, uid)
        case "ends":
            status, _ = association.send_n_set(step(message), MPPS, uid)
    answers.append([status.Status, status.get("ErrorID"), affected[-1]])
association.release()
print(json.dumps(answers))
"#;

/// Sends messages by pynetdicom; gives the answers.
async fn lists(packages: &Path, to: SocketAddr, messages: Value) -> Value {
    let (host, port) = (to.ip().to_string(), to.port().to_string());
    let said = run(packages, LIST, &[&host, &port, &messages.to_string()]).await;
    serde_json::from_str(&said).unwrap()
}

#[tokio::test]
async fn a_notification_of_all_that_is_here_completes_its_series_at_once() {
    let Some(packages) = python().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let collimator = Collimator::start_with(&settings(sources(&folder), "30s")).await;
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let (images, series) = (study.instances().unwrap(), study.series_instance_uids().remove(0));
    sends(collimator.dicom, &images).await;
    let uids: Vec<_> = images.iter().map(uid).collect();
    let notification = json!({ "is": "available", "uid": "2.25.7", "series": { &series: uids } });
    let answers = lists(packages, collimator.dicom, json!([notification, notification])).await;
    // Duplicate SOP instance (PS3.7 section C.5.7).
    assert_eq!(answers, json!([[0, null, "2.25.7"], [0x0111, null, "2.25.7"]]));
    let completion = completed(&collimator, &series).await;
    assert_eq!((completion.reason, completion.instances_count), (Reason::Available, 3));
    let list = &completion.evidence[0];
    assert_eq!((list.kind, list.list_uid.as_deref()), (EvidenceKind::Ian, Some("2.25.7")));
    let jetstream = async_nats::jetstream::new(collimator.nats.clone());
    let stream = jetstream.get_stream("INSTANCES").await.unwrap();
    assert!(stream.consumer_info("committer").await.is_err(), "nobody asks for a report");
    assert!(!collimator.metrics().await.contains("collimator_commitment_reports"));
}

#[tokio::test]
async fn a_completed_step_waits_for_all_that_it_made_and_a_discontinued_one_decides_nothing() {
    let Some(packages) = python().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let collimator = Collimator::start_with(&settings(sources(&folder), "1s")).await;
    let study = SyntheticStudy::new().series("MR", 3).series("MR", 1).size(16, 16);
    let images = study.instances().unwrap();
    let [whole, stopped] = &study.series_instance_uids()[..] else { panic!("two series") };
    let made: Vec<_> = images[..3].iter().map(uid).collect();
    let planned = [uid(&images[3]), "2.25.99"];
    let ends =
        json!({ "is": "ends", "uid": "2.25.8", "status": "COMPLETED", "series": { whole: made } });
    let messages = json!([
        { "is": "begins", "uid": "2.25.8", "status": "COMPLETED" },
        { "is": "begins", "uid": "2.25.8", "status": "IN PROGRESS" },
        { "is": "ends", "uid": "2.25.8", "status": "IN PROGRESS" },
        ends,
        ends,
        { "is": "ends", "uid": "2.25.10", "status": "DISCONTINUED" },
        { "is": "ends", "uid": "2.25.9", "status": "DISCONTINUED", "series": { stopped: planned } },
    ]);
    let answers = lists(packages, collimator.dicom, messages).await;
    let expected = json!([
        [0x0106, null, "2.25.8"],
        [0, null, "2.25.8"],
        [0, null, "2.25.8"],
        [0, null, "2.25.8"],
        // It may no longer be updated (PS3.4 table F.7.2-2).
        [0x0110, 0xA710, "2.25.8"],
        [0, null, "2.25.10"],
        [0, null, "2.25.9"],
    ]);
    assert_eq!(answers, expected);
    sends(collimator.dicom, &images[..2]).await;
    sends(collimator.dicom, &images[3..]).await;
    let completion = completed(&collimator, stopped).await;
    assert_eq!((completion.reason, completion.missing_instances.len()), (Reason::Released, 0));
    let said = completion.evidence.iter().find(|it| it.kind == EvidenceKind::Mpps).unwrap();
    assert!(said.discontinued, "{said:?}");
    // The other one was released before it.
    assert_eq!(collimator.completions().await.len(), 1);
    sends(collimator.dicom, &images[2..3]).await;
    let completion = completed(&collimator, whole).await;
    assert_eq!((completion.reason, completion.instances_count), (Reason::Performed, 3));
}

#[tokio::test]
async fn a_list_that_was_answered_with_success_outlives_its_receiver() {
    let Some(packages) = python().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut services = Services::start_with(&settings(sources(&folder), "30s")).await;
    let study = SyntheticStudy::new().series("MR", 2).series("MR", 1).size(16, 16);
    let images = study.instances().unwrap();
    let [performed, available] = &study.series_instance_uids()[..] else { panic!("two series") };
    sends(services.dicom, &images).await;
    // Whoever is there at the end knows nothing of the beginning.
    let begins = json!([{ "is": "begins", "uid": "2.25.8", "status": "IN PROGRESS" }]);
    assert_eq!(lists(packages, services.dicom, begins).await, json!([[0, null, "2.25.8"]]));
    assert!(!services.ingest.printed().contains("Doe"), "a patient's name is in the log");
    services.ingest.kill();
    services.start_ingest().await;
    services.indexer.kill();
    let made: Vec<_> = images[..2].iter().map(uid).collect();
    let there = [uid(&images[2])];
    let messages = json!([
        { "is": "ends", "uid": "2.25.8", "status": "COMPLETED", "series": { performed: made } },
        { "is": "available", "uid": "2.25.7", "series": { available: there } },
    ]);
    let answers = lists(packages, services.dicom, messages).await;
    assert_eq!(answers, json!([[0, null, "2.25.8"], [0, null, "2.25.7"]]));
    services.ingest.kill();
    services.start_indexer().await;
    assert_eq!(completed(&services, performed).await.reason, Reason::Performed);
    assert_eq!(completed(&services, available).await.reason, Reason::Available);
}
