//! The audit trail: who sent, read, searched or was refused.

use crate::harness::pipeline::COLLIMATOR;
use crate::harness::schemas::Schemas;
use crate::harness::scu::{Proposal, Scu};
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use dicom_dictionary_std::uids;
use reqwest::Client;
use serde_json::Value;
use shared::audit::{Action, AuditMessage, EventId, Outcome};
use std::process::Command;

/// All messages so far; each is as its schema says.
async fn trail(collimator: &Collimator) -> Vec<AuditMessage> {
    let schemas = Schemas::read();
    let mut trail = Vec::new();
    for message in collimator.events("AUDIT").await {
        assert_eq!(schemas.hold(&message), "dicom.audit");
        trail.push(serde_json::from_slice(&message.payload).unwrap());
    }
    trail
}

/// Waits for messages about a kind of event, until there are as many.
async fn said(collimator: &Collimator, event: EventId, messages: usize) -> Vec<AuditMessage> {
    eventually(&format!("{messages} of {event:?}"), async || {
        let mut trail = trail(collimator).await;
        trail.retain(|message| message.event_identification.event_id == event);
        (trail.len() >= messages).then_some(trail)
    })
    .await
}

fn objects(message: &AuditMessage) -> Vec<&str> {
    let objects = message.participant_object_identification.iter();
    objects.map(|object| object.participant_object_id.as_str()).collect()
}

