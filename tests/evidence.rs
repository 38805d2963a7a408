//! What real associations tell of a series, and what follows from it.

use crate::harness::scu::Scu;
use crate::harness::tools::{dcmtk, have};
use crate::harness::{Collimator, Services, eventually};
use collimator::synthetic::SyntheticStudy;
use contract::event::Reason::{Interrupted, Quiet, Released};
use dicom_dictionary_std::uids;
use dicom_object::{FileDicomObject, InMemDicomObject};
use serde_json::{Value, json};
use std::time::Duration;

/// A series of small images, and its UID.
fn series(instances: u32) -> (String, Vec<FileDicomObject<InMemDicomObject>>) {
    let study = SyntheticStudy::new().series("MR", instances).size(16, 16);
    (study.series_instance_uids().remove(0), study.instances().unwrap())
}

/// All events but those of instances, each with its subject.
async fn published(collimator: &Collimator) -> Vec<(String, Value)> {
    let events = collimator.events("INSTANCES").await;
    let published = events.into_iter().map(|event| {
        let payload = serde_json::from_slice(&event.payload).unwrap();
        (event.subject.to_string(), payload)
    });
    published.filter(|(subject, _)| !subject.starts_with("dicom.instance.")).collect()
}

#[tokio::test]
async fn an_association_says_when_it_opens_and_what_it_brought() {
    let collimator = Collimator::start_with(&[("NODE_NAME", "reading room 1")]).await;
    if have("echoscu") {
        dcmtk("echoscu", collimator.dicom, &[], &[]).await;
    }
    let ((first, images), (second, others)) = (series(2), series(1));
    let mut scu = Scu::for_mr(collimator.dicom).await;
    for image in images.iter().chain(&others) {
        scu.stores(image).await;
    }
    let answer = scu.store(1, uids::MR_IMAGE_STORAGE, "2.25.9", b"no data set").await;
    assert_ne!(answer.status, 0);
    scu.release().await;
    // A release after a failure proves nothing.
    assert_eq!(collimator.lists(&first, 2).await["Reason"], "quiet");

    let published = published(&collimator).await;
    let subjects: Vec<_> = published.iter().map(|(subject, _)| subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "dicom.ingest.started.reading_room_1",
            "dicom.association.opened.TEST_SCU",
            "dicom.association.released.TEST_SCU",
        ]
    );
    let released = &published[2].1;
    assert_eq!(released["AssociationID"], published[1].1["AssociationID"]);
    assert_eq!(released["NodeName"], "reading room 1");
    let counts = [&released["Stores"], &released["Acknowledged"], &released["Failed"]];
    assert_eq!(counts, [4, 3, 1]);
    let share = |uid: &str, acknowledged: u64| json!({"SeriesInstanceUID": uid, "Acknowledged": acknowledged, "Failed": 0});
    assert_eq!(released["Series"], json!([share(&first, 2), share(&second, 1)]));
}

#[tokio::test]
async fn a_caller_that_is_turned_away_is_told_of() {
    if !have("echoscu") {
        return;
    }
    let collimator = Collimator::start_with(&[("CHECK_CALLED_AE", "true")]).await;
    dcmtk("echoscu", collimator.dicom, &["-aet", "STRANGER", "-aec", "OTHER"], &[]).await;
    let rejected = eventually("the rejection", async || {
        published(&collimator).await.into_iter().find(|(subject, _)| subject.contains("rejected"))
    })
    .await;
    assert_eq!(rejected.0, "dicom.association.rejected.STRANGER");
    assert_eq!(
        (&rejected.1["CalledAETitle"], &rejected.1["Rejections"]),
        (&json!("OTHER"), &json!(1))
    );
}

#[tokio::test]
async fn a_release_completes_a_series_long_before_its_quiet_period() {
    let settings = [("QUIET_PERIOD", "1h"), ("SETTLE_PERIOD", "200ms")];
    let collimator = Collimator::start_with(&settings).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 5).series("CT", 5);
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    for uid in study.series_instance_uids() {
        assert_eq!(collimator.lists(&uid, 5).await["Reason"], "released");
    }
}

#[tokio::test]
async fn a_sender_that_pauses_in_an_open_association_has_one_completion() {
    let settings = [("QUIET_PERIOD", "6s"), ("SETTLE_PERIOD", "500ms")];
    let collimator = Collimator::start_with(&settings).await;
    let (uid, images) = series(4);
    let mut scu = Scu::for_mr(collimator.dicom).await;
    for image in &images {
        scu.stores(image).await;
        collimator.pause(Duration::from_millis(1500)).await;
    }
    collimator.lists(&uid, 4).await;
    let completions = collimator.completions().await;
    assert_eq!((completions.len(), completions[0].reason), (1, Quiet));
    scu.release().await;
}

