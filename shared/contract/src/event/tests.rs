//! Each event against its golden file.

use super::*;
use crate::dicomweb::DicomwebUrls;
use crate::uid::{SeriesInstanceUid, SopInstanceUid, StudyInstanceUid};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// What we write is what the file says, and what the file says is read back whole.
fn agrees_with<E: Event + DeserializeOwned + PartialEq + Debug>(event: &E, golden: &str) {
    let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
    let headers = headers(&event.subject(), E::SOURCE, &event.id(), event.time());
    let headers: BTreeMap<_, _> = headers.into();
    let written = serde_json::json!({
        "subject": event.subject().to_string(),
        "headers": headers,
        "payload": event,
    });
    assert_eq!(written, golden, "{written:#}");
    assert_eq!(&E::deserialize(&golden["payload"]).unwrap(), event);
}

/// The words that a schema allows for a reason are those of `Reason`; `UPDATE_SCHEMAS=1` writes them.
#[test]
fn the_schema_of_completions_allows_each_reason() {
    const BEFORE: &str = "\"Reason\": {\n      \"enum\": [\n";
    const AFTER: &str = "\n      ]";
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/events/dicom.series.completed.schema.json"
    );
    let schema = std::fs::read_to_string(path).unwrap();
    let (head, rest) = schema.split_once(BEFORE).unwrap();
    let (_, tail) = rest.split_once(AFTER).unwrap();
    let words = Reason::ALL.map(|reason| format!("        \"{}\"", reason.as_str()));
    let expected = [head, BEFORE, &words.join(",\n"), AFTER, tail].concat();
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(path, &expected).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(committed == expected, "`UPDATE_SCHEMAS=1 cargo test -p contract` writes {path}");
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::Text(value.into())
}

fn stored() -> InstanceStored {
    let request = Attributes::from([("RequestedProcedureID".into(), text("RP-9"))]);
    InstanceStored {
        sop_instance_uid: SopInstanceUid::parse("2.25.3").unwrap(),
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.4".into(),
        series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
        study_instance_uid: Some(StudyInstanceUid::parse("2.25.1").unwrap()),
        attributes: Attributes::from([
            ("PatientID".into(), text("42")),
            ("PatientName".into(), text("Yamada^Tarou=山田^太郎")),
            ("Modality".into(), text("MR")),
            ("Rows".into(), AttributeValue::Number(320)),
            ("RequestAttributesSequence".into(), AttributeValue::Items(vec![request])),
        ]),
        remarks: Remarks {
            text_decoded_as: Some("Shift_JIS".into()),
            undecoded_values: [("PatientName".into(), "jlKTY16RvphZ".into())].into(),
            original_values: [("StudyDate".into(), "1993.12.31".into())].into(),
            items_left_out: [("RequestAttributesSequence".into(), 3)].into(),
        },
        transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
        bytes: 524_288,
        digest: "9f86d081884c7d659a2feaa0c55ad015".into(),
        object: None,
        calling_ae_title: "MR1".into(),
        called_ae_title: "COLLIMATOR".into(),
        peer_address: "192.0.2.7".into(),
        association_id: "4f5c1e9c-7f57-4f0e-a44e-2f2b40d5a3ce".into(),
        node_name: "ingest-1".into(),
        ordinal: 17,
        series_ordinal: 16,
        received_at: at("2026-02-03T04:05:06.000789Z"),
    }
}

#[test]
fn a_stored_instance_reads_as_its_golden_file() {
    agrees_with(&stored(), include_str!("../../golden/instance_stored.json"));
}

#[test]
fn a_stored_instance_that_is_kept_reads_as_its_golden_file() {
    let object = StoredObject {
        key: "spool/ingest-1/4f/4f5c1e9c-7f57-4f0e-a44e-2f2b40d5a3ce-17.dcm".into(),
        bytes: 524_616,
        blake3: "5c1e1f0ce0b4d0f1d5f0c5a87a6e1e0b1b6d0a4f3b2c19088f7e6d5c4b3a2910".into(),
    };
    let event = InstanceStored { object: Some(object), ..stored() };
    agrees_with(&event, include_str!("../../golden/instance_stored_and_kept.json"));
}

