//! Series folders: each revision that is complete is a folder of the instance store, whole, and is announced.

use crate::harness::pipeline::{Ends, address, rows};
use crate::harness::schemas::Schemas;
use crate::harness::scu::Scu;
use crate::harness::tools::{dcmsend, have, path_of};
use crate::harness::{Collimator, Services, eventually};
use catalog::{CatalogSettings, CatalogWriter};
use collimator::synthetic::SyntheticStudy;
use contract::event::{InstanceStored, SeriesKept};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tempfile::TempDir;

/// A place for a store.
pub(crate) struct Store {
    pub(crate) folder: TempDir,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn settings(&self) -> [(&'static str, &'static str); 2] {
        let url = format!("file://{}", self.folder.path().display()).leak();
        [("STORE_URL", url), ("STORE_RESERVE", "0")]
    }

    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join(key)
    }

    pub(crate) fn read(&self, key: &str) -> Vec<u8> {
        fs::read(self.path(key)).unwrap()
    }
}

/// What was announced as kept so far.
pub(crate) async fn kept(pipeline: &Ends) -> Vec<SeriesKept> {
    let mut events = pipeline.events("SERIES").await;
    events.retain(|event| event.subject.starts_with("dicom.series.kept."));
    let schemas = Schemas::read();
    let mut ids = BTreeSet::new();
    let read = events.iter().map(|event| {
        assert_eq!(schemas.hold(event), "dicom.series.kept");
        let id = event.headers.get("Nats-Msg-Id").unwrap().to_string();
        let kept: SeriesKept = serde_json::from_slice(&event.payload).unwrap();
        assert_eq!(id, format!("{}:{}:kept", kept.series_instance_uid, kept.revision));
        assert!(ids.insert(id), "announced twice: {kept:?}");
        kept
    });
    read.collect()
}

/// Waits until a revision was announced as kept.
pub(crate) async fn is_kept(pipeline: &Ends, series: &str, revision: u32) -> SeriesKept {
    let is_it =
        |it: &SeriesKept| it.series_instance_uid.as_str() == series && it.revision == revision;
    eventually(&format!("{series} revision {revision} to be kept"), async || {
        kept(pipeline).await.into_iter().find(is_it)
    })
    .await
}

/// The events of the instances of a series, the latest of each.
pub(crate) async fn instances(pipeline: &Ends, series: &str) -> BTreeMap<String, InstanceStored> {
    let events = pipeline.stored().await;
    let read = events.iter().map(|event| serde_json::from_slice(&event.payload).unwrap());
    let of_series = read.filter(|it: &InstanceStored| it.series_instance_uid.as_str() == series);
    of_series.map(|it| (it.sop_instance_uid.to_string(), it)).collect()
}

/// What is wrong with the folder of a revision, if anything is.
pub(crate) fn fault(folder: &Path) -> Option<String> {
    let Ok(manifest) = fs::read(folder.join("manifest.json")) else {
        return Some(format!("{} has no manifest", folder.display()));
    };
    let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
    let Some(instances) = manifest["Instances"].as_array() else {
        return Some(format!("{} has half a manifest", folder.display()));
    };
    instances.iter().find_map(|instance| {
        let file = folder.join(instance["File"].as_str().unwrap());
        let length = fs::metadata(&file).map(|it| it.len()).ok();
        (length != instance["Bytes"].as_u64()).then(|| format!("{} is {length:?}", file.display()))
    })
}

/// The folders of all revisions in a store.
pub(crate) fn folders(store: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let is_study = |path: &PathBuf| !path.ends_with("spool") && !path.ends_with("keeping");
    let studies = list(store).into_iter().filter(is_study);
    studies.flat_map(|study| list(&study)).flat_map(|series| list(&series)).collect()
}

/// Looks at all folders of a store all the time.
struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<String>>,
}