/// The pauses that `GET /sources` has of the one sender, once they satisfy a condition.
async fn pauses(collimator: &Collimator, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || {
        let sources = reqwest::get(format!("{}/sources", collimator.api)).await.unwrap();
        let sources: Value = sources.json().await.unwrap();
        Some(sources[0]["Pauses"].clone()).filter(|pauses| wanted(pauses))
    })
    .await
}

#[tokio::test]
async fn the_pauses_of_a_sender_are_learnt_even_those_in_which_a_series_was_announced() {
    let settings = [("QUIET_PERIOD", "4s"), ("SETTLE_PERIOD", "500ms")];
    let collimator = Collimator::start_with(&settings).await;
    let (uid, images) = series(3);
    let mut scu = Scu::for_mr(collimator.dicom).await;
    scu.stores(&images[0]).await;
    collimator.pause(Duration::from_millis(1500)).await;
    scu.stores(&images[1]).await;
    collimator.lists(&uid, 2).await;
    let learnt = pauses(&collimator, "a pause", |it| it["SeriesCount"] == 1).await;
    let longest = learnt["Max"].as_f64().unwrap();
    assert!((1.5..4.0).contains(&longest), "{learnt}");
    assert_eq!((&learnt["P50"], &learnt["P99"]), (&learnt["Max"], &learnt["Max"]));
    assert!(learnt.get("SuggestedQuietPeriod").is_none(), "{learnt}");
    // It was announced too early.
    scu.stores(&images[2]).await;
    scu.release().await;
    let learnt = pauses(&collimator, "a longer pause", |it| it["SeriesCount"] == 2).await;
    let longest = learnt["Max"].as_f64().unwrap();
    assert!((4.0..60.0).contains(&longest), "{learnt}");
    // Series without pauses, from the same sender.
    let many = (0..98).fold(SyntheticStudy::new(), |study, _| study.series("MR", 2)).size(16, 16);
    let mut scu = Scu::for_mr(collimator.dicom).await;
    for image in &many.instances().unwrap() {
        scu.stores(image).await;
    }
    scu.release().await;
    let learnt = pauses(&collimator, "all series", |it| it["SeriesCount"] == 100).await;
    let [p50, p99, suggested] =
        ["P50", "P99", "SuggestedQuietPeriod"].map(|key| learnt[key].as_f64().unwrap());
    assert_eq!(learnt["Max"], longest, "{learnt}");
    // The second longest of a hundred is that of the first revision, if nothing else took so long.
    assert!(p50 < p99 && (1.5..longest).contains(&p99), "{learnt}");
    assert!((suggested - (p99 * 1.5).ceil()).abs() < 0.01, "{learnt}");
    let sample = r#"series_pause_seconds{source="TEST_SCU",percentile="100"}"#;
    let text = collimator.metrics().await;
    assert!(text.contains(&format!("collimator_{sample} {longest}")), "{text}");
}

#[tokio::test]
async fn a_sender_with_an_association_for_each_instance_loses_the_rule_with_its_first_series() {
    let settings = [("QUIET_PERIOD", "6s"), ("SETTLE_PERIOD", "300ms")];
    let collimator = Collimator::start_with(&settings).await;
    let mut uids = Vec::new();
    for _ in 0..2 {
        let (uid, images) = series(3);
        for image in &images {
            let mut scu = Scu::for_mr(collimator.dicom).await;
            scu.stores(image).await;
            scu.release().await;
            collimator.pause(Duration::from_secs(1)).await;
        }
        uids.push(uid);
    }
    collimator.lists(&uids[1], 3).await;
    let completions = collimator.completions().await;
    let published: Vec<_> = completions
        .iter()
        .map(|c| (c.series_instance_uid.as_str(), c.revision, c.instances_count, c.reason))
        .collect();
    assert_eq!(
        published,
        [
            (uids[0].as_str(), 1, 1, Released),
            (uids[0].as_str(), 2, 3, Quiet),
            (uids[1].as_str(), 1, 3, Quiet)
        ]
    );
}

