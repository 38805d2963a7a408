//! The catalogue moves to another database, and everything goes on there.

use crate::harness::database::Database;
use crate::harness::scu::Scu;
use crate::harness::{Services, eventually};
use collimator::synthetic::SyntheticStudy;
use std::collections::BTreeMap;
use std::path::PathBuf;
use test_database::TestDatabase;

/// A series of which some instances are sent later.
struct InParts {
    uid: String,
    first: Vec<PathBuf>,
    late: Vec<PathBuf>,
}

impl InParts {
    fn new(services: &Services, name: &str) -> Self {
        let study = SyntheticStudy::new().series("MR", 4).size(16, 16);
        let uid = study.series_instance_uids().remove(0);
        let mut first = study.write_to(&services.folder().join(name)).unwrap();
        let late = first.split_off(3);
        Self { uid, first, late }
    }
}

/// Sends before, while and after the catalogue moves; everything is complete once and announced once.
async fn moves(services: &mut Services, to: Database, round: u32) {
    let grows = InParts::new(services, &format!("grows {round}"));
    services.receives(grows.first.clone()).await;
    services.lists(&grows.uid, 3).await;
    let open = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let instances = open.instances().unwrap();
    let mut scu = Scu::for_mr(services.dicom).await;
    scu.stores(&instances[0]).await;
    let open = open.series_instance_uids().remove(0);
    eventually("the open series to be in the catalogue", async || {
        let rows = services.catalogue_rows().await;
        rows.iter().any(|row| row.starts_with("open_series ") && row.contains(&open)).then_some(())
    })
    .await;

    let from = services.database_url().to_owned();
    let copy = ["catalog", "copy", "--from", &from, "--to", &to.url];
    let (code, printed) = services.command(&copy).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("an indexer has") && printed.contains("stop all"), "{printed}");

    services.leaves_the_catalogue().await;
    let meanwhile = SyntheticStudy::new().series("MR", 5).size(16, 16);
    let folder = services.folder().join(format!("meanwhile {round}"));
    services.receives(meanwhile.write_to(&folder).unwrap()).await;
    let (code, printed) = services.command(&copy).await;
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("the copy is whole"), "{printed}");
    let before = services.catalogue_rows().await;
    assert_eq!(to.reader().rows().await.unwrap(), before);

    services.goes_on_with(to).await;
    services.lists(&meanwhile.series_instance_uids()[0], 5).await;
    services.receives(grows.late).await;
    services.lists(&grows.uid, 4).await;
    scu.stores(&instances[1]).await;
    scu.release().await;
    services.lists(&open, 2).await;
    assert!(services.catalogue_rows().await.len() > before.len());
}

/// How often each revision of each series was announced.
async fn announced(services: &Services) -> BTreeMap<(String, u32), usize> {
    let mut announced = BTreeMap::new();
    for completion in services.completions().await {
        let revision = (completion.series_instance_uid.to_string(), completion.revision);
        *announced.entry(revision).or_default() += 1;
    }
    announced
}

#[tokio::test]
async fn a_catalogue_moves_to_postgresql_and_back_and_everything_is_announced_once() {
    let Some(server) = TestDatabase::postgres() else { return };
    let folder = tempfile::tempdir().unwrap();
    let sources = folder.path().join("sources.toml");
    std::fs::write(&sources, "[[source]]\nae_title = 'TEST_SCU'\nquiet_period = '1h'\n").unwrap();
    let sources = sources.to_str().unwrap().to_owned().leak();
    let settings =
        [("QUIET_PERIOD", "1s"), ("SETTLE_PERIOD", "200ms"), ("SOURCES_FILE", &*sources)];
    let mut services = Services::start_with(&settings).await;
    // Whatever it began on.
    let file = format!("sqlite://{}", folder.path().join("moved.db").display());
    let again = format!("sqlite://{}", folder.path().join("back.db").display());
    for (round, url) in (0..).zip([file, server.url().to_owned(), again]) {
        moves(&mut services, Database::at(url), round).await;
    }
    let announced = announced(&services).await;
    // In each round one series with two revisions, and two with one.
    assert_eq!(announced.len(), 3 * 4, "{announced:?}");
    assert!(announced.values().all(|times| *times == 1), "{announced:?}");
    let series = services.series().await;
    assert_eq!(series.len(), 3 * 3);
}