#[test]
fn a_completed_series_reads_as_its_golden_file() {
    let event = SeriesCompleted {
        series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
        revision: 2,
        reason: Reason::Released,
        source: Source::Dicom,
        instances_count: 17,
        expected_count: Some(20),
        missing_instances: Vec::new(),
        fetched: 0,
        evidence: vec![Evidence::of(EvidenceKind::Released)],
        instances_added: 1,
        instances_corrected: 0,
        study_instance_uid: "2.25.1".into(),
        patient_id: "42".into(),
        patient_name: "Yamada^Tarou=山田^太郎".into(),
        modality: Some("MR".into()),
        series_number: Some("3".into()),
        series_description: Some("t1_tse_sag".into()),
        study_date: Some("20260203".into()),
        study_description: None,
        accession_number: Some("A-1".into()),
        calling_ae_title: Some("MR1".into()),
        retrieve_url: Some("http://192.0.2.1/dicom-web/studies/2.25.1/series/2.25.2".into()),
        first_received_at: Some(at("2026-02-03T04:05:00Z")),
        last_received_at: Some(at("2026-02-03T04:05:06.000789Z")),
        completed_at: at("2026-02-03T04:05:16.5Z"),
        instances_sequence: Some(1234),
        issuer_of_patient_id: None,
        disagrees: Vec::new(),
        partial: false,
    };
    agrees_with(&event, include_str!("../../golden/series_completed.json"));
}

#[test]
fn a_question_to_a_source_and_its_answer_read_as_their_golden_files() {
    let asked = SourceAsked {
        series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
        study_instance_uid: Some("2.25.1".into()),
        calling_ae_title: "MY PACS".into(),
        question_id: "1770091507500000000".into(),
        asked_at: at("2026-02-03T04:05:07.5Z"),
        names: false,
    };
    agrees_with(&asked, include_str!("../../golden/source_asked.json"));
    let wanted = InstancesWanted {
        series_instance_uid: asked.series_instance_uid.clone(),
        study_instance_uid: asked.study_instance_uid.clone(),
        calling_ae_title: asked.calling_ae_title.clone(),
        question_id: asked.question_id.clone(),
        instances: vec!["2.25.3".into(), "2.25.5".into()],
        asked_at: asked.asked_at,
    };
    agrees_with(&wanted, include_str!("../../golden/instances_wanted.json"));
    let fetched = InstancesFetched {
        series_instance_uid: asked.series_instance_uid.clone(),
        calling_ae_title: asked.calling_ae_title.clone(),
        question_id: asked.question_id.clone(),
        wanted: 2,
        failure: Some("refused".into()),
        node_name: "ingest-1".into(),
        fetched_at: at("2026-02-03T04:05:08Z"),
    };
    agrees_with(&fetched, include_str!("../../golden/instances_fetched.json"));
    let answered = SourceAnswered {
        series_instance_uid: asked.series_instance_uid.clone(),
        calling_ae_title: asked.calling_ae_title.clone(),
        question_id: asked.question_id.clone(),
        count: Some(2),
        instances: ["2.25.3", "2.25.5"].map(|uid| SopInstanceUid::parse(uid).unwrap()).into(),
        no_answer: None,
        node_name: "ingest-1".into(),
        answered_at: at("2026-02-03T04:05:07.6Z"),
    };
    agrees_with(&answered, include_str!("../../golden/source_answered.json"));
    let silent = SourceAnswered {
        count: None,
        instances: Vec::new(),
        no_answer: Some("silent".into()),
        ..answered
    };
    agrees_with(&silent, include_str!("../../golden/source_gave_no_answer.json"));
}

#[test]
fn listed_instances_and_what_is_known_of_a_series_read_as_their_golden_file() {
    let instances = ["2.25.3", "2.25.5"].map(|uid| SopInstanceUid::parse(uid).unwrap());
    let of = ListedInstances {
        series_instance_uid: Some(SeriesInstanceUid::parse("2.25.2").unwrap()),
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.4".into(),
        sop_instance_uids: instances.into(),
    };
    let listed = InstancesListed {
        kind: ListKind::Mpps,
        list_uid: "2.25.9".into(),
        discontinued: true,
        calling_ae_title: "MR1".into(),
        association_id: "b2c8f4de7a1c4b0a9f3e2d1c0b9a8f7e".into(),
        node_name: "ingest-1".into(),
        instances: vec![of],
        listed_at: at("2026-02-03T04:05:07.5Z"),
    };
    agrees_with(&listed, include_str!("../../golden/instances_listed.json"));
    assert_eq!((listed.count(), listed.id().as_str()), (2, "MR1:2.25.9:mpps:listed"));
    for kind in [ListKind::Commitment, ListKind::Mpps, ListKind::Ian] {
        let known = serde_json::to_value(EvidenceKind::from(kind)).unwrap();
        assert_eq!(known, kind.as_str(), "one word for both");
    }
}

