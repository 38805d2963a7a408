//! The record is enough: a catalogue that is made again from the streams says the same.

use crate::harness::database::Database;
use crate::harness::indexing::Published;
use crate::harness::pipeline::rows;
use crate::harness::scu::Scu;
use crate::harness::{Services, eventually, series_to_store};
use catalog::CatalogError;
use collimator::synthetic::SyntheticStudy;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use std::time::Duration;
use test_database::TestDatabase;

#[tokio::test]
async fn a_catalogue_that_is_rebuilt_says_what_the_live_one_says() {
    let folder = tempfile::tempdir().unwrap();
    let sources = folder.path().join("sources.toml");
    std::fs::write(&sources, "[[source]]\nae_title = 'TEST_SCU'\nquiet_period = '1h'\n").unwrap();
    let sources = sources.to_str().unwrap().to_owned().leak();
    let settings =
        [("QUIET_PERIOD", "2s"), ("SETTLE_PERIOD", "200ms"), ("SOURCES_FILE", &*sources)];
    let mut services = Services::start_with(&settings).await;
    let uid = |study: &SyntheticStudy| study.series_instance_uids().remove(0);

    // Complete, grown, corrected.
    let study = SyntheticStudy::new().series("MR", 4).size(16, 16);
    let mut paths = study.write_to(&folder.path().join("a")).unwrap();
    let late = paths.split_off(3);
    services.receives(paths).await;
    services.lists(&uid(&study), 3).await;
    services.receives(late).await;
    services.lists(&uid(&study), 4).await;
    let name = PrimitiveValue::from("Corrected^Name");
    let name = DataElement::new(tags::PATIENT_NAME, VR::PN, name);
    let corrected = study.clone().extra(move |object| {
        object.put(name.clone());
    });
    services.receives(corrected.write_to(&folder.path().join("b")).unwrap()).await;

    // By HTTP, and then by DICOM too.
    let claimed = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let body = series_to_store(&uid(&claimed), &claimed.study_instance_uid(), 12);
    let client = reqwest::Client::new();
    let stored = client.post(format!("{}/store", services.api)).json(&body).send().await.unwrap();
    assert_eq!(stored.status(), 200);
    services.lists(&uid(&claimed), 12).await;
    services.receives(claimed.write_to(&folder.path().join("c")).unwrap()).await;
    services.lists(&uid(&claimed), 2).await;

    // An outage of the indexer, with a pause in it.
    services.indexer.kill();
    let outage = SyntheticStudy::new().series("MR", 4).series("MR", 4).size(16, 16);
    let mut paths = outage.write_to(&folder.path().join("d")).unwrap();
    let second_half = paths.split_off(5);
    services.receives(paths).await;
    services.pause(Duration::from_secs(3)).await;
    services.receives(second_half).await;
    services.start_indexer().await;
    services.lists(&uid(&outage), 4).await;

    // One that is open.
    let open = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let mut scu = Scu::for_mr(services.dicom).await;
    scu.stores(&open.instances().unwrap()[0]).await;
    let last = shared::stream::position(&services.nats).await.unwrap().last;
    eventually("all of it to be in the catalogue", async || {
        let rows = services.catalogue_rows().await;
        let read_to = format!("\"last_sequence\":{last},");
        (rows[0].contains(&read_to) && services.completions().await.len() == 7).then_some(())
    })
    .await;

    let rebuilt = services.folder().join("rebuilt.db");
    let into = rebuilt.to_str().unwrap();
    let (code, printed) = services.indexer_command(&["replay", "--into", into]).await;
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("7 completions") && !printed.contains("partial"), "{printed}");
    let (live, rebuilt) = (services.catalogue_rows().await, rows(&rebuilt).await);
    assert_eq!(live, rebuilt);
    assert!(live.iter().any(|row| row.starts_with("open_series ")));

    let (code, printed) = services.indexer_command(&["replay", "--into", into]).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("exists; name a file that does not"), "{printed}");

    let Some(database) = TestDatabase::postgres() else { return };
    let replay = ["replay", "--into", database.url()];
    let (code, printed) = services.indexer_command(&replay).await;
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("7 completions") && !printed.contains("partial"), "{printed}");
    assert_eq!(Database::at(database.url().to_owned()).reader().rows().await.unwrap(), live);
    let (code, printed) = services.indexer_command(&replay).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("has a catalogue already; name an empty database"), "{printed}");
}

