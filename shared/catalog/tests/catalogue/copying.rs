//! A catalogue copied from one database into another, whichever the two are.

use crate::agreement::{both_with, events};
use crate::feed::{Feed, bookmark, changed, instance, second, unlike};
use crate::series_folders::{kept, stored};
use catalog::{
    Batch, CatalogError, CatalogReader, CatalogSettings, CatalogWriter, CopyProgress, Delivered,
    Inspected, Listed, Loss, LossCause, Received, Restored, SeriesBookmark, SeriesOrder,
    SeriesSearch, copy, inspect,
};
use completion::{Consequences, Disproof, Lesson, List, Pauses, StudyCompletion};
use contract::event::{AttributeValue, ListKind, Reason};
use contract::uid::SeriesInstanceUid;
use serde_json::json;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};
use test_database::{Kind, TestDatabase};
use tokio::sync::Notify;

/// Two catalogues of the same events, in which every table has rows.
async fn full() -> Option<[Feed; 2]> {
    let mut all = events();
    // What PostgreSQL keeps otherwise: a character that it can't, and a key that is too long for its index.
    all.push(changed("2.40", "3.94", |e| {
        e["PatientName"] = json!("Roe\0^Jane");
        e["CallingAETitle"] = json!(unlike(300));
        e["StudyDescription"] = json!("a\0b");
        e["RequestAttributesSequence"] = json!([{ "RequestedProcedureID": "x\0", "n": 1e20 }]);
    }));
    let mut both = both_with(&all).await?;
    let fact = serde_json::from_value(json!({
        "SeriesInstanceUID": "2.41", "Revision": 1, "Reason": "stored", "Source": "api",
        "InstancesCount": 3, "StudyInstanceUID": unlike(5000), "PatientID": "7",
        "PatientName": "Roe^Jane", "CompletedAt": second(1), "InstancesAdded": 0,
        "InstancesCorrected": 0, "Disagrees": [],
    }));
    let fact = fact.unwrap();
    for feed in &mut both {
        assert_eq!(feed.catalog.restore(&fact).await.unwrap(), Restored::Whole);
        fill_up(feed).await;
    }
    Some(both)
}

/// Gives rows to the tables that have none yet.
async fn fill_up(feed: &mut Feed) {
    feed.catalog = feed.catalog.clone().listing_to_keep(true).listing_to_remove(true);
    for (series, sop) in [("2.70", "3.970"), ("2.71", "3.971")] {
        feed.receive([stored(series, sop, "a")]).await;
        feed.complete(series).await.unwrap();
    }
    assert!(feed.catalog.kept(&kept("2.71", 1)).await.unwrap());
    feed.receive([stored("2.71", "3.971", "b")]).await;
    let catalog = &feed.catalog;
    let due = ["2.25.6"]
        .map(|study| StudyCompletion { study: study.to_owned(), decided_at: second(100) });
    assert_eq!(catalog.complete_studies(&due).await.unwrap().complete.len(), 1);
    let loss = Loss { first: 3, last: 5, cause: LossCause::Missing, noticed_at: second(9) };
    assert!(catalog.lose(&loss).await.unwrap());
    let taken_up = SeriesBookmark { stream_created: second(1), last_sequence: 7 };
    catalog.has_taken_up(taken_up).await.unwrap();
    let delivered = Delivered { series_created: second(1), up_to: 5 };
    feed.reader.keep_delivered("ris", delivered).await.unwrap();
    let disproof = Disproof {
        sender: "MR1".to_owned(),
        rule: Reason::Released,
        series: SeriesInstanceUid::parse("2.1").unwrap(),
        at: second(8),
    };
    let last = feed.reader.bookmark().await.unwrap().unwrap().last_sequence;
    let list = List {
        kind: ListKind::Commitment,
        list_uid: "2.25.7".to_owned(),
        peer: "MR1".to_owned(),
        discontinued: false,
        at: second(8),
        about: None,
        here: BTreeMap::from([(disproof.series.clone(), 1)]),
        missing: BTreeSet::from(["3.999".to_owned()]),
    };
    let mut pauses = Pauses::default();
    pauses.add(7_000);
    let learned = Consequences {
        lessons: vec![Lesson::Disproved(disproof)],
        lists: vec![(list.key(), Some(list))],
        pauses: vec![("MR1".to_owned(), pauses)],
        ..Default::default()
    };
    catalog.record(&Batch::new(bookmark(last + 1)), |_| learned).await.unwrap();
    // The first rows of a table are not the first that there were.
    let waiting = catalog.waiting_announcements(2).await.unwrap();
    catalog.announced(&[waiting[0].id]).await.unwrap();
    feed.catalog.close().await;
}

