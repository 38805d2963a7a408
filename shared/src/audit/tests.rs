//! What an audit message looks like.

use super::*;
use contract::event::{API, headers};
use contract::subject::{AuditKind, Service};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Each kind of message with what it may have in it.
fn messages() -> Vec<AuditMessage> {
    let alert = ParticipantObjectIdentification::node("192.0.2.7")
        .detail("Alert Description", "called AE title not recognized");
    let study = ParticipantObjectIdentification {
        accession: vec!["A-1".into()],
        sop_class: vec![SopClass {
            uid: "1.2.840.10008.5.1.4.1.1.4".into(),
            number_of_instances: 17,
        }],
        ..ParticipantObjectIdentification::study("2.25.1")
    };
    let patient = ParticipantObjectIdentification::patient("42");
    let search = ParticipantObjectIdentification::search(
        "/dicom-web/studies",
        "PatientName=Yamada*&limit=10",
    );
    let of = |event_id, action, outcome, types, description: Option<&str>, objects| AuditMessage {
        message_id: "7e6f35d8-5a0f-4c55-9d7e-6f1c0b2a9d10".into(),
        event_identification: EventIdentification {
            event_id,
            event_action_code: action,
            event_date_time: "2026-02-03T04:05:07Z".parse().unwrap(),
            event_outcome_indicator: outcome,
            event_type_code: types,
            event_outcome_description: description.map(str::to_owned),
        },
        active_participant: vec![
            ActiveParticipant::requestor("dashboard").role(code::SOURCE).from_address("192.0.2.7"),
            ActiveParticipant::other("api@radiology").role(code::DESTINATION),
        ],
        audit_source_identification: AuditSourceIdentification::new(Service::Api, "radiology"),
        participant_object_identification: objects,
        repeated: None,
    };
    use Action::{Create, Delete, Execute, Read};
    use Outcome::{MinorFailure, SeriousFailure, Success};
    let start = vec![code::APPLICATION_START];
    let node = vec![code::NODE_AUTHENTICATION];
    vec![
        AuditMessage {
            repeated: Some(41),
            ..of(EventId::Query, Execute, Success, vec![], None, vec![search])
        },
        of(EventId::ApplicationActivity, Execute, Success, start, None, vec![]),
        of(EventId::BeginTransferring, Execute, Success, vec![], None, vec![]),
        of(
            EventId::InstancesTransferred,
            Create,
            SeriousFailure,
            vec![],
            Some("3 of 20 refused"),
            vec![study.clone(), patient.clone()],
        ),
        of(EventId::InstancesAccessed, Read, Success, vec![], None, vec![study, patient.clone()]),
        of(EventId::StudyDeleted, Delete, Success, vec![], None, vec![patient]),
        of(EventId::SecurityAlert, Execute, MinorFailure, node, Some("rejected"), vec![alert]),
    ]
}

#[test]
fn a_message_reads_as_its_golden_file() {
    let golden: Value =
        serde_json::from_str(include_str!("../../contract/golden/audit.json")).unwrap();
    let message = messages().remove(0);
    let subject = message.subject(Service::Api);
    let time = message.event_identification.event_date_time;
    let headers: BTreeMap<_, _> = headers(&subject, API, &message.message_id, time).into();
    let written =
        json!({ "subject": subject.to_string(), "headers": headers, "payload": &message });
    assert_eq!(written, golden, "{written:#}");
    assert_eq!(serde_json::from_value::<AuditMessage>(golden["payload"].clone()).unwrap(), message);
}

#[test]
fn each_kind_of_message_reads_back() {
    let mut kinds = Vec::new();
    for message in messages() {
        let written = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<AuditMessage>(&written).unwrap(), message);
        kinds.push(message.kind());
    }
    for kind in AuditKind::ALL {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
}

#[test]
fn codes_and_numbers_are_those_of_the_standard() {
    let alert = serde_json::to_value(messages().pop().unwrap()).unwrap();
    assert_eq!(
        alert["EventIdentification"],
        json!({
            "EventID": {"csd-code": "110113", "codeSystemName": "DCM", "originalText": "Security Alert"},
            "EventActionCode": "E",
            "EventDateTime": "2026-02-03T04:05:07Z",
            "EventOutcomeIndicator": 4,
            "EventTypeCode": [
                {"csd-code": "110126", "codeSystemName": "DCM", "originalText": "Node Authentication"}
            ],
            "EventOutcomeDescription": "rejected",
        })
    );
    for (wrong, of) in [(json!(5), "EventOutcomeIndicator"), (json!("X"), "EventActionCode")] {
        let mut broken = alert.clone();
        broken["EventIdentification"][of] = wrong;
        assert!(serde_json::from_value::<AuditMessage>(broken).is_err(), "{of}");
    }
    let mut unknown = alert;
    unknown["EventIdentification"]["EventID"]["csd-code"] = json!("110999");
    assert!(serde_json::from_value::<AuditMessage>(unknown).is_err());
}
