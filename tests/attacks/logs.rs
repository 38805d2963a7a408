//! A day's load, with all that goes wrong on a day: no patient is in anything that anybody keeps of it.

use super::holds_none;
use crate::harness::listening::Listening;
use crate::harness::raw_http::{percent, request, say};
use crate::harness::receiver::Receiver;
use crate::harness::scu::{Kind, Scu, written};
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use futures_util::StreamExt as _;
use std::path::{Path, PathBuf};

/// Associations of the day, and instances of each.
const ASSOCIATIONS: u64 = 100;
const INSTANCES: u32 = 30;
/// How many there are at one time.
const LANES: u64 = 4;

const BIRTH_DATE: &str = "19410213";

/// A patient as a data set has it: character set, name and id.
struct Patient {
    set: &'static str,
    name: &'static [u8],
    id: &'static str,
}

const PATIENTS: [Patient; 4] = [
    Patient { set: "", name: b"Quillfeather^Ottoline", id: "PID-77310" },
    Patient { set: "ISO_IR 100", name: b"M\xfcnzwie\xdf^J\xf6rgen ", id: "PID-77311" },
    Patient { set: "ISO_IR 192", name: "Ковалевская^Софья".as_bytes(), id: "PID-77312" },
    // PS3.5 annex H.3.1.
    Patient {
        set: "\\ISO 2022 IR 87",
        name: b"Yamadakko^Tarounosuke=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B ",
        id: "PID-77313",
    },
];

/// Parts of their names as they are decoded.
const NAMES: [&str; 12] = [
    "Quillfeather",
    "Ottoline",
    "Münzwieß",
    "Jörgen",
    "Ковалевская",
    "Софья",
    "Yamadakko",
    "Tarounosuke",
    "山田",
    "太郎",
    "やまだ",
    "たろう",
];

/// What may stand nowhere: names, ids and birth dates, in whatever way bytes come to be written down.
fn needles() -> Vec<Vec<u8>> {
    let mut needles: Vec<Vec<u8>> = vec![
        b"M\xfcnzwie\xdf".to_vec(),
        b"J\xf6rgen".to_vec(),
        b"\x1b$B;3ED".to_vec(),
        b"$B;3ED".to_vec(),
        b"PID-7731".to_vec(),
        BIRTH_DATE.into(),
        b"1941-02-13".to_vec(),
    ];
    for name in NAMES {
        let escaped = |width: usize| {
            name.chars()
                .map(|c| match c.is_ascii() {
                    true => c.to_string(),
                    false => format!("\\u{:0width$x}", c as u32),
                })
                .collect::<String>()
        };
        let listed = format!("{:?}", name.as_bytes());
        needles.extend([
            name.as_bytes().to_vec(),
            name.to_uppercase().into_bytes(),
            name.to_lowercase().into_bytes(),
            percent(name.as_bytes()).into_bytes(),
            escaped(4).into_bytes(),
            name.escape_default().to_string().into_bytes(),
            listed.trim_matches(['[', ']']).as_bytes().to_vec(),
            // UTF-8 that was read as Latin-1.
            name.bytes().map(char::from).collect::<String>().into_bytes(),
        ]);
    }
    needles
}

/// A patient's study of one series, with the name as other systems write it.
fn study(number: u64) -> SyntheticStudy {
    let patient = &PATIENTS[number as usize % PATIENTS.len()];
    SyntheticStudy::new().series("MR", INSTANCES).size(8, 8).extra(move |data_set| {
        let mut put = |tag, vr, value: &[u8]| {
            let mut value = value.to_vec();
            if value.len() % 2 == 1 {
                value.push(b' ');
            }
            data_set.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
        };
        put(tags::SPECIFIC_CHARACTER_SET, VR::CS, patient.set.as_bytes());
        put(tags::PATIENT_NAME, VR::PN, patient.name);
        put(tags::REFERRING_PHYSICIAN_NAME, VR::PN, patient.name);
        put(tags::PATIENT_ID, VR::LO, patient.id.as_bytes());
        put(tags::ACCESSION_NUMBER, VR::SH, patient.id.as_bytes());
        put(tags::PATIENT_BIRTH_DATE, VR::DA, BIRTH_DATE.as_bytes());
    })
}

/// One association of the day: some break off, some bring what can't be understood.
async fn association(collimator: &Collimator, number: u64) {
    let images = study(number).instances().unwrap();
    let mut scu = Scu::for_mr(collimator.dicom).await;
    for (place, image) in images.iter().enumerate() {
        scu.stores(image).await;
        let (sop, data_set) = written(image);
        if number % 7 == 3 && place == 5 {
            let cut = &data_set[..(data_set.len() / 3) | 1];
            assert_ne!(scu.store(1, uids::MR_IMAGE_STORAGE, &sop, cut).await.status, 0);
            let other = scu.store(1, uids::MR_IMAGE_STORAGE, "2.25.77", &data_set).await;
            assert_eq!(other.status, 0xa900);
            let name = PATIENTS[number as usize % 4].name;
            let answer = scu.store(1, uids::MR_IMAGE_STORAGE, &sop, name).await;
            assert_ne!(answer.status, 0, "a name is no data set");
        }
        if number % 10 == 4 && place == 10 {
            let command = scu.store_command(uids::MR_IMAGE_STORAGE, &sop, true);
            scu.send(1, Kind::Command, &command, 1000).await;
            scu.send_part(&data_set[..600], false).await;
            // And is gone.
            return;
        }
    }
    scu.release().await;
}

