//! Trouble with the catalogue's file: receiving goes on, nothing is lost, and indexing goes on by itself
//! once the cause is gone.

use crate::harness::pipeline::{COLLIMATOR, Process};
use crate::harness::small_disk::SmallDisk;
use crate::harness::{Collimator, Services, eventually};
use collimator::synthetic::SyntheticStudy;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use std::path::Path;

/// Waits until the pipeline says that it is not ready, and why.
async fn says_why(collimator: &Collimator, why: &str) {
    let ready = format!("{}/health/ready", collimator.api);
    eventually(&format!("{why:?} at {ready}"), async || {
        let answer = reqwest::get(&ready).await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status == 503 && text.contains(why)).then_some(())
    })
    .await;
}

async fn is_ready(collimator: &Collimator) {
    eventually("readiness", async || collimator.is_ready().await.then_some(())).await;
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

fn series(folder: &Path, instances: u32) -> (String, Vec<std::path::PathBuf>) {
    let study = SyntheticStudy::new().series("MR", instances).size(16, 16);
    let uid = study.series_instance_uids().remove(0);
    (uid.clone(), study.write_to(&folder.join(uid)).unwrap())
}

#[tokio::test]
async fn a_catalogue_that_is_locked_for_long_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    let url: &str = format!("sqlite://{}", path.display()).leak();
    let collimator = Collimator::start_with(&[("DATABASE_URL", url)]).await;
    let mut other = connect(&path).await;
    sqlx::raw_sql("begin immediate").execute(&mut other).await.unwrap();
    let (uid, paths) = series(folder.path(), 5);
    collimator.receives(paths).await;
    says_why(&collimator, "database is locked").await;
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    collimator.lists(&uid, 5).await;
    is_ready(&collimator).await;
    assert_eq!(collimator.completions().await.len(), 1);
}

#[tokio::test]
async fn a_full_disk_holds_the_catalogue_up_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount(2) else { return };
    let folder = tempfile::tempdir().unwrap();
    let url: &str = format!("sqlite://{}", disk.path().join("catalog.db").display()).leak();
    let collimator = Collimator::start_with(&[("DATABASE_URL", url)]).await;
    let (before, paths) = series(folder.path(), 5);
    collimator.receives(paths).await;
    collimator.lists(&before, 5).await;
    let filler = disk.fill();
    // More than fits the pages that are there already.
    let (uid, paths) = series(folder.path(), 300);
    collimator.receives(paths).await;
    says_why(&collimator, "full").await;
    std::fs::remove_file(filler).unwrap();
    collimator.lists(&uid, 300).await;
    is_ready(&collimator).await;
    assert!(collimator.events("DEAD").await.is_empty());
}

#[tokio::test]
async fn a_catalogue_that_this_version_can_not_use_stops_the_start_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let newer = folder.path().join("newer.db");
    {
        let settings = catalog::CatalogSettings::at(&newer);
        catalog::CatalogWriter::own(&settings).await.unwrap().close().await;
        let mut connection = connect(&newer).await;
        let later = "insert into _sqlx_migrations
            values (9999, 'later', current_timestamp, true, x'00', 1)";
        sqlx::raw_sql(later).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, "no catalogue at all, and longer than a header. ".repeat(100))
        .unwrap();
    for (path, why) in [(newer, "9999"), (garbage, "not a database")] {
        let free = "127.0.0.1:0".to_owned();
        let settings = [
            ("DATA_DIR", folder.path().join("data").display().to_string()),
            ("DATABASE_URL", format!("sqlite://{}", path.display())),
            ("DICOM_ADDR", free.clone()),
            ("API_ADDR", free.clone()),
            ("NATS_ADDR", free),
            ("LOG_FORMAT", "json".to_owned()),
        ];
        let mut process = Process::start(Path::new(COLLIMATOR), folder.path(), &settings);
        assert_eq!(process.ended().await, Some(1), "{}", process.printed());
        let printed = process.printed();
        let last = printed.lines().rfind(|line| line.contains("ERROR")).unwrap_or_default();
        assert!(last.contains(why) && last.contains("DATABASE_URL"), "{printed}");
    }
}

#[tokio::test]
async fn a_backup_made_while_it_is_in_use_catches_up_when_it_is_restored() {
    let services = Services::start_with(&[]).await;
    let (first, paths) = series(services.folder(), 5);
    services.receives(paths).await;
    services.lists(&first, 5).await;
    let backup = services.folder().join("backup.db");
    let (code, printed) = services.indexer_command(&["backup", backup.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{printed}");
    let (code, printed) = services.indexer_command(&["backup", backup.to_str().unwrap()]).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("exists"), "{printed}");

    let (second, paths) = series(services.folder(), 7);
    services.receives(paths).await;
    services.lists(&second, 7).await;
    let before = services.catalogue_rows().await;

    // Put in its place while the indexer runs: it goes on with what is there.
    let catalog = services.folder().join("catalog.db");
    std::fs::rename(&backup, &catalog).unwrap();
    for left in ["catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(services.folder().join(left));
    }
    let (third, paths) = series(services.folder(), 3);
    services.receives(paths).await;
    eventually("all three series in the restored catalogue", async || {
        let rows = services.catalogue_rows().await;
        let complete = |uid: &String| {
            rows.iter().any(|row| {
                row.starts_with("series ") && row.contains(uid) && row.contains("\"complete\"")
            })
        };
        [&first, &second, &third].into_iter().all(complete).then_some(())
    })
    .await;
    let after = services.catalogue_rows().await;
    let instances = |rows: &[String]| rows.iter().filter(|r| r.starts_with("instances ")).count();
    assert_eq!((instances(&before), instances(&after)), (12, 15));
}
