//! `GET /events`: what happens, told as it happens.

use crate::harness::listening::Listening;
use crate::harness::pipeline::{
    Process, address, free_addr, nats_conf, nats_server, service, test_settings,
};
use crate::harness::scu::Scu;
use crate::harness::{Collimator, DEADLINE, eventually};
use collimator::synthetic::SyntheticStudy;
use serde_json::{Value, json};
use shared::settings::StreamSettings;
use shared::stream::ensure_streams;
use std::collections::HashSet;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A series of `count` instances: its UID, and its files.
fn series(modality: &'static str, count: u32) -> (String, Vec<PathBuf>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series(modality, count).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    (uid, study.write_to(folder.path()).unwrap(), folder)
}

async fn listens(api: &str, query: &str, last: Option<&str>) -> Listening {
    match Listening::to(api, query, last).await {
        Ok(listening) => listening,
        Err(answer) => panic!("{}: {:?}", answer.status(), answer.text().await),
    }
}

#[tokio::test]
async fn a_listener_sees_a_series_arrive_and_become_complete() {
    // Longer than it takes until progress is told.
    let collimator = Collimator::start_with(&[("QUIET_PERIOD", "1h")]).await;
    let mut listening = listens(&collimator.api, "", None).await;
    let study = SyntheticStudy::new().series("MR", 3).size(64, 64);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let images = study.instances().unwrap();
    let mut sender = Scu::for_mr(collimator.dicom).await;
    sender.stores(&images[0]).await;

    let opened = listening.next_of("association.opened").await;
    assert_eq!(opened.data["CallingAETitle"], "TEST_SCU");
    let opened = listening.next_of("series.opened").await;
    assert_eq!(
        (&opened.data["SeriesInstanceUID"], &opened.data["Modality"]),
        (&json!(uid), &json!("MR"))
    );
    assert_eq!(
        (&opened.data["InstancesSeen"], &opened.data["CallingAETitle"]),
        (&json!(1), &json!("TEST_SCU"))
    );
    assert!(opened.id.starts_with("INSTANCES:"), "{opened:?}");
    sender.stores(&images[1]).await;
    let progress = listening.next_of("series.progress").await;
    assert_eq!((&progress.data["InstancesSeen"], progress.id.as_str()), (&json!(2), ""));
    assert!(progress.data["BytesSeen"].as_u64() > opened.data["BytesSeen"].as_u64());
    sender.stores(&images[2]).await;
    assert_eq!(listening.next_of("series.progress").await.data["InstancesSeen"], 3);
    sender.release().await;
    assert_eq!(listening.next_of("association.released").await.data["Acknowledged"], 3);
    let completed = listening.next_of("series.completed").await;
    assert!(completed.id.starts_with("SERIES:"), "{completed:?}");
    let announced = collimator.events("SERIES").await;
    let announced: Value = serde_json::from_slice(&announced[0].payload).unwrap();
    assert_eq!(completed.data, announced, "as on NATS");
}

#[tokio::test]
async fn who_comes_back_is_told_what_it_missed() {
    let collimator = Collimator::start().await;
    let mut listening = listens(&collimator.api, "", None).await;
    let (first, paths, _folder) = series("MR", 2);
    collimator.receives(paths).await;
    let completed = listening.next_of("series.completed").await;
    drop(listening);

    let mut missed = HashSet::new();
    for _ in 0..3 {
        let (uid, paths, _folder) = series("CT", 2);
        collimator.receives(paths).await;
        collimator.lists(&uid, 2).await;
        missed.insert(uid);
    }
    let mut listening = listens(&collimator.api, "", Some(&completed.id)).await;
    let (mut received, mut released) = (HashSet::new(), 0);
    while received.len() < 3 {
        let next = listening.next().await.unwrap();
        match next.name.as_str() {
            "series.completed" => {
                let uid = next.data["SeriesInstanceUID"].as_str().unwrap().to_owned();
                assert!(uid != first && received.insert(uid), "twice: {next:?}");
            }
            "association.released" => released += 1,
            _ => {}
        }
    }
    assert_eq!(received, missed);
    // And what comes now, once.
    let (uid, paths, _folder) = series("MR", 2);
    collimator.receives(paths).await;
    let next = loop {
        let next = listening.next().await.unwrap();
        released += u32::from(next.name == "association.released");
        if next.name == "series.completed" {
            break next;
        }
    };
    assert_eq!(next.data["SeriesInstanceUID"], uid);
    // Those of the other stream are told from some seconds before on, so the first may come again.
    assert!((4..=5).contains(&released), "{released}");
}