fn settings(database: &TestDatabase) -> CatalogSettings {
    CatalogSettings { database_url: database.url().to_owned() }
}

/// Copies, and gives how many rows each table has.
async fn copied(from: &CatalogSettings, to: &CatalogSettings) -> BTreeMap<&'static str, u64> {
    let mut tables = BTreeMap::new();
    let progress = |progress| {
        if let CopyProgress::Compared { table, rows } = progress {
            tables.insert(table, rows);
        }
    };
    copy(from, to, progress).await.unwrap();
    tables
}

/// All that is asked of a catalogue which is not among its rows.
async fn beside_rows(settings: &CatalogSettings) -> String {
    let reader = CatalogReader::open(settings).unwrap();
    reader.check().await.unwrap();
    let search = SeriesSearch {
        listed: Listed::All,
        order: SeriesOrder::Arrival,
        ..SeriesSearch::default()
    };
    let arrived = reader.series(&search, None, 100).await.unwrap();
    let webhook = reader.delivered("ris").await.unwrap();
    let senders = reader.senders().await.unwrap();
    let bookmark = reader.bookmark().await.unwrap();
    reader.close().await;
    let owner = CatalogWriter::take(settings, "a test").await.unwrap().unwrap();
    let waiting = owner.waiting_announcements(100).await.unwrap();
    let losses = owner.losses().await.unwrap();
    let series_bookmark = owner.series_bookmark().await.unwrap();
    owner.close().await;
    assert!(waiting.len() > 3 && arrived.records.len() > 10);
    format!(
        "{arrived:#?}{webhook:?}{senders:#?}{bookmark:?}{waiting:#?}{losses:?}{series_bookmark:?}"
    )
}

async fn rows(settings: &CatalogSettings) -> Vec<String> {
    let reader = CatalogReader::open(settings).unwrap();
    let rows = reader.rows().await.unwrap();
    reader.close().await;
    rows
}

#[tokio::test]
async fn what_is_copied_to_postgresql_is_what_an_indexer_would_have_written_there() {
    let Some([sqlite, postgres]) = full().await else { return };
    let target = TestDatabase::postgres().unwrap();
    let target = settings(&target);
    let tables = copied(&sqlite.settings, &target).await;
    assert!(tables.values().all(|rows| *rows > 0), "{tables:?}");
    assert_eq!(rows(&target).await, rows(&postgres.settings).await);
    let other = TestDatabase::postgres().unwrap();
    let other = settings(&other);
    assert_eq!(copied(&target, &other).await, tables);
    assert_eq!(rows(&other).await, rows(&target).await);
    assert_eq!(beside_rows(&other).await, beside_rows(&target).await);
}

