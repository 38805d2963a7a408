//! `indexer restore`: a backup in the place of the catalogue.

use crate::harness::pipeline::rows;
use crate::harness::{Services, eventually};
use collimator::synthetic::SyntheticStudy;
use std::path::{Path, PathBuf};

/// The files of a folder with these words in their names, in order.
fn files(folder: &Path, words: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let has = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().contains(words);
    let mut files: Vec<_> = files.filter(has).collect();
    files.sort();
    files
}

async fn receives(services: &Services, instances: u32) {
    let study = SyntheticStudy::new().series("MR", instances).size(16, 16);
    let uid = study.series_instance_uids().remove(0);
    services.receives(study.write_to(&services.folder().join(&uid)).unwrap()).await;
    services.lists(&uid, instances.into()).await;
}

fn instances(rows: &[String]) -> usize {
    rows.iter().filter(|row| row.starts_with("instances ")).count()
}

#[tokio::test]
async fn a_backup_takes_the_place_of_a_catalogue_that_nobody_has_and_goes_on_from_there() {
    let mut services = Services::start_with(&[]).await;
    receives(&services, 3).await;
    let backup = services.folder().join("a backup, 100% ü?.db");
    let backup = backup.to_str().unwrap();
    let (code, printed) = services.indexer_command(&["backup", backup]).await;
    assert_eq!(code, Some(0), "{printed}");
    receives(&services, 4).await;
    let announced = services.completions().await.len();

    let refuses = async |services: &Services, file: &str, why: &str| {
        let (code, printed) = services.indexer_command(&["restore", file]).await;
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains(why), "{why}: {printed}");
    };
    refuses(&services, backup, "an indexer has").await;
    // Its log stays beside it, as after a power cut.
    services.indexer.kill();
    let before = services.catalogue_rows().await;
    refuses(&services, backup, "stop the indexer and the API first").await;
    services.api_service.kill();

    let damaged = services.folder().join("damaged.db");
    let mut bytes = std::fs::read(backup).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x55);
    std::fs::write(&damaged, bytes).unwrap();
    let garbage = services.folder().join("garbage.db");
    std::fs::write(&garbage, "no catalogue at all, and longer than a header. ".repeat(100))
        .unwrap();
    refuses(&services, damaged.to_str().unwrap(), "disk image is malformed").await;
    refuses(&services, garbage.to_str().unwrap(), "not a database").await;
    refuses(&services, "nothing.db", "is no file").await;
    refuses(&services, services.folder().join("catalog.db").to_str().unwrap(), "itself").await;
    assert_eq!(services.catalogue_rows().await, before, "nothing was restored");

    // The log of a catalogue that was not closed, beside the file: it is none of the backup's.
    let log = services.folder().join("catalog.db-wal");
    if !log.exists() {
        std::fs::write(&log, [0x37; 4096]).unwrap();
    }
    let (code, printed) = services.indexer_command(&["restore", backup]).await;
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("SERIES") && printed.contains(".before-"), "{printed}");
    assert!(files(services.folder(), "catalog.db-wal").is_empty());
    assert!(files(services.folder(), ".restoring").is_empty());
    assert_eq!(rows(&files(services.folder(), ".before-")[0]).await, before, "kept whole");
    assert_eq!(instances(&services.catalogue_rows().await), 3);

    services.start_indexer().await;
    let restored = eventually("all that there was", async || {
        let rows = services.catalogue_rows().await;
        (instances(&rows) == 7 && rows[0] == before[0]).then_some(rows)
    })
    .await;
    assert_eq!(restored, before);
    let events = services.events("SERIES").await;
    let completions = events.iter().filter(|event| event.subject.contains(".completed.MR."));
    assert_eq!(completions.count(), announced, "nothing is announced again");
}