/// What is told of both streams, wherever the last connection broke: the id of whatever came last
/// names all that was told.
#[tokio::test]
async fn who_breaks_off_while_it_catches_up_misses_nothing() {
    let collimator = Collimator::start().await;
    let mut listening = listens(&collimator.api, "", None).await;
    let (_uid, paths, _folder) = series("MR", 1);
    collimator.receives(paths).await;
    let mut last = listening.next_of("series.completed").await.id;
    drop(listening);

    let jetstream = async_nats::jetstream::new(collimator.nats.clone());
    let mut missed = Vec::new();
    for number in 0..40 {
        let (subject, event) = match number % 2 {
            0 => ("dicom.association.opened.A", json!({ "CallingAETitle": number.to_string() })),
            _ => ("dicom.series.completed.MR.1.2", json!({ "PatientID": number.to_string() })),
        };
        let published = jetstream.publish(subject, event.to_string().into()).await.unwrap();
        published.await.unwrap();
        missed.push(number.to_string());
    }
    let mut received = HashSet::new();
    while received.len() < missed.len() {
        // A connection that breaks after every third event that is new.
        let mut listening = listens(&collimator.api, "", Some(&last)).await;
        let mut new = 0;
        while new < 3 {
            let next = listening.next().await.unwrap();
            if next.id.is_empty() {
                continue;
            }
            new += 1;
            last = next.id;
            let named = ["CallingAETitle", "PatientID"].map(|key| next.data[key].as_str());
            let number =
                named.into_iter().flatten().find(|name| missed.iter().any(|it| it == name));
            received.extend(number.map(str::to_owned));
            if received.len() == missed.len() {
                break;
            }
        }
    }
    // All of them, as the loop ended; and the broker has its consumers back: of each stream the
    // indexer's, its lease, and the one for all who listen.
    let counts = async || {
        let mut counts = Vec::new();
        for stream in ["INSTANCES", "SERIES"] {
            let stream = jetstream.get_stream(stream).await.ok()?;
            counts.push(stream.cached_info().state.consumer_count);
        }
        (counts[0] <= 3 && counts[1] <= 1).then_some(())
    };
    eventually("no consumer of who is gone", counts).await;
}

#[tokio::test]
async fn who_names_an_event_that_nobody_knows_is_told_of_the_gap() {
    let collimator = Collimator::start().await;
    let mut listening = listens(&collimator.api, "", Some("SERIES:4711")).await;
    assert_eq!(listening.next().await.unwrap().name, "gap");
    let (uid, paths, _folder) = series("MR", 1);
    collimator.receives(paths).await;
    assert_eq!(listening.next_of("series.completed").await.data["SeriesInstanceUID"], uid);
}

#[tokio::test]
async fn a_listener_is_told_only_what_it_asked_for() {
    let collimator = Collimator::start().await;
    let mut ct = listens(&collimator.api, "?Modality=CT", None).await;
    let mut other = listens(&collimator.api, "?CallingAETitle=TEST_SCU", None).await;
    for modality in ["MR", "CT"] {
        let (uid, paths, _folder) = series(modality, 2);
        collimator.receives(paths).await;
        collimator.lists(&uid, 2).await;
    }
    while let next = ct.next().await.unwrap()
        && next.name != "series.completed"
    {
        assert_eq!(next.data["Modality"], "CT", "{next:?}");
    }
    let image = &SyntheticStudy::new().series("MR", 1).size(16, 16).instances().unwrap()[0];
    let mut sender = Scu::for_mr(collimator.dicom).await;
    sender.stores(image).await;
    sender.release().await;
    while let next = other.next().await.unwrap()
        && next.name != "series.completed"
    {
        assert_eq!(next.data["CallingAETitle"], "TEST_SCU", "{next:?}");
    }
    for wrong in ["?modality=MR", "?Modality=mr*", "?CallingAETitle=", "?Modality=MR&Modality=CT"] {
        let answer = Listening::to(&collimator.api, wrong, None).await.err().unwrap();
        assert_eq!(answer.status(), 422, "{wrong}");
        let problem: Value = answer.json().await.unwrap();
        let field = problem["errors"][0]["field"].as_str().unwrap();
        assert!(wrong.contains(field), "{wrong}: {problem}");
    }
    let answer = Listening::to(&collimator.api, "", Some("7")).await.err().unwrap();
    assert_eq!(answer.status(), 422);
}