#[tokio::test]
async fn a_copy_back_says_what_the_catalogue_said_and_goes_on_from_there() {
    let mut all = events();
    for event in &mut all {
        // PostgreSQL keeps a sequence in an order of its own.
        let absent = AttributeValue::Unknown(serde_json::Value::Null);
        event.attributes.insert("RequestAttributesSequence", absent);
    }
    let Some([mut sqlite, _]) = both_with(&all).await else { return };
    fill_up(&mut sqlite).await;
    let source = sqlite.settings.clone();
    let (said, beside) = (rows(&source).await, beside_rows(&source).await);
    let mut kept = Vec::new();
    let mut from = source.clone();
    for kind in [Kind::Sqlite, Kind::Postgres, Kind::Postgres, Kind::Sqlite] {
        let database = match kind {
            Kind::Sqlite => TestDatabase::sqlite(),
            Kind::Postgres => TestDatabase::postgres().unwrap(),
        };
        let to = settings(&database);
        kept.push(database);
        copied(&from, &to).await;
        assert_eq!(rows(&to).await, said, "{kind:?}");
        assert_eq!(beside_rows(&to).await, beside, "{kind:?}");
        from = to;
    }
    // What comes next comes after all that there was, and is found by the keys that there are.
    for settings in kept.iter().map(settings) {
        let catalog = CatalogWriter::take(&settings, "a test").await.unwrap().unwrap();
        let last = catalog.bookmark().await.unwrap().unwrap().last_sequence;
        let new = [instance("2.0", "3.0"), instance("2.99", "3.99"), instance("2.0", "3.100")];
        let instances = new.into_iter().zip(last + 1..).map(|(event, sequence)| Received {
            sequence,
            at: second(sequence),
            event: Box::new(event),
        });
        let batch = Batch { instances: instances.collect(), ..Batch::new(bookmark(last + 3)) };
        catalog.record(&batch, |_| Consequences::default()).await.unwrap();
        let waiting = catalog.waiting_announcements(100).await.unwrap();
        catalog.close().await;
        let reader = CatalogReader::open(&settings).unwrap();
        let search = SeriesSearch {
            listed: Listed::All,
            order: SeriesOrder::Arrival,
            descending: true,
            ..SeriesSearch::default()
        };
        let latest = reader.series(&search, None, 1).await.unwrap();
        assert_eq!(latest.records[0].series_instance_uid, "2.99");
        assert!(waiting.iter().all(|it| it.id > 1), "the first is announced: {waiting:?}");
        reader.close().await;
    }
    assert_eq!(rows(&source).await, said, "the source is as it was");
}

/// The tables of a schema that are of no use elsewhere.
const OWN: [&str; 3] = ["_sqlx_migrations", "lease", "sqlite_sequence"];

#[tokio::test]
async fn each_table_is_copied() {
    let Some([sqlite, postgres]) = full().await else { return };
    let mut file = SqliteConnection::connect(&sqlite.settings.database_url).await.unwrap();
    let of_file: Vec<String> =
        sqlx::query_scalar("select name from sqlite_schema where type = 'table'")
            .fetch_all(&mut file)
            .await
            .unwrap();
    let mut server = PgConnection::connect(&postgres.settings.database_url).await.unwrap();
    let of_server: Vec<String> =
        sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public'")
            .fetch_all(&mut server)
            .await
            .unwrap();
    for (feed, there_are) in [(&sqlite, of_file), (&postgres, of_server)] {
        let target = TestDatabase::sqlite();
        let tables = copied(&feed.settings, &settings(&target)).await;
        let copied: BTreeSet<&str> = tables.into_keys().collect();
        let own = |table: &&str| !OWN.contains(table);
        let there_are: BTreeSet<&str> = there_are.iter().map(String::as_str).filter(own).collect();
        assert_eq!(copied, there_are);
    }
}

#[tokio::test]
async fn more_rows_than_one_statement_writes_are_copied() {
    let Some(postgres) = TestDatabase::postgres() else { return };
    let mut feed = Feed::on(TestDatabase::sqlite()).await;
    let instances = (0..2_345).map(|number| instance("2.1", &format!("3.{number}")));
    feed.receive(instances.collect::<Vec<_>>()).await;
    feed.catalog.close().await;
    let said = rows(&feed.settings).await;
    let mut from = feed.settings.clone();
    for database in [&postgres, &TestDatabase::sqlite()] {
        let to = settings(database);
        assert_eq!(copied(&from, &to).await["instances"], 2_345);
        assert_eq!(rows(&to).await, said);
        from = to;
    }
}

/// Copies until a table is about to be copied, and is stopped then.
async fn interrupted(from: &CatalogSettings, to: &CatalogSettings, at: &str) {
    let reached = Notify::new();
    let progress = |progress| {
        if matches!(progress, CopyProgress::Copying { table } if table == at) {
            reached.notify_one();
        }
    };
    tokio::select! {
        biased;
        () = reached.notified() => {}
        copied = copy(from, to, progress) => panic!("{at} was not reached: {copied:?}"),
    }
}