#[test]
fn an_answer_that_names_all_instances_that_it_may_fits_half_a_message() {
    let instance = SopInstanceUid::parse(&"\"".repeat(64)).unwrap();
    let event = SourceAnswered {
        series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
        calling_ae_title: "MY PACS".into(),
        question_id: String::new(),
        count: Some(u64::MAX),
        instances: vec![instance; SourceAnswered::MAX_INSTANCES],
        no_answer: None,
        node_name: "ingest-1".into(),
        answered_at: at("2026-02-03T04:05:07.6Z"),
    };
    let length = serde_json::to_vec(&event).unwrap().len();
    assert!(length < LONGEST, "{length}");
}

#[test]
fn a_deleted_series_reads_as_its_golden_file() {
    let event = SeriesDeleted {
        series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
        revision: 2,
        reason: DeletionReason::Requested,
        instances_count: 17,
        study_instance_uid: "2.25.1".into(),
        modality: Some("MR".into()),
        deleted_at: at("2026-02-04T09:00:00.25Z"),
        instances_sequence: 1300,
        disagrees: Vec::new(),
    };
    agrees_with(&event, include_str!("../../golden/series_deleted.json"));
}

#[test]
fn a_kept_series_reads_as_its_golden_file() {
    let event = SeriesKept {
        series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
        revision: 2,
        study_instance_uid: "2.25.1".into(),
        modality: Some("MR".into()),
        instances_kept: 16,
        instances_without_file: 1,
        bytes: 8_393_856,
        place: "2.25.1/2.25.2/2".into(),
        manifest_blake3: "8d0b6a1a6e1f0d0d3e0f5c1e1f0ce0b4d0f1d5f0c5a87a6e1e0b1b6d0a4f3b2c".into(),
        retrieve_url: None,
        kept_at: at("2026-02-03T04:05:16.75Z"),
    };
    agrees_with(&event, include_str!("../../golden/series_kept.json"));
    let urls = DicomwebUrls::of_api("https://collimator.example.org");
    let retrieve_url = Some(urls.series("2.25.1", "2.25.2"));
    let event = SeriesKept { retrieve_url, ..event };
    agrees_with(&event, include_str!("../../golden/series_kept_and_served.json"));
}

#[test]
fn a_purged_series_reads_as_its_golden_file() {
    let event = SeriesPurged {
        series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
        revision: 2,
        reason: PurgeReason::Retention,
        study_instance_uid: "2.25.1".into(),
        modality: Some("MR".into()),
        instances_purged: 16,
        bytes: 8_393_856,
        purged_at: at("2026-03-03T04:05:16.75Z"),
        instances_sequence: 1234,
    };
    agrees_with(&event, include_str!("../../golden/series_purged.json"));
}

fn study() -> StudyCompleted {
    let series = |uid, revision, instances_count, modality: &str| SeriesOfStudy {
        series_instance_uid: SeriesInstanceUid::parse(uid).unwrap(),
        revision,
        instances_count,
        modality: Some(modality.into()),
    };
    StudyCompleted {
        study_instance_uid: "2.25.1".into(),
        revision: 1,
        reason: Reason::Quiet,
        patient_id: "42".into(),
        patient_name: "Yamada^Tarou=山田^太郎".into(),
        study_date: Some("20260203".into()),
        study_description: Some("Knee left".into()),
        accession_number: Some("A-1".into()),
        modalities_in_study: vec!["MR".into(), "SR".into()],
        number_of_study_related_series: 2,
        number_of_study_related_instances: 18,
        series: vec![series("2.25.2", 2, 17, "MR"), series("2.25.4", 1, 1, "SR")],
        completed_at: at("2026-02-03T04:06:16.5Z"),
        instances_sequence: 1236,
        issuer_of_patient_id: None,
        disagrees: Vec::new(),
    }
}

#[test]
fn a_completed_study_reads_as_its_golden_file() {
    agrees_with(&study(), include_str!("../../golden/study_completed.json"));
}

