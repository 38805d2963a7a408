//! Pseudonyms from outside: the names are nowhere, and a patient is found all the same.

use crate::harness::Collimator;
use crate::harness::pipeline::COLLIMATOR;
use collimator::synthetic::SyntheticStudy;
use dicom_core::{DataElement, Tag, VR};
use futures_util::StreamExt as _;
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const BIRTH_DATE: &str = "19370613";

/// What names the patients, and may be nowhere.
const NAMES: [&str; 7] =
    ["Quartermaine", "Hjalmarine", "QTM-4711", "Étranger", "Zéphyrine", "ZPH-0815", BIRTH_DATE];

/// Two patients of an issuer, who have the same birth date.
fn patients() -> [SyntheticStudy; 2] {
    [("Quartermaine^Hjalmarine", "QTM-4711"), ("Étranger^Zéphyrine", "ZPH-0815")].map(
        |(name, id)| {
            SyntheticStudy::new().patient(name, id).series("MR", 2).size(8, 8).extra(|data_set| {
                data_set.put(DataElement::new(Tag(0x0010, 0x0021), VR::LO, "WARD"));
                data_set.put(DataElement::new(Tag(0x0010, 0x0030), VR::DA, BIRTH_DATE));
            })
        },
    )
}

/// A key, whose file has a name that lives as long as the tests.
fn key(folder: &Path, name: &str, bytes: &[u8]) -> &'static str {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned().leak()
}

/// Writes a study down and sends it; gives the folder, so that it can be sent again.
async fn sends(collimator: &Collimator, study: &SyntheticStudy) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    folder
}

