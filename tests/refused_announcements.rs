//! Announcements that the broker will never take hold up none of those that follow.

use crate::harness::eventually;
use crate::harness::indexing::{Indexing, registers};
use crate::harness::pipeline::{free_addr, nats_conf, nats_server};
use async_nats::jetstream;
use futures_util::TryStreamExt;
use shared::dead;
use shared::stream::{DEAD, SERIES};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

/// Puts an announcement into the outbox of an indexer that runs.
async fn put(indexing: &Indexing, subject: &str, message_id: &str, payload: &str) {
    let options = SqliteConnectOptions::new().filename(indexing.path());
    let mut catalogue = options.connect().await.unwrap();
    sqlx::query("insert into outbox (subject, message_id, time, payload) values (?, ?, 0, ?)")
        .bind(subject.to_owned())
        .bind(message_id.to_owned())
        .bind(payload.to_owned())
        .execute(&mut catalogue)
        .await
        .unwrap();
}

#[tokio::test]
async fn one_that_is_too_long_becomes_a_dead_letter_and_the_next_goes_out() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("small.conf");
    let usual = std::fs::read_to_string(nats_conf()).unwrap();
    std::fs::write(&configuration, format!("{usual}\nmax_payload: 32KB\n")).unwrap();
    let addr = free_addr();
    let _broker = nats_server(&configuration, folder.path(), addr.port(), 0).await;
    let url = format!("nats://{addr}");
    let nats = eventually("the broker", async || async_nats::connect(&url).await.ok()).await;
    let indexing = Indexing::start(&url).await;
    let catalog = indexing.catalog();
    let long = format!("{{\"PatientName\":\"Roe^{}\"}}", "x".repeat(40_000));
    put(&indexing, "dicom.series.completed.none.2.25.2", "2.25.2:1", &long).await;
    registers(&url, "2.25.3", "Roe^Jane").await;

    let jetstream = jetstream::new(nats);
    let letter = eventually("a dead letter", async || {
        let dead = jetstream.get_stream(DEAD).await.ok()?;
        dead.get_last_raw_message_by_subject("dicom.dead.refused_announcement").await.ok()
    })
    .await;
    let header = |name: &str| letter.headers.get(name).map(|value| value.as_str()).unwrap();
    assert_eq!(header(dead::ORIGINAL_SUBJECT), "dicom.series.completed.none.2.25.2");
    assert_eq!(header("ce-id"), "2.25.2:1");
    let whole: usize = header(dead::TRUNCATED_FROM).parse().unwrap();
    assert!(whole > 40_000 && letter.payload.len() < 32 * 1024, "{whole}");
    assert_eq!(header(dead::DIGEST).len(), 64);
    assert!(!header(dead::ERROR).contains("Roe"));

    let announced = eventually("the next to be announced", async || {
        let stream = jetstream.get_stream(SERIES).await.ok()?;
        let info = stream.info_with_subjects("dicom.series.completed.>").await.ok()?;
        let subjects: Vec<_> = info.try_collect().await.ok()?;
        (!subjects.is_empty()).then_some(subjects)
    })
    .await;
    assert_eq!(announced, [("dicom.series.completed.none.2.25.3".to_owned(), 1)]);
    eventually("an empty outbox", async || {
        (catalog.statistics().await.ok()?.unannounced == 0).then_some(())
    })
    .await;
    let metrics = indexing.metrics().await;
    let counted = "collimator_refusals_total{what=\"event\",cause=\"refused_announcement\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(!indexing.printed().contains("Roe"), "a patient in the log");
}

#[tokio::test]
async fn one_of_an_older_version_with_a_subject_beyond_all_bounds_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let addr = free_addr();
    let _broker = nats_server(&nats_conf(), folder.path(), addr.port(), 0).await;
    let url = format!("nats://{addr}");
    let nats = eventually("the broker", async || async_nats::connect(&url).await.ok()).await;
    let indexing = Indexing::start(&url).await;
    let subject = format!("dicom.series.completed.{}.2.25.2", "M".repeat(5000));
    put(&indexing, &subject, "2.25.2:1", "{}").await;
    registers(&url, "2.25.3", "Roe^Jane").await;

    let jetstream = jetstream::new(nats);
    let subjects = async |stream, filter: &str| {
        let stream = jetstream.get_stream(stream).await.ok()?;
        let subjects = stream.info_with_subjects(filter).await.ok()?;
        let subjects: Vec<(String, usize)> = subjects.try_collect().await.ok()?;
        (!subjects.is_empty()).then_some(subjects)
    };
    let next = eventually("the next", async || subjects(SERIES, "dicom.series.>").await).await;
    assert_eq!(next, [("dicom.series.completed.none.2.25.3".to_owned(), 1)]);
    let dead = eventually("a dead letter", async || subjects(DEAD, "dicom.dead.>").await).await;
    assert_eq!(dead, [("dicom.dead.refused_announcement".to_owned(), 1)]);
}