async fn get(collimator: &Collimator, path: &str) -> u16 {
    let answer = Client::new().get(format!("{}{path}", collimator.api)).send().await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn a_send_leaves_a_begin_and_an_end_for_each_study_and_no_name() {
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let studies = [SyntheticStudy::new().series("MR", 3), SyntheticStudy::new().series("CT", 2)];
    let mut paths = Vec::new();
    for (number, study) in studies.iter().enumerate() {
        paths.extend(study.write_to(&folder.path().join(number.to_string())).unwrap());
    }
    collimator.receives(paths).await;
    let begun = said(&collimator, EventId::BeginTransferring, 2).await;
    let ended = said(&collimator, EventId::InstancesTransferred, 2).await;
    assert_eq!((begun.len(), ended.len()), (2, 2));
    let mut counts = Vec::new();
    for (begun, ended) in begun.iter().zip(&ended) {
        assert_eq!(ended.event_identification.event_outcome_indicator, Outcome::Success);
        assert_eq!(ended.event_identification.event_action_code, Action::Read);
        assert_eq!(ended.active_participant[0].user_id, "COLLIMATOR_SCU");
        assert_eq!(
            ended.active_participant[0].network_access_point_id.as_deref(),
            Some("127.0.0.1")
        );
        assert_eq!(objects(begun).len(), 2, "a study and its patient");
        let study = &ended.participant_object_identification[0];
        assert_eq!(study.accession.len(), 1);
        counts.push(study.sop_class.iter().map(|class| class.number_of_instances).sum::<u64>());
    }
    counts.sort_unstable();
    assert_eq!(counts, [2, 3]);
    let names = ["Königin", "K\\u00f6nigin", "PatientName"];
    for message in collimator.events("AUDIT").await {
        let text = String::from_utf8(message.payload.to_vec()).unwrap();
        assert!(names.iter().all(|name| !text.contains(name)), "{text}");
    }
}

#[tokio::test]
async fn an_aborted_association_and_a_refused_caller_leave_a_failure_and_one_alert() {
    let collimator = Collimator::start_with(&[("CHECK_CALLED_AE", "true")]).await;
    let mr: &[(&str, &[&str])] = &[(uids::MR_IMAGE_STORAGE, &[uids::EXPLICIT_VR_LITTLE_ENDIAN])];
    for _ in 0..20 {
        let foreign = Proposal { contexts: mr, max_pdu_length: 16384, called_ae_title: "OTHER" };
        assert!(Scu::associate(collimator.dicom, foreign).await.is_err());
    }
    let alerts = said(&collimator, EventId::SecurityAlert, 1).await;
    assert_eq!(alerts.len(), 1, "the others are counted");
    let alert = &alerts[0].event_identification;
    assert_eq!(alert.event_type_code[0].csd_code, "110126");
    assert_eq!(alert.event_outcome_indicator, Outcome::MinorFailure);
    assert_eq!(objects(&alerts[0]), ["127.0.0.1"]);

    let image = SyntheticStudy::new().series("MR", 1).size(16, 16).instances().unwrap().remove(0);
    let mut scu = Scu::for_mr(collimator.dicom).await;
    scu.stores(&image).await;
    drop(scu);
    let ended = said(&collimator, EventId::InstancesTransferred, 1).await;
    let ended = &ended[0].event_identification;
    assert_eq!(ended.event_outcome_indicator, Outcome::MinorFailure);
    let description = ended.event_outcome_description.as_deref().unwrap();
    assert!(description.starts_with("1 stored, 0 refused; aborted: "), "{description}");
}

#[tokio::test]
async fn a_read_names_the_token_the_study_and_the_patient_and_a_refusal_is_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.toml");
    let made = Command::new(COLLIMATOR)
        .args(["token", "create", "ward 3", "--scope", "read,write"])
        .env("TOKENS_FILE", &file)
        .output()
        .unwrap();
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let collimator = Collimator::start_with(&[("TOKENS_FILE", file.to_str().unwrap())]).await;
    let client = Client::new();
    let url = |path: &str| format!("{}{path}", collimator.api);
    let series = serde_json::json!({
        "SeriesInstanceUID": "1.2.3", "PatientID": "P-7", "PatientName": "Roe^Jane",
        "StudyInstanceUID": "1.2", "InstancesCount": 3,
    });
    let stored = client.post(url("/store")).json(&series).bearer_auth(&token).send().await;
    assert_eq!(stored.unwrap().status(), 200);
    let read = client.get(url("/series/1.2.3")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(read.status(), 200);
    let accessed = said(&collimator, EventId::InstancesAccessed, 2).await;
    for (message, action, path) in
        [(&accessed[0], Action::Create, "/store"), (&accessed[1], Action::Read, "/series/1.2.3")]
    {
        assert_eq!(message.event_identification.event_action_code, action);
        assert_eq!(message.active_participant[0].user_id, "ward 3");
        assert_eq!(objects(message), ["1.2", "P-7", path]);
    }

    let search = "/dicom-web/studies?PatientName=Roe*";
    let found = client.get(url(search)).bearer_auth(&token).send().await.unwrap();
    assert_eq!(found.status(), 200);
    let query = said(&collimator, EventId::Query, 1).await.remove(0);
    assert_eq!(objects(&query), ["/dicom-web/studies"]);
    let asked = query.participant_object_identification[0].participant_object_query.clone();
    assert_eq!(asked.as_deref(), Some("UGF0aWVudE5hbWU9Um9lKg=="));

    assert_eq!(get(&collimator, "/series/1.2.3").await, 401);
    let trust = client.post(url("/sources/MR1/trust")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(trust.status(), 403);
    let alerts = said(&collimator, EventId::SecurityAlert, 2).await;
    let of = |alert: &AuditMessage| {
        let code = alert.event_identification.event_type_code[0].csd_code.to_string();
        (code, alert.active_participant[1].user_id.clone())
    };
    assert_eq!(of(&alerts[0]), ("110143".to_owned(), "anonymous".to_owned()));
    assert_eq!(of(&alerts[1]), ("110144".to_owned(), "ward 3".to_owned()));
}

#[tokio::test]
async fn a_thousand_equal_reads_are_few_messages_whose_counts_add_up() {
    let collimator = Collimator::start().await;
    for _ in 0..1000 {
        assert_eq!(get(&collimator, "/series?Modality=XX").await, 200);
    }
    let counted = async || {
        let mut queries = trail(&collimator).await;
        queries.retain(|it| it.event_identification.event_id == EventId::Query);
        (queries.len(), queries.iter().map(AuditMessage::events).sum::<u64>())
    };
    let messages = eventually("all of them", async || {
        let (messages, events) = counted().await;
        (events == 1000).then_some(messages)
    })
    .await;
    assert!(messages < 100, "{messages}");
}

#[tokio::test]
async fn what_names_no_patient_is_not_audited_and_nothing_is_when_it_is_off() {
    let collimator = Collimator::start().await;
    for path in ["/", "/health/ready", "/metrics", "/docs", "/openapi.json", "/stats", "/sources"] {
        assert_eq!(get(&collimator, path).await, 200, "{path}");
    }
    assert_eq!(get(&collimator, "/studies").await, 200);
    assert_eq!(objects(&said(&collimator, EventId::Query, 1).await[0]), ["/studies"]);
    assert_eq!(said(&collimator, EventId::ApplicationActivity, 3).await.len(), 3);

    let silent = Collimator::start_with(&[("AUDIT", "false")]).await;
    assert_eq!(get(&silent, "/studies").await, 200);
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 1);
    silent.receives(study.write_to(folder.path()).unwrap()).await;
    silent.lists(&study.series_instance_uids()[0], 1).await;
    assert!(silent.events("AUDIT").await.is_empty());
    let counted = silent.metrics().await;
    assert!(counted.contains("collimator_audit_messages_total{outcome=\"stored\"} 0"), "{counted}");
}

#[tokio::test]
async fn the_trail_has_the_pseudonym_where_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, [0x5e; 32]).unwrap();
    let settings = [("PSEUDONYMISE", "keyed"), ("PSEUDONYM_KEY_FILE", key.to_str().unwrap())];
    let collimator = Collimator::start_with(&settings).await;
    let study = SyntheticStudy::new().series("MR", 1);
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    let uid = &study.series_instance_uids()[0];
    let listed: Value = collimator.lists(uid, 1).await;
    let ended = said(&collimator, EventId::InstancesTransferred, 1).await;
    let pseudonym = listed["PatientID"].as_str().unwrap();
    assert_eq!(objects(&ended[0]), [listed["StudyInstanceUID"].as_str().unwrap(), pseudonym]);
}

#[tokio::test]
async fn an_outage_of_the_broker_loses_nothing_that_there_is_room_for() {
    let collimator = Collimator::start().await;
    said(&collimator, EventId::ApplicationActivity, 3).await;
    let [broker] = collimator.process.children().try_into().unwrap();
    crate::harness::pipeline::signal(broker, "STOP");
    for number in 0..50 {
        assert_eq!(get(&collimator, &format!("/series?PatientID={number}")).await, 200);
    }
    crate::harness::pipeline::signal(broker, "CONT");
    let queries = said(&collimator, EventId::Query, 50).await;
    assert_eq!(queries.len(), 50, "none twice");
    let counted = collimator.metrics().await;
    assert!(counted.contains("collimator_audit_messages_total{outcome=\"lost\"} 0"), "{counted}");
}
