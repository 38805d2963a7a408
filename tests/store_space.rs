//! Space in the instance store: what nothing names any more is removed, and nothing else.

use crate::harness::pipeline::{Ends, rows};
use crate::harness::schemas::Schemas;
use crate::harness::scu::Scu;
use crate::harness::tools::{dcmsend, have};
use crate::harness::{Collimator, Services, eventually};
use crate::series_folders::{Store, fault, folders, instances, is_kept, kept};
use collimator::synthetic::SyntheticStudy;
use contract::event::{InstanceStored, PurgeReason, SeriesPurged};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Settings of a store whose files are removed soon after nothing names them.
fn removing(store: &Store) -> Vec<(&'static str, &'static str)> {
    [store.settings().as_slice(), &[("STORE_REMOVE_AFTER", "100ms")]].concat()
}

/// The keys of all files of the spool.
fn spooled(store: &Store) -> BTreeSet<String> {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, found),
                false if path.extension().is_some_and(|it| it == "dcm") => found.push(path),
                false => {}
            }
        }
    }
    let mut found = Vec::new();
    files(&store.path("spool"), &mut found);
    let root = store.folder.path();
    let key = |path: PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    found.into_iter().map(key).collect()
}

/// Waits until the spool has these files and no others.
async fn has_spooled(store: &Store, wanted: &BTreeSet<String>) {
    eventually(&format!("{} files in the spool", wanted.len()), async || {
        (spooled(store) == *wanted).then_some(())
    })
    .await;
}

fn keys<'a>(events: impl IntoIterator<Item = &'a InstanceStored>) -> BTreeSet<String> {
    events.into_iter().map(|event| event.object.as_ref().unwrap().key.clone()).collect()
}

/// All events of instances so far, in their order.
async fn stored(pipeline: &Ends) -> Vec<InstanceStored> {
    let events = pipeline.stored().await;
    events.iter().map(|event| serde_json::from_slice(&event.payload).unwrap()).collect()
}

/// What was announced as purged so far.
async fn purged(pipeline: &Ends) -> Vec<SeriesPurged> {
    let mut events = pipeline.events("SERIES").await;
    events.retain(|event| event.subject.starts_with("dicom.series.purged."));
    let schemas = Schemas::read();
    let read = events.iter().map(|event| {
        assert_eq!(schemas.hold(event), "dicom.series.purged");
        serde_json::from_slice(&event.payload).unwrap()
    });
    read.collect()
}