#[tokio::test]
async fn no_more_listen_than_may_and_a_place_that_is_left_is_free() {
    let settings = [("MAX_EVENT_SUBSCRIBERS", "2"), ("HTTP_IDLE_TIMEOUT", "1s")];
    let collimator = Collimator::start_with(&settings).await;
    let mut first = listens(&collimator.api, "", None).await;
    let second = listens(&collimator.api, "", None).await;
    let refused = Listening::to(&collimator.api, "", None).await.err().unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("Retry-After"));
    drop(second);
    eventually("a place to be free", async || Listening::to(&collimator.api, "", None).await.ok())
        .await;
    // The one who stays is not idle, as it hears now and then that nothing happens.
    first.hears_a_comment().await;
    let (uid, paths, _folder) = series("MR", 1);
    collimator.receives(paths).await;
    assert_eq!(first.next_of("series.completed").await.data["SeriesInstanceUID"], uid);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_and_dropped_and_others_are_not() {
    let collimator = Collimator::start().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    // Little room on the way, so that less has to be sent until it is full.
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let addr = collimator.api.trim_start_matches("http://").parse().unwrap();
    let mut slow = socket.connect(addr).await.unwrap();
    slow.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut head = [0; 16];
    slow.read_exact(&mut head).await.unwrap();
    assert_eq!(&head[..15], b"HTTP/1.1 200 OK");

    let mut fast = listens(&collimator.api, "", None).await;
    let reads_on = tokio::spawn(async move {
        let mut seen = 0;
        while seen < EVENTS {
            fast.next_of("association.opened").await;
            seen += 1;
        }
    });
    const EVENTS: u32 = 5_000;
    let event = json!({ "CallingAETitle": "A", "PeerAddress": "x".repeat(8000) }).to_string();
    let jetstream = async_nats::jetstream::new(collimator.nats.clone());
    for _ in 0..EVENTS / 100 {
        let mut stored = Vec::new();
        for _ in 0..100 {
            let publish = jetstream.publish("dicom.association.opened.A", event.clone().into());
            stored.push(publish.await.unwrap());
        }
        for stored in stored {
            stored.await.unwrap();
        }
    }
    reads_on.await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(DEADLINE, async {
        while !rest.ends_with(b"0\r\n\r\n") {
            assert!(slow.read_buf(&mut rest).await.unwrap() > 0, "it is ended in order");
        }
    })
    .await
    .unwrap();
    let rest = String::from_utf8(rest).unwrap();
    let last = rest.rsplit("event: ").next().unwrap();
    assert!(last.starts_with("dropped\ndata: {\"Detail\":"), "{last}");
    assert!(rest.matches("event: association.opened").count() < EVENTS as usize);
}

#[tokio::test]
async fn a_stop_lets_every_listener_go() {
    let mut collimator = Collimator::start_with(&[("SHUTDOWN_GRACE", "4s")]).await;
    let mut listening = listens(&collimator.api, "", None).await;
    collimator.process.signal("TERM");
    while listening.next().await.is_some() {}
    assert_eq!(collimator.process.ended().await, Some(0));
}

#[tokio::test]
async fn without_a_broker_nobody_can_listen_and_the_answer_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = test_settings(folder.path());
    settings.push(("NATS_URL", format!("nats://{}", free_addr())));
    let mut api = Process::start(&service("api").await, folder.path(), &settings);
    let addr = api.says("where it is", |line| address(line, "api listens")).await;
    let refused = Listening::to(&format!("http://{addr}"), "", None).await.err().unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("Retry-After"));
    assert!(refused.text().await.unwrap().contains("NATS"));
}

#[tokio::test]
async fn an_outage_of_the_broker_ends_no_listening_and_loses_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_addr().port();
    let mut broker = nats_server(&nats_conf(), folder.path(), port, 0).await;
    let url = format!("nats://127.0.0.1:{port}");
    let nats = eventually("the broker", async || async_nats::connect(&url).await.ok()).await;
    let jetstream = async_nats::jetstream::new(nats);
    let streams = StreamSettings {
        instances_max_bytes: "64MiB".parse().unwrap(),
        ..StreamSettings::default()
    };
    ensure_streams(&jetstream, &streams).await.unwrap();
    let mut settings = test_settings(folder.path());
    settings.push(("NATS_URL", url));
    let mut api = Process::start(&service("api").await, folder.path(), &settings);
    let addr = api.says("where it is", |line| address(line, "api listens")).await;
    let api = format!("http://{addr}");
    let mut listening =
        eventually("a broker", async || Listening::to(&api, "", None).await.ok()).await;

    broker.kill();
    let refused = Listening::to(&api, "", None).await.err().unwrap();
    assert_eq!(refused.status(), 503);
    let _broker = nats_server(&nats_conf(), folder.path(), port, 0).await;
    let event = json!({ "CallingAETitle": "A" }).to_string();
    eventually("the broker to store again", async || {
        let published = jetstream.publish("dicom.association.opened.A", event.clone().into());
        published.await.ok()?.await.ok()
    })
    .await;
    assert_eq!(listening.next().await.unwrap().name, "association.opened");
}