fn association() -> AssociationIdentity {
    AssociationIdentity {
        association_id: "4f5c1e9c-7f57-4f0e-a44e-2f2b40d5a3ce".into(),
        calling_ae_title: "MR 1".into(),
        called_ae_title: "COLLIMATOR".into(),
        peer_address: "192.0.2.7".into(),
        node_name: "ingest-1".into(),
        tls: Some(true),
    }
}

fn closed(ending: Ending, cause: Option<&str>) -> AssociationClosed {
    let share = |uid, acknowledged, failed| SeriesShare {
        series_instance_uid: SeriesInstanceUid::parse(uid).unwrap(),
        acknowledged,
        failed,
    };
    AssociationClosed {
        association: association(),
        ending,
        cause: cause.map(str::to_owned),
        stores: 20,
        acknowledged: 17,
        failed: 3,
        refusals: vec![
            RefusalShare {
                status: "0xA900".into(),
                error_comment: "SeriesInstanceUID is empty".into(),
                count: 2,
            },
            RefusalShare {
                status: "0xA700".into(),
                error_comment: "NATS refused: the stream is full".into(),
                count: 1,
            },
        ],
        series: vec![share("2.25.2", 16, 0), share("2.25.4", 1, 1)],
        series_left_out: 0,
        closed_at: at("2026-02-03T04:05:07Z"),
    }
}

#[test]
fn what_happens_to_an_association_reads_as_its_golden_files() {
    let opened =
        AssociationOpened { association: association(), opened_at: at("2026-02-03T04:05:00Z") };
    agrees_with(&opened, include_str!("../../golden/association_opened.json"));
    let released = closed(Ending::Released, None);
    assert_eq!(released.failed_of_unknown_series(), 2);
    agrees_with(&released, include_str!("../../golden/association_released.json"));
    let aborted = closed(Ending::Aborted, Some("the connection was lost"));
    agrees_with(&aborted, include_str!("../../golden/association_aborted.json"));
    let rejected = AssociationRejected {
        association: association(),
        cause: "called AE title not recognized".into(),
        rejections: 12,
        rejected_at: at("2026-02-03T04:05:00Z"),
    };
    agrees_with(&rejected, include_str!("../../golden/association_rejected.json"));
}

#[test]
fn a_tick_reads_as_its_golden_file() {
    let tick = ClockTicked {
        node_name: "indexer-1".into(),
        tick_id: "3b0e2f52-6f0e-4a1c-9a1e-2f6d0c1b7a44".into(),
        asked_at: at("2026-02-03T04:05:08Z"),
    };
    agrees_with(&tick, include_str!("../../golden/clock_ticked.json"));
}

#[test]
fn the_start_of_a_receiver_and_its_heartbeat_read_as_their_golden_files() {
    let started = IngestStarted {
        node_name: "ingest-1".into(),
        start_id: "0d2e6a7c-98fb-4e6c-8d7b-0f9b8f0c8a11".into(),
        started_at: at("2026-02-03T04:00:00Z"),
    };
    agrees_with(&started, include_str!("../../golden/ingest_started.json"));
    let resumed = IngestResumed {
        node_name: "ingest-1".into(),
        start_id: started.start_id.clone(),
        outage: 2,
        cause: "NATS did not acknowledge within 5s".into(),
        refused_at: at("2026-02-03T06:00:00Z"),
    };
    agrees_with(&resumed, include_str!("../../golden/ingest_resumed.json"));
    let receiving = InstanceReceiving {
        series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
        modality: "MR".into(),
        bytes: 5_242_880,
        calling_ae_title: "MR 1".into(),
        association_id: "4f5c1e9c-7f57-4f0e-a44e-2f2b40d5a3ce".into(),
        node_name: "ingest-1".into(),
        ordinal: 18,
        at: at("2026-02-03T04:05:06.5Z"),
    };
    agrees_with(&receiving, include_str!("../../golden/instance_receiving.json"));
}