/// Asks for them in each way that somebody might, also the wrong ones.
async fn asks_for_everybody(api: &str, needles: &[Vec<u8>]) {
    let json = [("Content-Type", &b"application/json"[..])];
    for who in NAMES.into_iter().chain(["PID-77310", BIRTH_DATE]) {
        let asked = percent(who.as_bytes());
        for path in [
            format!("/series?PatientName={asked}*"),
            format!("/series?PatientID={asked}"),
            format!("/series?limit={asked}&StudyDate={asked}&cursor={asked}"),
            format!("/series/{asked}"),
            format!("/series/{asked}/history"),
            format!("/studies?PatientName={asked}&StudyDate={asked}"),
            format!("/studies/{asked}"),
            format!("/events?Modality={asked}"),
            format!("/dicom-web/studies?PatientName={asked}&StudyDate={asked}"),
            format!("/dicom-web/studies/{asked}/series"),
            format!("/dicom-web/instances?limit={asked}"),
            format!("/patients/{asked}"),
            format!("/{asked}"),
            format!("/dead-letters?after={asked}"),
        ] {
            for method in ["GET", "HEAD", "POST", "DELETE"] {
                let headers = [("Last-Event-ID", who.as_bytes()), ("Referer", who.as_bytes())];
                let answer = say(api, &request(method, &path, &headers, b"")).await.unwrap();
                if answer.status >= 400 {
                    holds_none(&format!("{method} {path}"), &answer.body, needles);
                }
            }
        }
        let answer = say(api, &request("POST", &format!("/sources/{asked}/trust"), &[], b"")).await;
        holds_none("a sender that is unknown", &answer.unwrap().body, needles);
        for body in [
            format!("{{\"PatientName\": \"{who}\"}}"),
            format!("{{\"PatientName\": \"{who}\", {who}"),
            format!(
                "{{\"{who}\": 1, \"SeriesInstanceUID\": \"{who}\", \"InstancesCount\": \"{who}\"}}"
            ),
            format!("\"{who}\""),
        ] {
            let answer =
                say(api, &request("POST", "/store", &json, body.as_bytes())).await.unwrap();
            assert_eq!(answer.status, 422);
            holds_none("the answer to a body", &answer.body, needles);
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_day_of_associations_names_no_patient_in_a_log_a_metric_or_an_error() {
    let needles = needles();
    let data = tempfile::tempdir().unwrap();
    // One webhook is refused with the event in the answer, the other one is not there.
    let mut receiver = Receiver::start().await;
    let hooks = data.path().join("webhooks.toml");
    let hook = |name: &str, url: &str| {
        format!(
            "[[webhook]]\nname = '{name}'\nurl = '{url}'\nsecret = 'correct horse battery'\nattempts = 2\n"
        )
    };
    let both = hook("refuses", &receiver.url) + &hook("is-away", "http://127.0.0.1:9/");
    std::fs::write(&hooks, both).unwrap();
    let settings = [
        ("RUST_LOG", "trace"),
        ("DATA_DIR", data.path().to_str().unwrap()),
        ("WEBHOOKS_FILE", hooks.to_str().unwrap()),
    ];
    let collimator = Collimator::start_with(&settings).await;
    let mut listening = Listening::to(&collimator.api, "", None).await.unwrap();
    tokio::spawn(async move { while listening.next().await.is_some() {} });
    tokio::spawn(async move {
        loop {
            let delivery = receiver.gets().await;
            let said = delivery.body["data"]["PatientName"].to_string();
            delivery.gets_answer(500, &format!("x-patient: {said}\r\n")).await;
        }
    });

    let lanes = (0..LANES).map(async |lane| {
        for number in (lane..ASSOCIATIONS).step_by(LANES as usize) {
            association(&collimator, number).await;
        }
    });
    let mut lanes: futures_util::stream::FuturesUnordered<_> = lanes.collect();
    while lanes.next().await.is_some() {}
    // Somebody else publishes what can't be read.
    for who in NAMES {
        let broken = format!("{{\"PatientName\": \"{who}\", \"SOPInstanceUID\": {who}");
        let wrong = format!("{{\"PatientName\": \"{who}\", \"SOPInstanceUID\": [\"{who}\"]}}");
        for payload in [broken, wrong] {
            let subject = "dicom.instance.stored.07.MR.1.2";
            collimator.nats.publish(subject, payload.into()).await.unwrap();
        }
    }
    collimator.nats.flush().await.unwrap();
    asks_for_everybody(&collimator.api, &needles).await;
    eventually("all series", async || {
        (collimator.series().await.len() as u64 == ASSOCIATIONS).then_some(())
    })
    .await;
    let dead = async || (collimator.events("DEAD").await.len() >= 2 * NAMES.len()).then_some(());
    eventually("the dead letters", dead).await;
    // They were received, and are what they are: whoever may ask is told.
    let listed = reqwest::get(format!("{}/series", collimator.api)).await.unwrap();
    let listed = listed.text().await.unwrap();
    for name in NAMES {
        assert!(listed.contains(name), "{name} is nowhere");
    }
    let stored = collimator.stored().await.len();
    assert!(stored > 2500, "{stored}");

    holds_none("the metrics", collimator.metrics().await.as_bytes(), &needles);
    let printed = collimator.process.printed();
    assert!(printed.contains("\"TRACE\"") && printed.contains("is-away"));
    println!("{} lines, {} bytes of log", printed.lines().count(), printed.len());
    holds_none("the log", printed.as_bytes(), &needles);
    let logs: Vec<_> = files(data.path())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    assert!(!logs.is_empty(), "nats-server has one");
    for log in logs {
        holds_none(&log.display().to_string(), &std::fs::read(&log).unwrap(), &needles);
    }
}
