//! What is SQLite's alone: a file, and its versions.

use crate::feed::second;
use catalog::{CatalogError, CatalogReader, CatalogSettings, CatalogWriter, Inspected, inspect};
use completion::OpenSeries;
use contract::uid::SeriesInstanceUid;
use std::os::unix::ffi::OsStrExt as _;

#[tokio::test]
async fn the_catalogue_and_its_copy_lie_where_it_was_said_whatever_the_path() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a b", "a%20b", "100%", "a?mode=ro", "#1", "Köln", "it's", "\"", "-x", "a\nb"] {
        let inside = folder.path().join(name);
        let (file, copy) = (inside.join("catalog.db"), inside.join("copy%3F.db"));
        let settings = CatalogSettings::at(&file);
        let _owner = CatalogWriter::own(&settings).await.unwrap();
        CatalogReader::open(&settings).unwrap().backup(&copy).await.unwrap();
        assert!(file.is_file() && copy.is_file(), "{name}");
        let inspected = inspect(&CatalogSettings::at(&copy)).await.unwrap();
        assert!(matches!(inspected, Inspected::Seen(_)), "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 10, "one elsewhere");
    let name = std::ffi::OsStr::from_bytes(b"\xff.db");
    let refused = CatalogWriter::own(&CatalogSettings::at(&folder.path().join(name))).await;
    assert!(matches!(refused, Err(CatalogError::Settings(_))));
}

#[tokio::test]
async fn a_url_that_names_no_file_is_refused() {
    for url in ["mysql://x/y", "", "sqlite:", "sqlite://", "sqlite::memory:", "catalog.db"] {
        let settings = CatalogSettings { database_url: url.into() };
        assert!(
            matches!(CatalogWriter::own(&settings).await, Err(CatalogError::Settings(_))),
            "{url:?}"
        );
    }
}

#[tokio::test]
async fn a_catalogue_of_the_first_version_is_brought_up_with_all_that_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let migrations = folder.path().join("migrations");
    std::fs::create_dir(&migrations).unwrap();
    let first = "0001_catalogue.sql";
    let ours = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sqlite/migrations");
    std::fs::copy(ours.join(first), migrations.join(first)).unwrap();
    let path = folder.path().join("catalog.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::migrate::Migrator::new(migrations).await.unwrap().run(&pool).await.unwrap();
    sqlx::raw_sql(
        "insert into bookmark values (1, 0, 9);
         insert into patients values (1, '7', '', 'Roe^Jane', '', '');
         insert into studies (study_instance_uid, patient) values ('2.25.1', 1);
         insert into series (series_instance_uid, study_instance_uid, patient, calling_ae_title,
             source, state, last_activity_at, revision, reason, instances_count,
             first_completed_at, completed_at, completed_sequence)
         values ('2.1', '2.25.1', 1, 'MR1', 'dicom', 'complete', 1000000000, 2, 'quiet', 5,
                 11000000000, 12000000000, 6),
                ('2.2', '2.25.1', 1, 'MR2', 'dicom', 'receiving', 2000000000, 0, null, 0,
                 null, null, 0);",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;

    let settings = CatalogSettings::at(&path);
    let catalog = CatalogWriter::own(&settings).await.unwrap();
    let open = catalog.open_series().await.unwrap();
    let series = SeriesInstanceUid::parse("2.2").unwrap();
    assert_eq!(open, [(series, OpenSeries::new(second(2), "MR2"))]);
    let series = SeriesInstanceUid::parse("2.1").unwrap();
    let reader = CatalogReader::open(&settings).unwrap();
    let history = reader.history(&series).await.unwrap().unwrap();
    assert_eq!((history.len(), history[0].revision, history[0].instances_count), (1, 2, 5));
    let senders = reader.senders().await.unwrap();
    let names: Vec<_> = senders.iter().map(|sender| sender.calling_ae_title.as_str()).collect();
    assert_eq!(names, ["MR1", "MR2"]);
}

#[cfg(feature = "synthetic")]
#[tokio::test]
async fn a_filled_catalogue_lists_every_series_once() {
    let feed = crate::feed::Feed::on(test_database::TestDatabase::sqlite()).await;
    feed.catalog.fill(1_001).await.unwrap();
    let page = feed.reader.series(&catalog::SeriesSearch::default(), None, 2000).await.unwrap();
    let listed = page.records;
    let uids: std::collections::HashSet<_> =
        listed.iter().map(|series| series.series_instance_uid.as_str()).collect();
    assert_eq!((listed.len(), uids.len()), (1_001, 1_001));
    assert!(listed.is_sorted_by_key(|series| series.completed_at()));
}