#[test]
fn a_request_reads_as_its_golden_file() {
    let request_id = "7e6f35d8-5a0f-4c55-9d7e-6f1c0b2a9d10".to_owned();
    let requested_at = at("2026-02-03T04:05:08Z");
    let register = RegistrationRequested {
        series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
        study_instance_uid: StudyInstanceUid::parse("2.25.1").unwrap(),
        patient_id: "7".into(),
        patient_name: "Roe^Jane".into(),
        instances_count: 17,
        request_id: request_id.clone(),
        requested_at,
    };
    agrees_with(&register, include_str!("../../golden/registration_requested.json"));
    let complete = CompletionRequested {
        series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
        request_id: request_id.clone(),
        requested_at,
    };
    agrees_with(&complete, include_str!("../../golden/completion_requested.json"));
    let delete = DeletionRequested {
        series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
        request_id: request_id.clone(),
        requested_at,
    };
    agrees_with(&delete, include_str!("../../golden/deletion_requested.json"));
    let gone = GoneRequested {
        node_name: "ingest 1".into(),
        request_id: request_id.clone(),
        requested_at,
    };
    agrees_with(&gone, include_str!("../../golden/gone_requested.json"));
    let trust = TrustRequested {
        calling_ae_title: "MR 1".into(),
        request_id: request_id.clone(),
        requested_at,
    };
    agrees_with(&trust, include_str!("../../golden/trust_requested.json"));
    let release = ReleaseRequested {
        subject: "dicom.series.completed.MR.2.25.2".into(),
        message_id: "2.25.2:1".into(),
        decided_at: requested_at,
        announcement: "{\"SeriesInstanceUID\":\"2.25.2\"}".into(),
        request_id,
        requested_at,
    };
    agrees_with(&release, include_str!("../../golden/release_requested.json"));
}

#[test]
fn the_word_of_a_reason_is_the_one_in_events() {
    for reason in Reason::ALL {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
}

#[test]
fn keys_of_a_later_version_are_ignored() {
    let mut later = serde_json::to_value(stored()).unwrap();
    later["FromTheFuture"] = serde_json::json!({"deep": [1, 2.5, null]});
    let read = InstanceStored::deserialize(&later).unwrap();
    assert_eq!(read.digest, stored().digest);
    assert_eq!(read.subject(), stored().subject());
}

#[test]
fn an_event_that_names_no_series_can_not_be_read() {
    for (key, value) in [
        ("SeriesInstanceUID", serde_json::json!("")),
        ("SOPInstanceUID", serde_json::json!(17)),
        ("ReceivedAt", serde_json::json!("yesterday")),
    ] {
        let mut broken = serde_json::to_value(stored()).unwrap();
        broken[key] = value;
        assert!(InstanceStored::deserialize(&broken).is_err(), "{key}");
    }
}

/// Half of what NATS takes in a message without being told.
const LONGEST: usize = 512 * 1024;

#[test]
fn an_association_with_all_series_that_are_remembered_fits_half_a_message() {
    // A quotation mark takes two bytes in JSON.
    let share = SeriesShare {
        series_instance_uid: SeriesInstanceUid::parse(&"\"".repeat(64)).unwrap(),
        acknowledged: u64::MAX,
        failed: u64::MAX,
    };
    let refusal =
        RefusalShare { status: "0xA700".into(), error_comment: "\"".repeat(64), count: u64::MAX };
    let event = AssociationClosed {
        refusals: vec![refusal; 8],
        series: vec![share; 2000],
        ..closed(Ending::Aborted, Some(&"\u{1}".repeat(1024)))
    };
    let length = serde_json::to_vec(&event).unwrap().len();
    assert!(length < LONGEST, "{length}");
}

#[test]
fn a_study_with_all_series_that_are_told_fits_half_a_message() {
    // A control character takes six.
    let modality = "\u{1}".repeat(16) + &"x".repeat(crate::bounded::MARK);
    let text = "\u{1}".repeat(1024);
    let series = SeriesOfStudy {
        series_instance_uid: SeriesInstanceUid::parse(&"\"".repeat(64)).unwrap(),
        revision: u32::MAX,
        instances_count: i64::MAX as u64,
        modality: Some(modality.clone()),
    };
    let event = StudyCompleted {
        study_instance_uid: "\"".repeat(64),
        patient_id: text.clone(),
        patient_name: text.clone(),
        study_date: Some(text.clone()),
        study_description: Some(text.clone()),
        accession_number: Some(text),
        modalities_in_study: vec![modality; 100],
        series: vec![series; 1000],
        ..study()
    };
    let length = serde_json::to_vec(&event).unwrap().len();
    assert!(length < LONGEST, "{length}");
}
