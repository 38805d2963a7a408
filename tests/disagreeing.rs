//! A series of two patients: who is told, and who decides.

use crate::harness::schemas::Schemas;
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use contract::event::{SeriesCompleted, StudyCompleted};
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::tags;
use reqwest::{Client, Method};
use serde_json::Value;

/// Sends a series whose second instance is of another patient and study; gives its UID.
async fn a_series_of_two_patients(collimator: &Collimator) -> String {
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().patient("Roe^Anna", "A").series("MR", 2).size(8, 8);
    let uid = study.series_instance_uids().remove(0);
    let mixed = study.extra(|data_set| {
        let number = data_set.element(tags::INSTANCE_NUMBER).unwrap().to_str().unwrap();
        if number.trim() == "2" {
            data_set.put(DataElement::new(tags::PATIENT_ID, VR::LO, "B"));
            data_set.put(DataElement::new(tags::PATIENT_NAME, VR::PN, "Doe^Ben"));
            data_set.put(DataElement::new(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3.4"));
        }
    });
    collimator.receives(mixed.write_to(folder.path()).unwrap()).await;
    uid
}

async fn get(collimator: &Collimator, path: &str) -> Value {
    reqwest::get(format!("{}{path}", collimator.api)).await.unwrap().json().await.unwrap()
}

/// The dead letters, once there are so many.
async fn letters(collimator: &Collimator, count: usize) -> Vec<Value> {
    eventually("the dead letters", async || {
        let letters = get(collimator, "/dead-letters").await.as_array().unwrap().clone();
        (letters.len() == count).then_some(letters)
    })
    .await
}

#[tokio::test]
async fn all_who_hear_of_a_series_of_two_patients_hear_that_it_is() {
    let collimator = Collimator::start_with(&[("STUDY_QUIET_PERIOD", "1s")]).await;
    let uid = a_series_of_two_patients(&collimator).await;
    let listed = collimator.lists(&uid, 2).await;
    let completed: SeriesCompleted = collimator.completions().await.remove(0);
    let keywords: Vec<_> = completed.disagrees.iter().map(|it| it.keyword.as_str()).collect();
    assert_eq!(keywords, ["StudyInstanceUID", "PatientID", "PatientName"]);
    assert_eq!(listed["Disagrees"], serde_json::to_value(&completed.disagrees).unwrap());

    let studies: Vec<StudyCompleted> = eventually("both studies", async || {
        let mut events = collimator.events("SERIES").await;
        events.retain(|event| event.subject.starts_with("dicom.study.completed."));
        let read = |event: &async_nats::jetstream::message::StreamMessage| {
            serde_json::from_slice(&event.payload).unwrap()
        };
        (events.len() == 2).then(|| events.iter().map(read).collect())
    })
    .await;
    for study in &studies {
        assert_eq!(study.disagrees, completed.disagrees);
        assert_eq!((study.series.len(), study.number_of_study_related_instances), (1, 1));
    }
    let schemas = Schemas::read();
    for event in collimator.events("SERIES").await {
        schemas.hold(&event);
    }
    collimator.tells("disagreeing_completions_total", 1).await;
    let printed = collimator.process.printed();
    assert!(printed.contains("instances disagree on StudyInstanceUID, PatientID, PatientName"));
    assert!(!printed.contains("Roe") && !printed.contains("Doe"), "a patient in the log");
}

#[tokio::test]
async fn a_series_of_two_patients_waits_for_a_person_where_its_sender_is_set_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sources.toml");
    let entry = "[[source]]\nae_title = 'COLLIMATOR_SCU'\non_disagreement = 'hold'\n";
    std::fs::write(&file, entry).unwrap();
    let settings = [("SOURCES_FILE", file.to_str().unwrap()), ("STUDY_QUIET_PERIOD", "0s")];
    let collimator = Collimator::start_with(&settings).await;
    let uid = a_series_of_two_patients(&collimator).await;
    let letter = letters(&collimator, 1).await.remove(0);
    assert_eq!((&letter["Reason"], &letter["OriginalStream"]), (&"held".into(), &"SERIES".into()));
    let why = "instances disagree on StudyInstanceUID, PatientID, PatientName";
    assert_eq!(letter["Error"], why);
    assert_eq!(collimator.events("SERIES").await.len(), 0);
    let path = format!("/series/{uid}");
    assert_eq!(get(&collimator, &path).await["Held"], true);

    let sequence = &letter["Sequence"];
    let replay = format!("{}/dead-letters/{sequence}/replay", collimator.api);
    let replayed = Client::new().request(Method::POST, replay).send().await.unwrap();
    assert_eq!(replayed.status(), 204);
    letters(&collimator, 0).await;
    let completed = eventually("its announcement", async || collimator.completions().await.pop());
    let completed = completed.await;
    assert_eq!((completed.series_instance_uid.as_str(), completed.revision), (&*uid, 1));
    assert_eq!(get(&collimator, &path).await["Held"], Value::Null);
    let (schemas, asked) = (Schemas::read(), collimator.events("INSTANCES").await);
    let kinds = asked.iter().map(|event| schemas.hold(event));
    assert_eq!(kinds.filter(|kind| kind == "dicom.request.release").count(), 1);
}