async fn told(pipeline: &Ends, path: &str) -> Value {
    let url = format!("{}/series/{path}", pipeline.api);
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn the_file_of_a_resend_goes_and_the_first_one_stays() {
    let store = Store::new();
    let collimator = Collimator::start_with(&removing(&store)).await;
    let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let series = study.series_instance_uids().remove(0);
    let sent = tempfile::tempdir().unwrap();
    let paths = study.write_to(sent.path()).unwrap();
    collimator.receives(paths.clone()).await;
    let first = is_kept(&collimator, &series, 1).await;
    let before = spooled(&store);
    assert_eq!(before, keys(&stored(&collimator).await));
    collimator.receives(paths).await;
    assert_eq!(stored(&collimator).await.len(), 4);
    collimator.tells("store_objects_removed_total", 2).await;
    collimator.tells("store_objects_to_remove", 0).await;
    assert_eq!(spooled(&store), before);
    assert_eq!(fault(&store.path(&first.place)), None);
    collimator.tells("store_bytes", first.bytes).await;
    collimator.tells("store_remove_failures_total", 0).await;
}

#[tokio::test]
async fn the_file_before_a_correction_goes_and_stays_in_the_folder_of_its_revision() {
    let store = Store::new();
    let collimator = Collimator::start_with(&removing(&store)).await;
    let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let series = study.series_instance_uids().remove(0);
    let sent = tempfile::tempdir().unwrap();
    collimator.receives(study.write_to(&sent.path().join("a")).unwrap()).await;
    let first = is_kept(&collimator, &series, 1).await;
    let before = instances(&collimator, &series).await;
    let corrected = study.clone().extra(|object| {
        let comment = PrimitiveValue::from("corrected");
        object.put(DataElement::new(Tag(0x0020, 0x4000), VR::LT, comment));
    });
    let mut paths = corrected.write_to(&sent.path().join("b")).unwrap();
    paths.truncate(1);
    collimator.receives(paths).await;
    let second = is_kept(&collimator, &series, 2).await;
    let after = instances(&collimator, &series).await;
    has_spooled(&store, &keys(after.values())).await;
    for (folder, events) in [(&first, &before), (&second, &after)] {
        for (sop, event) in events {
            let file = store.read(&format!("{}/{sop}.dcm", folder.place));
            let hash = &event.object.as_ref().unwrap().blake3;
            assert_eq!(blake3::hash(&file).to_hex().as_str(), hash);
        }
    }
}

#[tokio::test]
async fn a_deleted_series_leaves_nothing_in_the_store_and_its_neighbour_all() {
    let store = Store::new();
    let collimator = Collimator::start_with(&removing(&store)).await;
    let study = SyntheticStudy::new().series("MR", 2).series("CT", 2).size(16, 16);
    let [gone, stays] = &study.series_instance_uids()[..] else { panic!() };
    let sent = tempfile::tempdir().unwrap();
    collimator.receives(study.write_to(sent.path()).unwrap()).await;
    let folder = is_kept(&collimator, gone, 1).await.place;
    let other = is_kept(&collimator, stays, 1).await.place;
    let url = format!("{}/series/{gone}", collimator.api);
    let deleted = reqwest::Client::new().delete(&url).send().await.unwrap();
    assert_eq!(deleted.status(), 202);
    has_spooled(&store, &keys(instances(&collimator, stays).await.values())).await;
    eventually("the folder of the series to go", async || {
        (!store.path(&folder).parent().unwrap().exists()).then_some(())
    })
    .await;
    assert_eq!(fault(&store.path(&other)), None);
    assert_eq!(folders(store.folder.path()).len(), 1);
    assert_eq!(told(&collimator, &format!("{gone}/history")).await[0].get("Kept"), None);
    collimator.tells("store_objects_to_remove", 0).await;
    assert_eq!(fs::read_dir(store.path("keeping")).unwrap().count(), 0);

    // With the last series its study goes too, after its time in the catalogue is over.
    let url = format!("{}/series/{stays}", collimator.api);
    reqwest::Client::new().delete(&url).send().await.unwrap();
    eventually("the study to go", async || {
        (!store.path(&study.study_instance_uid()).exists()).then_some(())
    })
    .await;
    has_spooled(&store, &BTreeSet::new()).await;
}

#[tokio::test]
async fn a_series_is_purged_once_it_is_old_and_stays_in_the_catalogue() {
    let store = Store::new();
    let settings = [removing(&store), vec![("STORE_RETENTION", "2s")]].concat();
    let services = Services::start_with(&settings).await;
    let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let series = study.series_instance_uids().remove(0);
    let sent = tempfile::tempdir().unwrap();
    let paths = study.write_to(sent.path()).unwrap();
    services.receives(paths.clone()).await;
    let first = is_kept(&services, &series, 1).await;
    has_spooled(&store, &BTreeSet::new()).await;
    eventually("its folder to go", async || folders(store.folder.path()).is_empty().then_some(()))
        .await;
    let events = purged(&services).await;
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.reason, event.revision), (PurgeReason::Retention, 1));
    assert_eq!((event.instances_purged, event.bytes), (2, first.bytes));
    let said = told(&services, &series).await;
    assert_eq!((&said["InstancesCount"], said.get("Kept")), (&2.into(), None));

    // What is sent again is stored again, until it is old.
    services.receives(paths).await;
    is_kept(&services, &series, 2).await;
    let again = eventually("the second purge", async || {
        let events = purged(&services).await;
        (events.len() == 2).then_some(events)
    })
    .await;
    assert_eq!(again[1].revision, 2);
    has_spooled(&store, &BTreeSet::new()).await;

    // A catalogue that is rebuilt names no file that is gone.
    let rebuilt = services.folder().join("rebuilt.db");
    let into = ["replay", "--into", rebuilt.to_str().unwrap()];
    let (code, printed) = services.indexer_command(&into).await;
    assert_eq!(code, Some(0), "{printed}");
    let of = |rows: Vec<String>| -> Vec<String> {
        let told = ["instances ", "revisions ", "series "];
        rows.into_iter().filter(|row| told.iter().any(|it| row.starts_with(it))).collect()
    };
    let (live, again) = (of(services.catalogue_rows().await), of(rows(&rebuilt).await));
    assert!(live.len() == 5 && live.iter().all(|row| !row.contains("spool/")), "{live:?}");
    assert_eq!(live, again);
}