/// What an operator who looks up somebody is told.
fn looked_up(key: &str, said: &str) -> Output {
    let mut asked = Command::new(COLLIMATOR)
        .arg("pseudonym")
        .env("PSEUDONYM_KEY_FILE", key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    asked.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
    asked.wait_with_output().unwrap()
}

/// Where one of the names stands in these bytes, if any does, in UTF-8 or Latin-1.
fn named_in(bytes: &[u8]) -> Option<&'static str> {
    let latin = |name: &str| name.chars().map(|c| c as u32 as u8).collect::<Vec<_>>();
    NAMES.into_iter().find(|name| holds(bytes, name.as_bytes()) || holds(bytes, &latin(name)))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn names_are_in_no_event_no_file_and_no_log_and_a_patient_stays_the_same() {
    let keys = tempfile::tempdir().unwrap();
    let (first_key, second_key) =
        (key(keys.path(), "first", &[0x5e; 32]), key(keys.path(), "second", &[0xa7; 48]));
    let data = tempfile::tempdir().unwrap();
    let data_dir: &'static str = data.path().to_str().unwrap().to_owned().leak();
    let settings = |key| {
        [
            ("DATA_DIR", data_dir),
            ("PSEUDONYMISE", "keyed"),
            ("PSEUDONYM_KEY_FILE", key),
            ("RUST_LOG", "debug,ingest=trace,indexer=trace,api=trace"),
        ]
    };
    let [quartermaine, etranger] = patients();
    let uid = |study: &SyntheticStudy| study.series_instance_uids().remove(0);

    let mut collimator = Collimator::start_with(&settings(first_key)).await;
    let mut tap = collimator.nats.subscribe("dicom.>").await.unwrap();
    collimator.nats.flush().await.unwrap();
    let folder = sends(&collimator, &quartermaine).await;
    sends(&collimator, &etranger).await;
    let first = collimator.lists(&uid(&quartermaine), 2).await;
    let other = collimator.lists(&uid(&etranger), 2).await;
    for keyword in ["PatientID", "PatientName"] {
        assert_ne!(first[keyword], other[keyword], "{keyword}");
    }
    let details = reqwest::get(format!("{}/series/{}", collimator.api, uid(&quartermaine))).await;
    let details: Value = details.unwrap().json().await.unwrap();
    assert_eq!(details["IssuerOfPatientID"], "WARD", "it stays: {details}");
    let metrics = collimator.metrics().await;
    assert_eq!(named_in(metrics.as_bytes()), None);

    // What anybody hears who listens to all.
    let mut instances = 0;
    let mut completed = 0;
    while completed < 2 {
        let heard = tap.next().await.unwrap();
        assert_eq!(named_in(&heard.payload), None, "{}", heard.subject);
        assert_eq!(named_in(heard.subject.as_bytes()), None);
        assert_eq!(named_in(format!("{:?}", heard.headers).as_bytes()), None);
        instances += u32::from(heard.subject.starts_with("dicom.instance.stored."));
        completed += u32::from(heard.subject.starts_with("dicom.series.completed."));
    }
    assert_eq!(instances, 4);

    // An operator who knows the patient finds the pseudonym, with the key.
    let said = "QTM-4711\tWARD\n ZPH-0815 \tWARD\r\nQTM-4711\n";
    let printed_by = looked_up(first_key, said);
    let lines = String::from_utf8(printed_by.stdout).unwrap();
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(
        lines[..2],
        [first["PatientID"].as_str().unwrap(), other["PatientID"].as_str().unwrap()]
    );
    assert!(
        lines.len() == 3 && lines[2] != lines[0],
        "another issuer is another patient: {lines:?}"
    );

    // After a restart it is the same patient: a resend corrects nothing.
    collimator.process.signal("INT");
    assert_eq!(collimator.process.ended().await, Some(0));
    let printed = collimator.process.printed();
    let mut again = Collimator::start_with(&settings(first_key)).await;
    let paths = files(folder.path());
    again.receives(paths.clone()).await;
    let stored = again.stored().await;
    let [before, after] = [&stored[0], &stored[stored.len() - 1]]
        .map(|event| serde_json::from_slice::<Value>(&event.payload).unwrap());
    for keyword in ["PatientID", "PatientName"] {
        assert_eq!(before[keyword], after[keyword], "{keyword}");
    }
    assert_eq!(before.get("PatientBirthDate"), None);
    again.process.signal("INT");
    assert_eq!(again.process.ended().await, Some(0));

    // Another key, another pseudonym.
    let mut rotated = Collimator::start_with(&settings(second_key)).await;
    rotated.receives(paths).await;
    let stored = rotated.stored().await;
    let rekeyed: Value = serde_json::from_slice(&stored[stored.len() - 1].payload).unwrap();
    for keyword in ["PatientID", "PatientName", "Digest"] {
        assert_ne!(before[keyword], rekeyed[keyword], "{keyword}");
    }
    rotated.process.signal("INT");
    assert_eq!(rotated.process.ended().await, Some(0));

    // All that is on disk, the catalogue and the streams among it, and all that was logged.
    let pseudonym = other["PatientID"].as_str().unwrap();
    let mut pseudonymous = Vec::new();
    for path in files(data.path()) {
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(named_in(&bytes), None, "{}", path.display());
        if holds(&bytes, pseudonym.as_bytes()) {
            pseudonymous.push(path);
        }
    }
    // A name would be as plain in them.
    for kept in ["catalog.db", "INSTANCES", "SERIES"] {
        let is_it = |path: &PathBuf| path.iter().any(|part| part == kept);
        assert!(pseudonymous.iter().any(is_it), "{kept}: {pseudonymous:?}");
    }
    for printed in [printed, again.process.printed(), rotated.process.printed()] {
        assert!(printed.contains("others may read"), "the key's permissions are warned of");
        assert_eq!(named_in(printed.as_bytes()), None);
    }
}

#[test]
fn a_patient_that_can_not_be_looked_up_is_in_no_error() {
    let keys = tempfile::tempdir().unwrap();
    let good = key(keys.path(), "good", &[0x5e; 32]);
    let long = format!("QTM-4711{}", "x".repeat(5000));
    for (key, said) in
        [(key(keys.path(), "short", b"short"), "QTM-4711"), (good, "\tWARD"), (good, &long)]
    {
        let printed_by = looked_up(key, said);
        let error = String::from_utf8(printed_by.stderr).unwrap();
        assert_eq!(printed_by.status.code(), Some(1), "{error}");
        assert!(!error.contains("QTM") && !error.contains("WARD"), "{error}");
    }
}