#[tokio::test]
async fn nobody_uses_a_copy_that_was_interrupted_and_the_next_one_begins_anew() {
    let Some([sqlite, _]) = full().await else { return };
    let database = TestDatabase::postgres().unwrap();
    let target = settings(&database);
    interrupted(&sqlite.settings, &target, "deletions").await;
    let refused = [
        CatalogWriter::take(&target, "an indexer").await.map(drop).unwrap_err(),
        CatalogWriter::own(&target).await.map(drop).unwrap_err(),
        CatalogReader::open(&target).unwrap().check().await.unwrap_err(),
    ];
    for refused in refused {
        assert!(matches!(refused, CatalogError::Unfinished), "{refused}");
    }
    let Inspected::Seen(seen) = inspect(&target).await.unwrap() else { panic!("not seen") };
    assert!(seen.is_unfinished);
    let other = TestDatabase::sqlite();
    let copied_on = copy(&target, &settings(&other), |_| {}).await.unwrap_err();
    assert!(format!("{copied_on:#}").contains("unfinished"), "{copied_on:#}");

    copied(&sqlite.settings, &target).await;
    let Inspected::Seen(seen) = inspect(&target).await.unwrap() else { panic!("not seen") };
    assert!(!seen.is_unfinished);
    // Now there is one.
    let again = format!("{:#}", copy(&sqlite.settings, &target, |_| {}).await.unwrap_err());
    assert!(again.contains("has a catalogue already; name an empty database"), "{again}");

    let file = TestDatabase::sqlite();
    let file = settings(&file);
    interrupted(&target, &file, "deletions").await;
    assert_eq!(inspect(&file).await.unwrap(), Inspected::Absent);
    copied(&target, &file).await;
    assert_eq!(rows(&file).await.len(), rows(&target).await.len());
    let again = format!("{:#}", copy(&target, &file, |_| {}).await.unwrap_err());
    assert!(again.contains("exists; name a file that does not"), "{again}");
}

#[tokio::test]
async fn of_two_copies_into_one_database_the_second_ends_the_first() {
    let Some([sqlite, postgres]) = full().await else { return };
    let database = TestDatabase::postgres().unwrap();
    let target = settings(&database);
    let (reached, has_begun, has_ended) = (Notify::new(), Notify::new(), Notify::new());
    let first = async {
        let progress = |progress| {
            if matches!(progress, CopyProgress::Copying { table: "series" }) {
                reached.notify_one();
            }
        };
        let mut first = Box::pin(copy(&sqlite.settings, &target, progress));
        tokio::select! {
            biased;
            () = reached.notified() => has_begun.notify_one(),
            ended = &mut first => panic!("{ended:?}"),
        }
        has_ended.notified().await;
        first.await
    };
    let second = async {
        has_begun.notified().await;
        copied(&postgres.settings, &target).await;
        has_ended.notify_one();
    };
    let (first, ()) = tokio::join!(first, second);
    let lost = format!("{:#}", first.unwrap_err());
    assert!(lost.contains("another indexer has taken over"), "{lost}");
    assert_eq!(rows(&target).await, rows(&postgres.settings).await);
}

#[tokio::test]
async fn what_an_indexer_has_or_is_not_there_is_not_copied() {
    let Some(postgres) = TestDatabase::postgres() else { return };
    for source in [TestDatabase::sqlite(), postgres] {
        let source = settings(&source);
        let target = TestDatabase::sqlite();
        let target = settings(&target);
        let refused = async || {
            let error = copy(&source, &target, |_| {}).await.unwrap_err();
            assert_eq!(inspect(&target).await.unwrap(), Inspected::Absent);
            format!("{error:#}")
        };
        let nothing = refused().await;
        assert!(nothing.contains("there is no catalogue"), "{nothing}");
        let indexer = CatalogWriter::take(&source, "an indexer").await.unwrap().unwrap();
        let renews = async {
            loop {
                indexer.renew().await.unwrap();
                tokio::time::sleep(catalog::RENEW_EVERY).await;
            }
        };
        let held = tokio::select! {
            held = refused() => held,
            () = renews => unreachable!(),
        };
        assert!(held.contains("an indexer has") && held.contains("stop all"), "{held}");
        indexer.close().await;
        copied(&source, &target).await;
    }
}