#[tokio::test]
async fn the_oldest_series_go_when_there_is_too_much_and_an_open_one_stays() {
    let store = Store::new();
    let settings = [
        removing(&store),
        // One series of two instances is more than half of it.
        vec![("STORE_MAX_BYTES", "6000"), ("QUIET_PERIOD", "1h"), ("ABORT_GRACE", "1h")],
    ];
    let collimator = Collimator::start_with(&settings.concat()).await;
    let open = SyntheticStudy::new().series("MR", 1).size(16, 16);
    let mut scu = Scu::for_mr(collimator.dicom).await;
    for image in open.instances().unwrap() {
        scu.stores(&image).await;
    }
    let mut all = Vec::new();
    for _ in 0..3 {
        let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
        let series = study.series_instance_uids().remove(0);
        let sent = tempfile::tempdir().unwrap();
        collimator.receives(study.write_to(sent.path()).unwrap()).await;
        let bytes = is_kept(&collimator, &series, 1).await.bytes;
        assert!((3001..6000).contains(&bytes), "{bytes}");
        all.push(series);
    }
    let events = eventually("two purges", async || {
        let events = purged(&collimator).await;
        (events.len() >= 2).then_some(events)
    })
    .await;
    let gone: Vec<_> = events.iter().map(|it| it.series_instance_uid.as_str()).collect();
    assert_eq!(gone, &all[..2]);
    assert!(events.iter().all(|it| it.reason == PurgeReason::Space));
    let mut stays = keys(instances(&collimator, &all[2]).await.values());
    stays.extend(keys(instances(&collimator, &open.series_instance_uids()[0]).await.values()));
    assert_eq!(stays.len(), 3);
    has_spooled(&store, &stays).await;
    collimator.tells("series_purged_total{reason=\"space\"}", 2).await;
    collimator.tells("store_max_bytes", 6000).await;
    scu.release().await;
}

#[tokio::test]
async fn an_indexer_that_is_killed_while_it_removes_removes_the_rest_and_nothing_else() {
    const SERIES: usize = 40;
    if !have("dcmsend") {
        return;
    }
    let store = Store::new();
    let mut services = Services::start_with(&removing(&store)).await;
    let mut study = SyntheticStudy::new().size(8, 8);
    for _ in 0..SERIES {
        study = study.series("MR", 25);
    }
    let sent = tempfile::tempdir().unwrap();
    study.write_to(sent.path()).unwrap();
    dcmsend(services.dicom, &[sent.path()]).await;
    eventually("all series to be kept", async || {
        (kept(&services).await.len() == SERIES).then_some(())
    })
    .await;
    let first = spooled(&store);
    assert_eq!(first.len(), 25 * SERIES);
    dcmsend(services.dicom, &[sent.path()]).await;
    // It is killed as soon as the first files go.
    let count = || spooled(&store).len();
    let (mut most, mut in_the_middle) = (0, 0);
    while most < 2 * first.len() || count() >= most {
        let now = count();
        if now < most {
            break;
        }
        most = most.max(now);
        tokio::task::yield_now().await;
        if now == first.len() && most > first.len() {
            break;
        }
    }
    services.indexer.kill();
    in_the_middle += usize::from(count() > first.len());
    assert!(in_the_middle > 0, "it was not killed while it removed: {most} {}", count());
    services.start_indexer().await;
    has_spooled(&store, &first).await;
    let all = kept(&services).await;
    assert_eq!(all.len(), SERIES);
    for kept in &all {
        assert_eq!(fault(&store.path(&kept.place)), None);
    }
    let latest: BTreeMap<_, _> = stored(&services)
        .await
        .into_iter()
        .rev()
        .map(|it| (it.sop_instance_uid.clone(), it))
        .collect();
    assert_eq!(keys(latest.values()), first, "the first file of each");
}

#[tokio::test]
async fn what_can_not_be_removed_waits_and_holds_up_nothing() {
    let store = Store::new();
    let collimator = Collimator::start_with(&removing(&store)).await;
    let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let series = study.series_instance_uids().remove(0);
    let sent = tempfile::tempdir().unwrap();
    let paths = study.write_to(sent.path()).unwrap();
    collimator.receives(paths.clone()).await;
    is_kept(&collimator, &series, 1).await;
    let first = stored(&collimator).await;
    // The file that the catalogue names is gone, so the one that was sent again is all that there is.
    let lost = &first[0].object.as_ref().unwrap().key;
    let aside = store.path("aside");
    fs::rename(store.path(lost), &aside).unwrap();
    collimator.receives(paths).await;
    let resent = stored(&collimator).await.into_iter().skip(2);
    let [waits, goes]: [Vec<_>; 2] = {
        let (one, other): (Vec<_>, Vec<_>) =
            resent.partition(|it| it.sop_instance_uid == first[0].sop_instance_uid);
        [one, other]
    };
    let (waits, goes) = (keys(&waits), keys(&goes));
    eventually("the other one to go", async || spooled(&store).is_disjoint(&goes).then_some(()))
        .await;
    collimator.tells("store_objects_to_remove", 1).await;
    assert!(spooled(&store).is_superset(&waits));
    fs::rename(&aside, store.path(lost)).unwrap();
    has_spooled(&store, &keys(&first)).await;
}