/// Events of the record that is long enough to be interrupted.
const LONG: u64 = 20_000;

#[tokio::test]
async fn nobody_uses_what_a_replay_into_postgresql_left_and_the_next_one_begins_anew() {
    let Some(database) = TestDatabase::postgres() else { return };
    let services = Services::start_with(&[("SETTLE_PERIOD", "200ms")]).await;
    let mut published = Published::new("2.25.8", "2.25.8");
    published.sends(&services.nats_url, LONG).await;
    published.releases(&services.nats_url).await;
    services.lists("2.25.8", LONG).await;

    let replay = ["replay", "--into", database.url()];
    let mut interrupted = services.start_indexer_command(&replay).await;
    let reader = Database::at(database.url().to_owned()).reader();
    let is_begun = async || reader.bookmark().await.ok().flatten().map(drop);
    eventually("the replay to have begun", is_begun).await;
    interrupted.kill();
    let mut refused = services.another_indexer_with(&[("DATABASE_URL", database.url())]).await;
    assert_eq!(refused.ended().await, Some(1), "{}", refused.printed());
    let printed = refused.printed();
    assert!(printed.contains("the catalogue is unfinished"), "{printed}");
    let refused = reader.check().await.unwrap_err();
    assert!(matches!(refused, CatalogError::Unfinished), "{refused}");

    let (code, printed) = services.indexer_command(&replay).await;
    assert_eq!(code, Some(0), "{printed}");
    reader.check().await.unwrap();
    assert_eq!(reader.rows().await.unwrap(), services.catalogue_rows().await);
}

/// Sends a new series and waits until it is announced; gives its UID.
async fn completes(services: &Services, instances: u32) -> String {
    let study = SyntheticStudy::new().series("MR", instances).size(16, 16);
    let uid = study.series_instance_uids().remove(0);
    services.receives(study.write_to(&services.folder().join(&uid)).unwrap()).await;
    eventually(&format!("the completion of {uid}"), async || {
        let completions = services.events("SERIES").await;
        completions.iter().any(|event| event.subject.ends_with(&uid)).then_some(())
    })
    .await;
    uid
}

#[tokio::test]
async fn what_the_streams_no_longer_have_is_told_and_the_rest_is_rebuilt() {
    let mut services = Services::start_with(&[]).await;
    let first = completes(&services, 5).await;
    let jetstream = async_nats::jetstream::new(services.nats.clone());
    let unreadable = jetstream.publish("dicom.series.completed.MR.1.2", "no JSON".into()).await;
    unreadable.unwrap().await.unwrap();
    services.indexer.kill();
    jetstream.delete_stream("INSTANCES").await.unwrap();
    services.start_indexer().await;
    let second = completes(&services, 2).await;

    let rebuilt = services.folder().join("rebuilt.db");
    let arguments = ["replay", "--into", rebuilt.to_str().unwrap()];
    let (code, printed) = services.indexer_command(&arguments).await;
    assert_eq!(code, Some(3), "{printed}");
    for expected in [
        "2 completions",
        &first,
        "1 series are partial",
        "1 decisions are of an INSTANCES before the one that there is",
        "1 messages of SERIES can't be read",
        "the catalogue is partial",
    ] {
        assert!(printed.contains(expected), "{expected:?} in {printed}");
    }
    let rows = rows(&rebuilt).await;
    for uid in [&first, &second] {
        let series = rows.iter().find(|row| row.starts_with("series ") && row.contains(uid));
        let is_partial = series.unwrap().contains("\"partial\":1");
        assert_eq!(is_partial, *uid == first, "{series:?}");
    }
}
