//! What events look like is written down, and true.

use crate::harness::schemas::Schemas;
use crate::harness::scu::{Proposal, Scu};
use crate::harness::{Collimator, eventually, series_to_store};
use collimator::synthetic::SyntheticStudy;
use dicom_dictionary_std::uids;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// The examples of events: of each its kind and payload.
fn golden_files() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shared/contract/golden");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let golden: Value = serde_json::from_str(&text).unwrap();
        (golden["headers"]["ce-type"].as_str().unwrap().to_owned(), golden["payload"].clone())
    };
    std::fs::read_dir(folder).unwrap().map(read).collect()
}

#[test]
fn each_example_is_as_its_schema_says_and_each_schema_has_one() {
    let (schemas, golden) = (Schemas::read(), golden_files());
    let mut kinds: Vec<_> = golden.iter().map(|(kind, _)| kind.as_str()).collect();
    kinds.sort_unstable();
    // An event with an optional part has an example with it too.
    kinds.dedup();
    assert_eq!(schemas.kinds(), kinds);
    for (kind, payload) in &golden {
        assert_eq!(schemas.errors(kind, payload), [""; 0], "{kind}");
        let described = &schemas.of(kind)["properties"];
        for key in payload.as_object().unwrap().keys() {
            assert!(described[key]["description"].is_string(), "{kind}: {key} is not described");
        }
    }
}

#[test]
fn a_schema_misses_what_is_missing_and_what_is_of_another_type() {
    let schemas = Schemas::read();
    for (kind, payload) in golden_files() {
        for key in schemas.of(&kind)["required"].as_array().unwrap() {
            let key = key.as_str().unwrap();
            let mut broken = payload.clone();
            broken.as_object_mut().unwrap().remove(key).unwrap();
            assert!(!schemas.errors(&kind, &broken).is_empty(), "{kind} without {key}");
        }
        for key in payload.as_object().unwrap().keys() {
            let mut broken = payload.clone();
            broken[key] = json!({"an": ["object"]});
            assert!(!schemas.errors(&kind, &broken).is_empty(), "{kind}: {key}");
        }
        let mut later = payload.clone();
        later["FromALaterVersion"] = json!("x");
        assert_eq!(schemas.errors(&kind, &later), [""; 0], "{kind}: keys may be added");
    }
}

#[tokio::test]
async fn whatever_the_pipeline_says_is_as_its_schema_says() {
    let store = tempfile::tempdir().unwrap();
    let store = format!("file://{}", store.path().display());
    let settings = [
        ("STORE_URL", &*store),
        ("STORE_RESERVE", "0"),
        ("CHECK_CALLED_AE", "true"),
        ("QUIET_PERIOD", "1h"),
        ("ABORT_GRACE", "1s"),
        ("STUDY_QUIET_PERIOD", "1s"),
    ];
    let collimator = Collimator::start_with(&settings).await;
    let ask = async |method: Method, path: &str| {
        let answer = Client::new().request(method, format!("{}{path}", collimator.api));
        answer.send().await.unwrap().status().as_u16()
    };
    let mr: &[(&str, &[&str])] = &[(uids::MR_IMAGE_STORAGE, &[uids::EXPLICIT_VR_LITTLE_ENDIAN])];
    let foreign = Proposal { contexts: mr, max_pdu_length: 16384, called_ae_title: "OTHER" };
    assert!(Scu::associate(collimator.dicom, foreign).await.is_err());

    let study = SyntheticStudy::new().series("MR", 2).size(64, 64);
    let uid = study.series_instance_uids().remove(0);
    let images = study.instances().unwrap();
    let mut scu = Scu::for_mr(collimator.dicom).await;
    scu.stores_slowly(&images[0], 30, Duration::from_millis(100)).await;
    let complete = format!("/series/{uid}/complete");
    eventually("the series to be known", async || {
        (ask(Method::POST, &complete).await == 202).then_some(())
    })
    .await;
    scu.stores(&images[1]).await;
    scu.release().await;
    let other = SyntheticStudy::new().series("MR", 1).size(16, 16);
    let mut scu = Scu::for_mr(collimator.dicom).await;
    scu.stores(&other.instances().unwrap()[0]).await;
    drop(scu);
    collimator.lists(&uid, 2).await;
    collimator.lists(&other.series_instance_uids()[0], 1).await;
    assert_eq!(ask(Method::POST, "/sources/TEST_SCU/trust").await, 202);
    assert_eq!(ask(Method::POST, "/receivers/another/gone").await, 202);
    let series = series_to_store("1.2.3.4", "1.2.3", 12);
    let stored = Client::new().post(format!("{}/store", collimator.api)).json(&series).send();
    assert_eq!(stored.await.unwrap().status(), 200);

    let schemas = Schemas::read();
    let said = async || {
        let mut said = BTreeSet::new();
        for stream in ["INSTANCES", "SERIES", "AUDIT"] {
            said.extend(collimator.events(stream).await.iter().map(|event| schemas.hold(event)));
        }
        said
    };
    eventually("the study to be complete, and a series to be kept", async || {
        let said = said().await;
        let all = ["dicom.study.completed", "dicom.series.kept"];
        all.iter().all(|kind| said.contains(*kind)).then_some(())
    })
    .await;
    assert_eq!(ask(Method::DELETE, &format!("/series/{uid}")).await, 202);
    let said = eventually("the deletion", async || {
        let said = said().await;
        said.contains("dicom.series.deleted").then_some(said)
    })
    .await;
    // These take an outage of the broker, replicas, a source that is asked, a completion that was held back, or a limit
    // of the instance store, and are looked at where there are.
    let all: BTreeSet<_> = schemas.kinds().into_iter().map(str::to_owned).collect();
    let missing: Vec<_> = all.difference(&said).collect();
    assert_eq!(
        missing,
        [
            "dicom.clock",
            "dicom.evidence.answered",
            "dicom.evidence.asked",
            "dicom.evidence.fetched",
            "dicom.evidence.listed",
            "dicom.evidence.wanted",
            "dicom.ingest.resumed",
            "dicom.request.release",
            "dicom.series.purged"
        ]
    );
}