#[tokio::test]
async fn verify_finds_what_is_missing_damaged_and_foreign_and_links_what_it_can() {
    let store = Store::new();
    let services = Services::start_with(&removing(&store)).await;
    let study = SyntheticStudy::new().series("MR", 4).size(16, 16);
    let series = study.series_instance_uids().remove(0);
    let sent = tempfile::tempdir().unwrap();
    services.receives(study.write_to(sent.path()).unwrap()).await;
    let place = is_kept(&services, &series, 1).await.place;
    let [(_, store_url), ..] = store.settings();
    let verify = async |more: &[&str]| -> (Option<i32>, Value) {
        let database = ["--database-url", services.database_url(), "--store-url", store_url];
        let arguments = [&["store", "verify", "--json"], &database[..], more].concat();
        let (code, printed) = services.command(&arguments).await;
        let report = serde_json::from_str(&printed);
        (code, report.unwrap_or_else(|error| panic!("{error}: {printed}")))
    };
    let places = |report: &Value, kind: &str| -> Vec<String> {
        let of_kind = &report[kind];
        let places: Vec<String> = serde_json::from_value(of_kind["Places"].clone()).unwrap();
        assert_eq!(of_kind["Count"], places.len(), "{kind}");
        places
    };
    let (code, whole) = verify(&[]).await;
    assert_eq!((code, &whole["Instances"], &whole["Folders"]), (Some(0), &4.into(), &1.into()));
    for kind in ["Missing", "Damaged", "Foreign", "Repaired"] {
        assert_eq!(places(&whole, kind), [""; 0], "{kind}");
    }

    let events = instances(&services, &series).await;
    let files: Vec<_> = events
        .iter()
        .map(|(sop, event)| {
            (event.object.as_ref().unwrap().key.clone(), format!("{place}/{sop}.dcm"))
        })
        .collect();
    let open = |key: &str| fs::OpenOptions::new().write(true).open(store.path(key)).unwrap();
    // The first is gone, the second cut short, in the third a byte is another one, and of the fourth the link is gone.
    fs::remove_file(store.path(&files[0].0)).unwrap();
    open(&files[1].0).set_len(100).unwrap();
    let mut other = store.read(&files[2].0);
    *other.last_mut().unwrap() ^= 1;
    fs::remove_file(store.path(&files[2].0)).unwrap();
    fs::write(store.path(&files[2].0), other).unwrap();
    fs::remove_file(store.path(&files[3].1)).unwrap();
    // Beside them one that nobody knows, and one that an event may still name.
    let shard = Path::new(&files[0].0).parent().unwrap().to_str().unwrap();
    let (foreign, young) = (format!("{shard}/foreign-1.dcm"), format!("{shard}/young-1.dcm"));
    fs::write(store.path(&young), "x").unwrap();
    fs::write(store.path(&foreign), "x").unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    open(&foreign).set_modified(long_ago).unwrap();

    let (code, found) = verify(&[]).await;
    assert_eq!((code, &found["Young"]), (Some(1), &1.into()));
    assert_eq!(places(&found, "Missing"), [&*files[0].0, &files[3].1]);
    // It is cut short in the folder too, where it is the same file.
    assert_eq!(places(&found, "Damaged"), [&*files[1].0, &files[2].0, &files[1].1]);
    assert_eq!(places(&found, "Foreign"), [&*foreign]);
    let (_, sampled) = verify(&["--sample", "0"]).await;
    assert_eq!(places(&sampled, "Damaged"), [&*files[1].0, &files[1].1], "by length alone");

    let (code, repaired) = verify(&["--repair"]).await;
    assert_eq!(code, Some(1), "the second has no other copy");
    assert_eq!(places(&repaired, "Repaired"), [&*files[0].0, &files[2].0, &files[3].1]);
    let (_, found) = verify(&[]).await;
    assert_eq!(places(&found, "Missing"), [""; 0]);
    assert_eq!(places(&found, "Damaged"), [&*files[1].0, &files[1].1]);
    assert!(store.path(&foreign).exists(), "nothing is removed");
}