#[tokio::test]
async fn an_instance_that_takes_longer_than_the_quiet_period_keeps_its_series_open() {
    let settings = [("QUIET_PERIOD", "4s"), ("SETTLE_PERIOD", "4s")];
    let collimator = Collimator::start_with(&settings).await;
    let study = SyntheticStudy::new().series("MR", 3);
    let (uid, images) = (study.series_instance_uids().remove(0), study.instances().unwrap());
    let mut scu = Scu::for_mr(collimator.dicom).await;
    scu.stores(&images[0]).await;
    scu.stores_slowly(&images[1], 80, Duration::from_millis(100)).await;
    scu.stores(&images[2]).await;
    collimator.lists(&uid, 3).await;
    let completions = collimator.completions().await;
    assert_eq!((completions.len(), completions[0].revision), (1, 1));
    let events = collimator.events("INSTANCES").await;
    let beats = events.iter().filter(|e| e.subject.starts_with("dicom.instance.receiving."));
    // One a second of eight, and more where the machine was slow.
    assert!(beats.count() >= 4);
}

#[tokio::test]
async fn a_connection_that_is_lost_leaves_an_interrupted_series() {
    let settings = [("QUIET_PERIOD", "1h"), ("ABORT_GRACE", "1s")];
    let collimator = Collimator::start_with(&settings).await;
    let (uid, images) = series(3);
    let mut scu = Scu::for_mr(collimator.dicom).await;
    scu.stores(&images[0]).await;
    drop(scu);
    collimator.lists(&uid, 1).await;
    assert_eq!(collimator.completions().await[0].reason, Interrupted);
    let published = published(&collimator).await;
    let (subject, aborted) = published.last().unwrap();
    assert_eq!(subject, "dicom.association.aborted.TEST_SCU");
    assert!(aborted["Cause"].as_str().unwrap().contains("lost"), "{aborted}");
}

#[tokio::test]
async fn what_a_dead_receiver_left_open_is_interrupted_by_its_next_start() {
    let settings = [("QUIET_PERIOD", "1h"), ("ABORT_GRACE", "1s"), ("NODE_NAME", "a")];
    let mut services = Services::start_with(&settings).await;
    let (uid, images) = series(3);
    let mut scu = Scu::for_mr(services.dicom).await;
    scu.stores(&images[0]).await;
    services.ingest.kill();
    services.start_ingest().await;
    services.lists(&uid, 1).await;
    // Its sender tries again.
    let mut scu = Scu::for_mr(services.dicom).await;
    for image in &images {
        scu.stores(image).await;
    }
    scu.release().await;
    services.lists(&uid, 3).await;
    let completions = services.completions().await;
    let published: Vec<_> =
        completions.iter().map(|c| (c.revision, c.instances_count, c.reason)).collect();
    assert_eq!(published, [(1, 1, Interrupted), (2, 3, Released)]);
}

#[tokio::test]
async fn each_of_300_series_that_paused_while_the_indexer_was_away_is_complete_once_and_whole() {
    let mut services = Services::start_with(&[]).await;
    services.indexer.kill();
    let all: Vec<_> = (0..300).map(|_| series(20)).collect();
    let half = async |from: usize| {
        // Each of four associations has a quarter of the series, and brings them all in turn.
        let lane = async |lane: usize| {
            let mut scu = Scu::for_mr(services.dicom).await;
            for instance in from..from + 10 {
                for (_, images) in all.iter().skip(lane).step_by(4) {
                    scu.stores(&images[instance]).await;
                }
            }
            scu.release().await;
        };
        tokio::join!(lane(0), lane(1), lane(2), lane(3));
    };
    half(0).await;
    services.pause(Duration::from_millis(1500)).await;
    half(10).await;
    services.start_indexer().await;
    let completions = eventually("300 completions", async || {
        Some(services.completions().await).filter(|completions| completions.len() >= 300)
    })
    .await;
    let published: Vec<_> = completions.iter().map(|c| (c.revision, c.instances_count)).collect();
    assert_eq!(published, vec![(1, 20); 300]);
}

#[tokio::test]
async fn a_source_has_its_own_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sources.toml");
    let entry = "[[source]]\nae_title = 'TEST_SCU'\nsettle_period = '100ms'\n\
                 retrieve_url = 'http://pacs/dicom-web'\n";
    std::fs::write(&file, entry).unwrap();
    let file = file.to_str().unwrap().to_owned().leak();
    let settings = [("QUIET_PERIOD", "1h"), ("SETTLE_PERIOD", "1h"), ("SOURCES_FILE", &*file)];
    let collimator = Collimator::start_with(&settings).await;
    let (uid, images) = series(1);
    let mut scu = Scu::for_mr(collimator.dicom).await;
    scu.stores(&images[0]).await;
    scu.release().await;
    collimator.lists(&uid, 1).await;
    let completions = collimator.completions().await;
    let url = completions[0].retrieve_url.clone().unwrap();
    assert!(url.starts_with("http://pacs/dicom-web/studies/2.25."), "{url}");
    assert!(url.ends_with(&format!("/series/{uid}")), "{url}");
}