impl Watch {
    fn of(store: &Path) -> Self {
        let (stop, seen): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
        let (ends, count, store) = (stop.clone(), seen.clone(), store.to_owned());
        let thread = std::thread::spawn(move || {
            let mut faults = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                let folders = folders(&store);
                faults.extend(folders.iter().filter_map(|folder| fault(folder)));
                count.store(folders.len(), Ordering::Relaxed);
            }
            faults
        });
        Self { stop, seen, thread }
    }

    /// Waits until it has seen as many folders.
    async fn sees(&self, count: usize) {
        eventually(&format!("{count} folders"), async || {
            (self.seen.load(Ordering::Relaxed) >= count).then_some(())
        })
        .await;
    }

    /// Ends it; gives what it has found wrong.
    fn faults(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[tokio::test]
async fn a_complete_series_is_a_folder_of_the_files_that_were_received() {
    if !have("dcmsend") {
        return;
    }
    let store = Store::new();
    let collimator = Collimator::start_with(&store.settings()).await;
    let study = SyntheticStudy::new().series("MR", 3).series("CT", 2).size(32, 32);
    let sent = tempfile::tempdir().unwrap();
    study.write_to(sent.path()).unwrap();
    dcmsend(collimator.dicom, &[sent.path()]).await;
    for (series, count) in study.series_instance_uids().iter().zip([3, 2]) {
        let kept = is_kept(&collimator, series, 1).await;
        assert_eq!(kept.place, format!("{}/{series}/1", study.study_instance_uid()));
        assert_eq!((kept.instances_kept, kept.instances_without_file), (count, 0));
        let manifest = store.read(&format!("{}/manifest.json", kept.place));
        assert_eq!(kept.manifest_blake3, blake3::hash(&manifest).to_hex().as_str());
        assert_eq!(fault(&store.path(&kept.place)), None);
        let instances = instances(&collimator, series).await;
        assert_eq!(instances.len() as u64, count);
        let mut bytes = 0;
        for (sop, event) in &instances {
            let object = event.object.as_ref().unwrap();
            let (file, spooled) = (format!("{}/{sop}.dcm", kept.place), store.path(&object.key));
            assert!(store.read(&file) == fs::read(&spooled).unwrap(), "{file}");
            assert_eq!(fs::metadata(&spooled).unwrap().nlink(), 2);
            bytes += object.bytes;
        }
        assert_eq!(kept.bytes, bytes);
        assert_eq!(fs::read_dir(store.path(&kept.place)).unwrap().count() as u64, count + 1);

        let ask = async |path: &str| -> Value {
            let url = format!("{}/series/{series}{path}", collimator.api);
            reqwest::get(url).await.unwrap().json().await.unwrap()
        };
        let said = ask("").await["Kept"].clone();
        assert_eq!((&said["Revision"], &said["Place"]), (&1.into(), &kept.place.into()));
        assert_eq!(said["At"], kept.kept_at.to_string());
        assert_eq!(ask("/history").await[0]["Kept"], said);
    }
    collimator.tells("series_kept_total", 2).await;
    collimator.tells("series_to_keep", 0).await;
    collimator.tells("ready{part=\"keeper\"}", 1).await;
    assert_eq!(fs::read_dir(store.path("keeping")).unwrap().count(), 0);
}

#[tokio::test]
async fn dcm2niix_opens_a_folder_as_it_is() {
    if !have("dcm2niix") {
        return;
    }
    let store = Store::new();
    let collimator = Collimator::start_with(&store.settings()).await;
    let study = SyntheticStudy::new().series("MR", 5).size(32, 24);
    let sent = tempfile::tempdir().unwrap();
    collimator.receives(study.write_to(sent.path()).unwrap()).await;
    let kept = is_kept(&collimator, &study.series_instance_uids()[0], 1).await;
    let made = tempfile::tempdir().unwrap();
    let output = Command::new(path_of("dcm2niix"))
        .args(["-f", "volume", "-o"])
        .arg(made.path())
        .arg(store.path(&kept.place))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    let volume = fs::read(made.path().join("volume.nii")).unwrap();
    // The header of NIfTI-1 has its dimensions at byte 40.
    let dimension =
        |place: usize| u16::from_le_bytes([volume[40 + 2 * place], volume[41 + 2 * place]]);
    assert_eq!([1, 2, 3].map(dimension), [24, 32, 5], "{said}");
}

#[tokio::test]
async fn a_correction_is_a_folder_of_its_own_and_the_one_before_stays() {
    let store = Store::new();
    let collimator = Collimator::start_with(&store.settings()).await;
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
    let mut changed = 0;
    for (sop, event) in &before {
        let [old, new] = [event, &after[sop]].map(|it| it.object.as_ref().unwrap());
        changed += usize::from(old.blake3 != new.blake3);
        for (folder, object) in [(&first, old), (&second, new)] {
            let file = store.read(&format!("{}/{sop}.dcm", folder.place));
            assert_eq!(blake3::hash(&file).to_hex().as_str(), object.blake3);
        }
    }
    assert_eq!(changed, 1);
    assert_eq!((first.instances_kept, second.instances_kept), (2, 2));
    assert_ne!(first.manifest_blake3, second.manifest_blake3);
}

#[tokio::test]
async fn a_killed_indexer_leaves_no_half_folder_and_keeps_each_series_once() {
    const SERIES: usize = 200;
    if !have("dcmsend") {
        return;
    }
    let store = Store::new();
    let mut services = Services::start_with(&store.settings()).await;
    let watch = Watch::of(store.folder.path());
    let mut study = SyntheticStudy::new().size(8, 8);
    for _ in 0..SERIES {
        study = study.series("MR", 2);
    }
    let sent = tempfile::tempdir().unwrap();
    study.write_to(sent.path()).unwrap();
    dcmsend(services.dicom, &[sent.path()]).await;
    let mut in_the_middle = 0;
    for count in [1, 40, 80, 120] {
        watch.sees(count).await;
        services.indexer.kill();
        in_the_middle += usize::from(folders(store.folder.path()).len() < SERIES);
        services.start_indexer().await;
    }
    assert!(in_the_middle > 0, "it was never killed while it kept");
    let all = eventually("all series to be kept", async || {
        let all = kept(&services).await;
        (all.len() >= SERIES).then_some(all)
    })
    .await;
    let wanted: BTreeSet<_> = study.series_instance_uids().into_iter().collect();
    let told: BTreeSet<_> = all.iter().map(|it| it.series_instance_uid.to_string()).collect();
    assert_eq!((all.len(), told), (SERIES, wanted));
    for kept in &all {
        assert_eq!((kept.revision, kept.instances_kept), (1, 2));
        assert_eq!(fault(&store.path(&kept.place)), None);
    }
    assert_eq!(watch.faults(), [""; 0]);
    assert_eq!(folders(store.folder.path()).len(), SERIES, "none was put aside");
    assert_eq!(fs::read_dir(store.path("keeping")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_series_without_one_of_its_files_waits_and_holds_up_no_other() {
    let store = Store::new();
    let mut services = Services::start_with(&store.settings()).await;
    let admin = services.indexer.says("where it is", |line| address(line, "admin listens")).await;
    let ready = async || -> (u16, Value) {
        let answer = reqwest::get(format!("http://{admin}/health/ready")).await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    };
    let study = SyntheticStudy::new().series("MR", 2).series("MR", 1).size(16, 16);
    let [broken, whole] = &study.series_instance_uids()[..] else { panic!() };
    let mut scu = Scu::for_mr(services.dicom).await;
    for image in study.instances().unwrap() {
        scu.stores(&image).await;
    }
    // Neither is complete yet.
    let instances = instances(&services, broken).await;
    let key = &instances.values().next().unwrap().object.as_ref().unwrap().key;
    let aside = store.path("aside");
    fs::rename(store.path(key), &aside).unwrap();
    scu.release().await;
    is_kept(&services, whole, 1).await;
    let why = format!("{broken} revision 1 among them: {key} is not in the instance store");
    eventually("the keeper not to be ready", async || {
        let (status, said) = ready().await;
        (status == 503 && said.to_string().contains(&why)).then_some(())
    })
    .await;
    assert_eq!(kept(&services).await.len(), 1);
    let log = services.indexer.printed();
    assert!(!log.contains("Demo^") && log.contains("a series can't be kept yet"), "{log}");
    fs::rename(&aside, store.path(key)).unwrap();
    assert_eq!(is_kept(&services, broken, 1).await.instances_kept, 2);
    eventually("the keeper to be ready", async || (ready().await.0 == 200).then_some(())).await;
}

#[tokio::test]
async fn what_a_rebuilt_catalogue_says_is_kept_is_what_the_live_one_says() {
    let store = Store::new();
    let services = Services::start_with(&store.settings()).await;
    let study = SyntheticStudy::new().series("MR", 2).series("MR", 1).size(16, 16);
    let sent = tempfile::tempdir().unwrap();
    services.receives(study.write_to(sent.path()).unwrap()).await;
    for series in study.series_instance_uids() {
        is_kept(&services, &series, 1).await;
    }
    let rebuilt = services.folder().join("rebuilt.db");
    let into = rebuilt.to_str().unwrap();
    let (code, printed) = services.indexer_command(&["replay", "--into", into]).await;
    assert_eq!(code, Some(0), "{printed}");
    let revisions = |rows: Vec<String>| -> Vec<String> {
        rows.into_iter().filter(|row| row.starts_with("revisions ")).collect()
    };
    let (live, again) =
        (revisions(services.catalogue_rows().await), revisions(rows(&rebuilt).await));
    assert!(live.len() == 2 && live.iter().all(|row| row.contains(&study.study_instance_uid())));
    assert_eq!(live, again);
    let catalog = CatalogWriter::own(&CatalogSettings::at(&rebuilt)).await.unwrap();
    assert_eq!(catalog.count_waiting_to_be_kept().await.unwrap(), 0);
    catalog.close().await;
}

#[tokio::test]
async fn a_deleted_series_that_comes_again_is_kept_again() {
    let store = Store::new();
    let collimator = Collimator::start_with(&store.settings()).await;
    let study = SyntheticStudy::new().series("MR", 1).size(16, 16);
    let series = study.series_instance_uids().remove(0);
    let sent = tempfile::tempdir().unwrap();
    let paths = study.write_to(sent.path()).unwrap();
    collimator.receives(paths.clone()).await;
    is_kept(&collimator, &series, 1).await;
    let url = format!("{}/series/{series}", collimator.api);
    let deleted = reqwest::Client::new().delete(&url).send().await.unwrap();
    assert_eq!(deleted.status(), 202);
    eventually("the deletion", async || {
        (reqwest::get(&url).await.unwrap().status() == 410).then_some(())
    })
    .await;
    collimator.receives(paths).await;
    let again = is_kept(&collimator, &series, 2).await;
    assert_eq!(again.instances_kept, 1);
    let said: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
    assert_eq!(said["Kept"]["Revision"], 2);
}

#[tokio::test]
async fn without_a_store_no_series_is_kept() {
    let collimator = Collimator::start().await;
    let study = SyntheticStudy::new().series("MR", 1).size(16, 16);
    let series = study.series_instance_uids().remove(0);
    let sent = tempfile::tempdir().unwrap();
    collimator.receives(study.write_to(sent.path()).unwrap()).await;
    collimator.lists(&series, 1).await;
    collimator.completions().await;
    let url = format!("{}/series/{series}", collimator.api);
    let said: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
    assert_eq!(said.get("Kept"), None);
    let metrics = collimator.metrics().await;
    assert!(!metrics.contains("_keep") && !metrics.contains("keeper"), "{metrics}");
    assert_eq!(kept(&collimator).await, []);
}
