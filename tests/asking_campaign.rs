//! What asking costs whole series: Orthanc pushes each to a Collimator that asks it and to one that does not, in turn.

use crate::harness::tools::{Orthanc, free_port, have};
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use contract::event::{AssociationClosed, InstanceStored, Reason};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

const SERIES: usize = 200;
const SETTLE_PERIOD: Duration = Duration::from_millis(1000);

/// The time by the broker's clock from the last activity of each series to its announcement, sorted; each is
/// announced once, whole and by `released`.
async fn delays(collimator: &Collimator, instances: u64) -> Vec<Duration> {
    let completions = eventually("all completions", async || {
        Some(collimator.events("SERIES").await).filter(|events| {
            let is_one = |it: &&_| is_completion(it);
            events.iter().filter(is_one).count() >= SERIES
        })
    })
    .await;
    let mut last: HashMap<String, i128> = HashMap::new();
    let mut active = |series: String, at: i128| {
        let last = last.entry(series).or_insert(at);
        *last = (*last).max(at);
    };
    for event in collimator.events("INSTANCES").await {
        if event.subject.starts_with("dicom.instance.stored.") {
            let stored: InstanceStored = serde_json::from_slice(&event.payload).unwrap();
            active(stored.series_instance_uid.to_string(), event.time.unix_timestamp_nanos());
        } else if event.subject.starts_with("dicom.association.closed.") {
            let closed: AssociationClosed = serde_json::from_slice(&event.payload).unwrap();
            for share in closed.series {
                active(share.series_instance_uid.to_string(), event.time.unix_timestamp_nanos());
            }
        }
    }
    let mut delays = Vec::new();
    for event in completions.iter().filter(is_completion) {
        let completion: Value = serde_json::from_slice(&event.payload).unwrap();
        assert_eq!(completion["Revision"], 1, "{completion}");
        assert_eq!(completion["InstancesCount"], instances, "{completion}");
        assert_eq!(completion["Reason"], Reason::Released.as_str(), "{completion}");
        let last = last[completion["SeriesInstanceUID"].as_str().unwrap()];
        let nanoseconds = event.time.unix_timestamp_nanos() - last;
        delays.push(Duration::from_nanos(nanoseconds.try_into().unwrap()));
    }
    assert_eq!(delays.len(), SERIES);
    delays.sort_unstable();
    delays
}

fn is_completion(event: &&async_nats::jetstream::message::StreamMessage) -> bool {
    event.subject.starts_with("dicom.series.completed.")
}

/// The smallest delay that as many of a hundred are not above.
fn percentile(delays: &[Duration], percent: usize) -> Duration {
    delays[(delays.len() * percent).div_ceil(100) - 1]
}

#[tokio::test]
#[ignore = "a measurement of some minutes: bench/README.md"]
async fn a_whole_series_of_a_source_that_is_asked_is_announced_as_soon_as_any() {
    if !have("Orthanc") {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let file = folder.path().join("sources.toml");
    let ask = format!("ask = {{ ae_title = 'PACS', host = '127.0.0.1', port = {port} }}");
    std::fs::write(&file, format!("[[source]]\nae_title = 'PACS'\n{ask}\n")).unwrap();
    let common = [("SETTLE_PERIOD", "1s"), ("QUIET_PERIOD", "1h")];
    let asking =
        Collimator::start_with(&[common[0], common[1], ("SOURCES_FILE", file.to_str().unwrap())])
            .await;
    let plain = Collimator::start_with(&common).await;
    let at = |it: &Collimator| json!(["COLLIMATOR", it.dicom.ip().to_string(), it.dicom.port()]);
    let settings = json!({
        "DicomModalities": { "asking": at(&asking), "plain": at(&plain) },
        "DicomAssociationCloseDelay": 0,
    });
    let orthanc = Orthanc::start_with(port, asking.dicom, &settings).await;
    let instances = 5;
    for number in 0..SERIES {
        let study = SyntheticStudy::new().series("MR", instances).size(16, 16);
        let before = orthanc.all("series").await;
        let files = folder.path().join(number.to_string());
        for path in study.write_to(&files).unwrap() {
            orthanc.import(&path).await;
        }
        let mut series = orthanc.all("series").await;
        series.retain(|id| !before.contains(id));
        // Now the one is first and now the other.
        let turns = if number % 2 == 0 { ["asking", "plain"] } else { ["plain", "asking"] };
        for modality in turns {
            orthanc.push_to(modality, &series).await;
        }
    }
    let (with, without) =
        (delays(&asking, instances.into()).await, delays(&plain, instances.into()).await);
    asking.tells("questions_total{outcome=\"counted\"}", SERIES as u64).await;
    println!(
        "{SERIES} series of {instances} instances, from the release or last instance to the announcement in NATS, ms:"
    );
    for (name, delays) in [("asked", &with), ("not asked", &without)] {
        let of = |percent| percentile(delays, percent).as_secs_f64() * 1000.0;
        println!(
            "{name:>10}: min {:.0}, p50 {:.0}, p99 {:.0}, max {:.0}",
            delays[0].as_secs_f64() * 1000.0,
            of(50),
            of(99),
            of(100)
        );
    }
    let later = percentile(&with, 99).as_secs_f64() - percentile(&without, 99).as_secs_f64();
    println!("p99 later by {:.0} ms (aim: at most 150 ms)", later * 1000.0);
    assert!(with[0] >= SETTLE_PERIOD, "announced before its rule was due: {:?}", with[0]);
}
