//! The instance store: what is received is on disk, byte for byte, before its sender gets Success, and nothing else is
//! there.

use crate::harness::pipeline::{
    COLLIMATOR, Ends, Process, address, free_addr, nats_conf, nats_server, service, test_settings,
    with,
};
use crate::harness::python::{python, run};
use crate::harness::scu::{Kind, Proposal, Scu, written};
use crate::harness::small_disk::SmallDisk;
use crate::harness::tools::{dcmsend, dcmtk, have, path_of, skip};
use crate::harness::{Collimator, Services, eventually};
use collimator::synthetic::SyntheticStudy;
use contract::event::{InstanceStored, StoredObject};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::uids;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::{
    EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const MR: &str = uids::MR_IMAGE_STORAGE;
const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// A place for a store.
pub(crate) struct Store {
    folder: TempDir,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The value of `STORE_URL`, which lives as long as the tests.
    pub(crate) fn url(&self) -> &'static str {
        format!("file://{}", self.folder.path().display()).leak()
    }

    /// A pipeline that keeps what it receives here.
    async fn pipeline(&self) -> Collimator {
        Collimator::start_with(&self.settings()).await
    }

    pub(crate) fn settings(&self) -> [(&'static str, &'static str); 2] {
        [("STORE_URL", self.url()), ("STORE_RESERVE", "0")]
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let spool = self.folder.path().join("spool");
        if spool.exists() { files(&spool) } else { Vec::new() }
    }

    /// Waits until there are as many files.
    pub(crate) async fn has(&self, count: usize) -> Vec<PathBuf> {
        let what = format!("{count} files in {}", self.folder.path().display());
        eventually(&what, async || Some(self.files()).filter(|files| files.len() == count)).await
    }

    /// Waits until an instance is being written.
    async fn begins(&self) {
        let is_part = |path: &PathBuf| path.extension().is_some_and(|it| it == "part");
        eventually("the start of a file", async || self.files().iter().any(is_part).then_some(()))
            .await;
    }

    /// The data set of an object, which has to be as its event says.
    pub(crate) fn data_set(&self, object: &StoredObject) -> Vec<u8> {
        let file = fs::read(self.folder.path().join(&object.key)).unwrap();
        assert_eq!(object.bytes, file.len() as u64);
        assert_eq!(object.blake3, blake3::hash(&file).to_hex().as_str());
        data_set(&file).to_vec()
    }
}

/// All files of a store but the locks of its receivers.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if path.file_name().is_some_and(|name| name == "lock" || name == "probe") => {}
            false => found.push(path),
        }
    }
    found
}

/// What follows the File Meta Information, whose length its first element says (PS3.10 section 7.1).
fn data_set(file: &[u8]) -> &[u8] {
    assert_eq!(&file[..132], [&[0; 128][..], b"DICM"].concat());
    assert_eq!(&file[132..140], [2, 0, 0, 0, b'U', b'L', 4, 0]);
    let length = u32::from_le_bytes(file[140..144].try_into().unwrap()) as usize;
    &file[144 + length..]
}

/// An instance of a series with pixels of one value.
fn instance(series: &str, sop: &str, pixel: u16) -> InMemDicomObject {
    let put = |tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    let pixels = PrimitiveValue::U16(vec![pixel; 600_000].into());
    InMemDicomObject::from_element_iter([
        put(Tag(0x0008, 0x0016), VR::UI, MR),
        put(Tag(0x0008, 0x0018), VR::UI, sop),
        put(Tag(0x0008, 0x0060), VR::CS, "MR"),
        put(Tag(0x0010, 0x0010), VR::PN, "Roe^Jane"),
        put(Tag(0x0020, 0x000d), VR::UI, "2.25.100"),
        put(Tag(0x0020, 0x000e), VR::UI, series),
        DataElement::new(Tag(0x7fe0, 0x0010), VR::OW, pixels),
    ])
}

fn in_syntax(object: &InMemDicomObject, transfer_syntax: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let syntax = match transfer_syntax {
        uids::IMPLICIT_VR_LITTLE_ENDIAN => IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        BIG_ENDIAN => EXPLICIT_VR_BIG_ENDIAN.erased(),
        _ => EXPLICIT_VR_LITTLE_ENDIAN.erased(),
    };
    object.write_dataset_with_ts(&mut bytes, &syntax).unwrap();
    bytes
}

/// The events of the instances that were stored so far.
pub(crate) async fn events(pipeline: &Ends) -> Vec<InstanceStored> {
    let stored = pipeline.stored().await;
    stored.iter().map(|event| serde_json::from_slice(&event.payload).unwrap()).collect()
}

/// What dcmtk says of files: all of them are DICOM files.
fn accepted_by_dcmftest(files: &[PathBuf]) {
    let output = Command::new(path_of("dcmftest")).args(files).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert_eq!(
        said.lines().filter(|line| line.starts_with("yes: ")).count(),
        files.len(),
        "{said}"
    );
}

#[tokio::test]
async fn a_file_has_what_was_sent_and_its_event_and_row_say_where() {
    let store = Store::new();
    let collimator = store.pipeline().await;
    let syntaxes = [uids::IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT, BIG_ENDIAN];
    let contexts = syntaxes.each_ref().map(std::slice::from_ref).map(|syntaxes| (MR, syntaxes));
    let proposal =
        Proposal { contexts: &contexts, max_pdu_length: 16384, called_ae_title: "COLLIMATOR" };
    let mut scu = Scu::associate(collimator.dicom, proposal).await.ok().unwrap();
    let mut sent = Vec::new();
    for ((context, syntax), sop) in
        [1, 3, 5].into_iter().zip(syntaxes).zip(["2.25.1", "2.25.2", "2.25.33"])
    {
        let data_set = in_syntax(&instance("2.25.10", sop, 7), syntax);
        let answer = scu.store(context, MR, sop, &data_set).await;
        assert_eq!(answer.status, 0, "{answer:?}");
        // It is there before its sender hears of it.
        assert_eq!(store.files().len(), sent.len() + 1);
        sent.push((sop, syntax, data_set));
    }
    scu.release().await;
    let events = events(&collimator).await;
    assert_eq!(events.len(), sent.len());
    for (event, (sop, syntax, data_set)) in events.iter().zip(&sent) {
        let object = event.object.as_ref().unwrap();
        assert!(store.data_set(object) == *data_set, "{syntax}");
        let file = dicom_object::open_file(store.folder.path().join(&object.key)).unwrap();
        assert_eq!(file.meta().transfer_syntax(), *syntax);
        assert_eq!(file.meta().media_storage_sop_class_uid(), MR);
        assert_eq!(file.meta().media_storage_sop_instance_uid(), *sop);
        assert_eq!(event.bytes, data_set.len() as u64);
    }
    if have("dcmftest") {
        accepted_by_dcmftest(&store.files());
    }
    collimator.lists("2.25.10", 3).await;
    collimator.tells("store_sync_duration_seconds_count", 3).await;
    collimator
        .tells("store_bytes_total", events.iter().map(|it| it.object.as_ref().unwrap().bytes).sum())
        .await;
}

#[tokio::test]
async fn the_catalogue_says_where_each_instance_is() {
    let store = Store::new();
    let services = Services::start_with(&store.settings()).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 2).series("CT", 1).size(16, 16);
    study.write_to(folder.path()).unwrap();
    if !have("dcmsend") {
        return;
    }
    dcmsend(services.dicom, &[folder.path()]).await;
    for (series, count) in study.series_instance_uids().iter().zip([2, 1]) {
        services.lists(series, count).await;
    }
    let rows = services.catalogue_rows().await.join("\n");
    let events = events(&services).await;
    assert_eq!((events.len(), store.files().len()), (3, 3));
    for object in events.iter().map(|event| event.object.as_ref().unwrap()) {
        for said in [&object.key, &object.blake3, &object.bytes.to_string()] {
            assert!(rows.contains(said), "{said} is not in {rows}");
        }
        store.data_set(object);
    }
}

#[tokio::test]
async fn without_a_store_nothing_is_kept_or_said_of_it() {
    let collimator = Collimator::start().await;
    let images = SyntheticStudy::new().series("MR", 1).size(16, 16).instances().unwrap();
    let mut scu = Scu::for_mr(collimator.dicom).await;
    scu.stores(&images[0]).await;
    scu.release().await;
    assert_eq!(events(&collimator).await[0].object, None);
    let payload = String::from_utf8(collimator.stored().await[0].payload.to_vec()).unwrap();
    assert!(!payload.contains("\"Object\""), "{payload}");
    assert!(!collimator.metrics().await.contains("collimator_store_"));
}

#[tokio::test]
async fn other_pixels_under_the_same_header_are_a_correction_and_the_same_ones_are_not() {
    let store = Store::new();
    let collimator = store.pipeline().await;
    let sends = async |pixel| {
        let mut scu = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
        let data_set = in_syntax(&instance("2.25.20", "2.25.21", pixel), EXPLICIT);
        assert_eq!(scu.store(1, MR, "2.25.21", &data_set).await.status, 0);
        scu.release().await;
    };
    sends(1).await;
    collimator.lists("2.25.20", 1).await;
    // The same again, by another association: the same file, byte for byte, and no revision.
    sends(1).await;
    sends(2).await;
    let corrected = eventually("the second revision", async || {
        collimator.completions().await.into_iter().find(|completion| completion.revision == 2)
    })
    .await;
    assert_eq!((corrected.instances_corrected, corrected.instances_count), (1, 1));
    let objects: Vec<_> =
        events(&collimator).await.into_iter().filter_map(|it| it.object).collect();
    assert_eq!((&objects[0].blake3, &objects[0].bytes), (&objects[1].blake3, &objects[1].bytes));
    assert_ne!(objects[1].blake3, objects[2].blake3);
    assert_eq!(collimator.completions().await.len(), 2);
}

#[tokio::test]
async fn nothing_stays_of_an_instance_that_was_refused_aborted_or_cut_off() {
    let store = Store::new();
    let collimator = store.pipeline().await;
    let good = in_syntax(&instance("2.25.30", "2.25.31", 7), EXPLICIT);
    let mut scu = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;

    let answer = scu.store(1, MR, "2.25.31", &good[..good.len() - 2]).await;
    assert_eq!((answer.status, answer.comment.contains("middle of an element")), (0xc000, true));
    // Encapsulated pixel data without its end.
    let mut encapsulated = good[..good.len() - 1_200_000 - 4].to_vec();
    encapsulated.extend([0xff; 4]);
    encapsulated.extend([0xfe, 0xff, 0, 0xe0, 0, 0, 0, 0]);
    encapsulated.extend([0xfe, 0xff, 0, 0xe0, 0, 0, 8, 0]);
    encapsulated.resize(encapsulated.len() + (8 << 16), 9);
    let answer = scu.store(1, MR, "2.25.31", &encapsulated).await;
    assert_eq!((answer.status, answer.comment.contains("middle of an element")), (0xc000, true));
    // Its UIDs contradict each other, which shows when all of it is written.
    let answer = scu.store(1, MR, "2.25.32", &good).await;
    assert_eq!((answer.status, answer.comment.contains("differ")), (0xa900, true), "{answer:?}");
    // A file names its instance before its data set does.
    let answer = scu.store(1, MR, "", &good).await;
    assert_eq!(answer.status, 0xa900);
    assert!(answer.comment.contains("Affected SOP Instance UID"), "{answer:?}");
    store.has(0).await;

    // The association goes on.
    assert_eq!(scu.store(1, MR, "2.25.31", &good).await.status, 0);
    assert_eq!(store.files().len(), 1);

    // Aborted in the middle.
    let command = scu.store_command(MR, "2.25.31", true);
    scu.send(1, Kind::Command, &command, 1000).await;
    scu.send_part(&good[..8000], false).await;
    for piece in good[8000..1_000_000].chunks(8000) {
        scu.send_part(piece, false).await;
    }
    store.begins().await;
    scu.send_bytes(&[7, 0, 0, 0, 0, 4, 0, 0, 0, 0]).await;
    store.has(1).await;

    // And cut off.
    let mut scu = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    let command = scu.store_command(MR, "2.25.31", true);
    scu.send(1, Kind::Command, &command, 1000).await;
    for piece in good[..1_000_000].chunks(8000) {
        scu.send_part(piece, false).await;
    }
    store.begins().await;
    drop(scu);
    store.has(1).await;
    assert_eq!(events(&collimator).await.len(), 1);
}

#[tokio::test]
async fn a_receiver_that_is_killed_in_the_middle_leaves_nothing_half() {
    let store = Store::new();
    let mut services = Services::start_with(&store.settings()).await;
    let good = in_syntax(&instance("2.25.40", "2.25.41", 7), EXPLICIT);
    let mut scu = Scu::for_class(services.dicom, MR, EXPLICIT).await;
    assert_eq!(scu.store(1, MR, "2.25.41", &good).await.status, 0);
    let command = scu.store_command(MR, "2.25.41", true);
    scu.send(1, Kind::Command, &command, 1000).await;
    for piece in good[..1_000_000].chunks(8000) {
        scu.send_part(piece, false).await;
    }
    store.begins().await;
    services.ingest.kill();
    let is_whole = |path: &&PathBuf| path.extension().is_some_and(|it| it == "dcm");
    assert_eq!(store.files().iter().filter(is_whole).count(), 1);
    services.start_ingest().await;
    let whole = store.has(1).await;
    assert_eq!(data_set(&fs::read(&whole[0]).unwrap()), good);
    let mut scu = Scu::for_class(services.dicom, MR, EXPLICIT).await;
    let other = in_syntax(&instance("2.25.40", "2.25.42", 7), EXPLICIT);
    assert_eq!(scu.store(1, MR, "2.25.42", &other).await.status, 0);
    scu.release().await;
    services.lists("2.25.40", 2).await;
    for event in events(&services).await {
        store.data_set(event.object.as_ref().unwrap());
    }
    assert_eq!(store.files().len(), 2);
}

#[tokio::test]
async fn a_full_disk_refuses_the_sender_until_there_is_room() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let url: &str = format!("file://{}/store", disk.path().display()).leak();
    let collimator = Collimator::start_with(&[("STORE_URL", url), ("STORE_RESERVE", "0")]).await;
    let data_set = |sop| in_syntax(&instance("2.25.50", sop, 7), EXPLICIT);
    let mut scu = Scu::for_class(collimator.dicom, MR, EXPLICIT).await;
    assert_eq!(scu.store(1, MR, "2.25.51", &data_set("2.25.51")).await.status, 0);
    let filler = disk.fill();
    for _ in 0..3 {
        let answer = scu.store(1, MR, "2.25.52", &data_set("2.25.52")).await;
        assert_eq!((answer.status, &*answer.comment), (0xa700, "the instance store is full"));
    }
    let ready = format!("{}/health/ready", collimator.api);
    eventually("503 of the store", async || {
        let answer = reqwest::get(&ready).await.unwrap();
        let status = answer.status();
        (status == 503 && answer.text().await.unwrap().contains("store is full")).then_some(())
    })
    .await;
    assert_eq!(files(&disk.path().join("store/spool")).len(), 1);
    fs::remove_file(filler).unwrap();
    eventually("readiness", async || collimator.is_ready().await.then_some(())).await;
    // On the same association.
    assert_eq!(scu.store(1, MR, "2.25.52", &data_set("2.25.52")).await.status, 0);
    scu.release().await;
    collimator.lists("2.25.50", 2).await;
    assert_eq!(files(&disk.path().join("store/spool")).len(), 2);
}

#[tokio::test]
async fn what_is_reserved_is_left_to_others() {
    let store = Store::new();
    let settings = [("STORE_URL", store.url()), ("STORE_RESERVE", "4EiB")];
    let mut services = Services::start_with(&settings).await;
    let mut scu = Scu::for_class(services.dicom, MR, EXPLICIT).await;
    let data_set = in_syntax(&instance("2.25.60", "2.25.61", 7), EXPLICIT);
    let answer = scu.store(1, MR, "2.25.61", &data_set).await;
    assert_eq!(answer.status, 0xa700);
    assert!(answer.comment.contains("less than STORE_RESERVE"), "{answer:?}");
    scu.release().await;
    let admin = services.ingest.says("its port", |line| address(line, "admin listens")).await;
    let ready = reqwest::get(format!("http://{admin}/health/ready")).await.unwrap();
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.unwrap().contains("STORE_RESERVE"));
    assert_eq!((store.files().len(), events(&services).await.len()), (0, 0));
}

#[tokio::test]
async fn nothing_stays_of_what_a_full_stream_refused() {
    let store = Store::new();
    let [url, reserve] = store.settings();
    let mut services =
        Services::start_with(&[url, reserve, ("INSTANCES_MAX_BYTES", "64KiB")]).await;
    services.indexer.kill();
    let images = SyntheticStudy::new().series("MR", 60).size(16, 16).instances().unwrap();
    let mut scu = Scu::for_mr(services.dicom).await;
    // Also of the ones that were not tried.
    let full = (0xa700, "NATS refused: the stream is full");
    let mut taken = 0;
    for image in &images {
        let (sop, data_set) = written(image);
        let answer = scu.store(1, MR, &sop, &data_set).await;
        match answer.status {
            0 => taken += 1,
            _ => assert_eq!((answer.status, &*answer.comment), full),
        }
    }
    scu.release().await;
    assert!(taken < images.len(), "the stream never was full");
    assert_eq!(events(&services).await.len(), taken);
    store.has(taken).await;
}

#[tokio::test]
async fn what_a_silent_broker_may_have_stored_stays_and_no_more_is_written_meanwhile() {
    let store = Store::new();
    let (folder, nats_addr) = (tempfile::tempdir().unwrap(), free_addr());
    let nats = nats_server(&nats_conf(), folder.path(), nats_addr.port(), 0).await;
    let url = format!("nats://{nats_addr}");
    let settings = [("NATS_URL", &*url), ("PUBLISH_TIMEOUT", "1s")];
    let settings = with(with(test_settings(folder.path()), &settings), &store.settings());
    let mut ingest = Process::start(&service("ingest").await, folder.path(), &settings);
    let dicom = ingest.says("where it receives", |line| address(line, "ingest listens")).await;
    let images = SyntheticStudy::new().series("MR", 4).size(16, 16).instances().unwrap();
    let mut scu = Scu::for_mr(dicom).await;
    scu.stores(&images[0]).await;
    nats.signal("STOP");
    for image in &images[1..] {
        let (sop, data_set) = written(image);
        assert_eq!(scu.store(1, MR, &sop, &data_set).await.status, 0xa700);
    }
    // The first of them may be stored.
    assert_eq!(store.files().len(), 2);
    nats.signal("CONT");
    eventually("the broker to be at work again", async || {
        let (sop, data_set) = written(&images[1]);
        (scu.store(1, MR, &sop, &data_set).await.status == 0).then_some(())
    })
    .await;
    for image in &images[2..] {
        scu.stores(image).await;
    }
    scu.release().await;
    // Whatever the stream has names an object that is there.
    let nats = async_nats::connect(&url).await.unwrap();
    let stored = crate::harness::pipeline::events(&nats, "INSTANCES").await;
    let stored = stored.iter().filter(|event| event.subject.starts_with("dicom.instance.stored."));
    let mut named = 0;
    for event in stored {
        let event: InstanceStored = serde_json::from_slice(&event.payload).unwrap();
        store.data_set(event.object.as_ref().unwrap());
        named += 1;
    }
    assert!(named >= images.len(), "{named}");
}

#[tokio::test]
async fn the_file_stays_where_an_error_of_one_server_does_not_mean_that_no_server_stored_its_event()
{
    let store = Store::new();
    let services = Services::start_with(&store.settings()).await;
    let images = SyntheticStudy::new().series("MR", 2).size(16, 16).instances().unwrap();
    let mut scu = Scu::for_mr(services.dicom).await;
    scu.stores(&images[0]).await;
    // In place of the stream: nats-server answers so while it stops, and the rest of a cluster goes on.
    let jetstream = async_nats::jetstream::new(services.nats.clone());
    let mut published = services.nats.subscribe("dicom.instance.stored.>").await.unwrap();
    jetstream.delete_stream("INSTANCES").await.unwrap();
    let answers = async {
        let reply = published.next().await.unwrap().reply.unwrap();
        let error = json!({"code": 503, "err_code": 10077, "description": "store is closed"});
        let answer = json!({"stream": "INSTANCES", "seq": 0, "error": error});
        services.nats.publish(reply, answer.to_string().into()).await.unwrap();
    };
    let (sop, data_set) = written(&images[1]);
    let (answer, ()) = tokio::join!(scu.store(1, MR, &sop, &data_set), answers);
    assert_eq!((answer.status, &*answer.comment), (0xa700, "NATS refused the event (error 10077)"));
    scu.release().await;
    assert_eq!(store.files().len(), 2);
}

/// Sends each file as its author wrote it, and compares what was sent with what is in the folder of the store: the
/// same data sets, each as often, in files that pydicom reads.
const COMPARE: &str = r#"
import collections, hashlib, json, sys, pathlib, pydicom
import pydicom_files
from pynetdicom.dsutils import encode
host, port, store = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
sent, syntaxes, refused = collections.Counter(), set(), []
for path in pydicom_files.paths():
    try:
        ds = pydicom_files.instance(path)
        syntax = ds.file_meta.TransferSyntaxUID
        data_set = encode(ds, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    except Exception:
        continue
    if data_set is None:
        continue
    try:
        status = pydicom_files.send(host, port, ds)
    except Exception:
        continue
    if status is None:
        continue
    if status.Status == 0:
        sent[(str(ds.SOPInstanceUID), str(syntax), hashlib.sha256(data_set).hexdigest())] += 1
        syntaxes.add(str(syntax))
    else:
        refused.append(path.name)
kept = collections.Counter()
for path in sorted((store / "spool").rglob("*.dcm")):
    ds = pydicom.dcmread(path)
    list(ds.iterall())
    meta, raw = ds.file_meta, path.read_bytes()
    data_set = raw[144 + meta.FileMetaInformationGroupLength:]
    assert meta.MediaStorageSOPInstanceUID == ds.get("SOPInstanceUID", meta.MediaStorageSOPInstanceUID)
    kept[(str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID), hashlib.sha256(data_set).hexdigest())] += 1
print(json.dumps({"sent": sum(sent.values()), "kept": sum(kept.values()), "syntaxes": len(syntaxes), "refused": refused,
    "lost": [k for k in sent - kept], "foreign": [k for k in kept - sent]}))
"#;

#[tokio::test]
async fn every_storable_file_of_pydicom_is_kept_as_it_was_sent() {
    let Some(packages) = python().await else { return };
    let store = Store::new();
    let collimator = store.pipeline().await;
    let (host, port) = (collimator.dicom.ip().to_string(), collimator.dicom.port().to_string());
    let folder = store.folder.path().display().to_string();
    let printed = run(packages, COMPARE, &[&host, &port, &folder]).await;
    println!("{printed}");
    let said: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&said["lost"], &said["foreign"]), (&json!([]), &json!([])), "{said}");
    assert!(said["sent"].as_u64().unwrap() > 100, "{said}");
    assert!(said["syntaxes"].as_u64().unwrap() >= 10, "{said}");
    assert_eq!(store.files().len() as u64, said["sent"].as_u64().unwrap());
    if have("dcmftest") {
        accepted_by_dcmftest(&store.files());
    }
    // Each event names its object, and its object is as it says.
    let events = events(&collimator).await;
    assert_eq!(events.len(), store.files().len());
    for event in events {
        let data_set = store.data_set(event.object.as_ref().unwrap());
        assert_eq!(event.bytes, data_set.len() as u64);
    }
}

#[tokio::test]
async fn a_data_set_that_storescu_deflates_is_kept_deflated_and_one_without_its_end_is_not() {
    if !have("storescu") {
        return;
    }
    let store = Store::new();
    let collimator = store.pipeline().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 1).size(200, 200);
    let paths = study.write_to(folder.path()).unwrap();
    let output = dcmtk("storescu", collimator.dicom, &["-xd"], &[&paths[0]]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let event = events(&collimator).await.remove(0);
    assert_eq!(event.transfer_syntax_uid, uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN);
    let data_set = store.data_set(event.object.as_ref().unwrap());
    accepted_by_dcmftest(&store.files());
    let dumped = Command::new(path_of("dcmdump")).args(store.files()).output().unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));

    // All of its pixels are there, and the end of the deflated stream is not.
    let syntax = uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
    let mut scu = Scu::for_class(collimator.dicom, MR, syntax).await;
    let sop = event.sop_instance_uid.as_str();
    let answer = scu.store(1, MR, sop, &without_end(&data_set)).await;
    assert_eq!((answer.status, answer.comment.contains("middle of an element")), (0xc000, true));
    assert_eq!(scu.store(1, MR, sop, &data_set).await.status, 0);
    scu.release().await;
    assert_eq!(store.files().len(), 2);
}

/// The same data set in a deflated stream that is flushed and does not end.
fn without_end(deflated: &[u8]) -> Vec<u8> {
    use std::io::{Read as _, Write as _};
    let mut data_set = Vec::new();
    flate2::read::DeflateDecoder::new(deflated).read_to_end(&mut data_set).unwrap();
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&data_set).unwrap();
    encoder.flush().unwrap();
    let mut deflated = encoder.get_ref().clone();
    deflated.resize(deflated.len().next_multiple_of(2), 0);
    deflated
}

#[tokio::test]
async fn a_file_is_synced_and_named_before_its_event_and_its_event_before_the_answer() {
    if !have("strace") {
        return;
    }
    let store = Store::new();
    let services = Services::start_with(&store.settings()).await;
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let process = services.ingest.id().to_string();
    let calls = "trace=fdatasync,fsync,rename,renameat,renameat2,sendto,write,writev,sendmsg";
    let output = trace.display().to_string();
    let arguments = ["-f", "-y", "-s", "4096", "-o", &output, "-e", calls, "-p", &process];
    let mut strace = Process::start_with(Path::new("strace"), &arguments, folder.path(), &[]);
    let is_traced = eventually("strace to trace it", async || match strace.printed() {
        said if said.contains("Operation not permitted") => Some(false),
        said => said.contains("attached").then_some(true),
    });
    if !is_traced.await {
        skip("no process can be traced here");
        return;
    }
    let mut scu = Scu::for_class(services.dicom, MR, EXPLICIT).await;
    let data_set = in_syntax(&instance("2.25.70", "2.25.71", 7), EXPLICIT);
    assert_eq!(scu.store(1, MR, "2.25.71", &data_set).await.status, 0);
    scu.release().await;
    strace.signal("INT");
    strace.ended().await;
    let traced = fs::read_to_string(trace).unwrap();
    let lines: Vec<_> = traced.lines().collect();
    // Where a call begins and where it ends: in a line of its own, if another thread comes in between.
    let place = |what: &str, is_it: &dyn Fn(&str) -> bool| {
        let begin = lines.iter().position(|line| is_it(line));
        let begin = begin.unwrap_or_else(|| panic!("no {what} in {traced}"));
        if !lines[begin].contains("<unfinished") {
            return (begin, begin);
        }
        let thread = lines[begin].split(' ').next().unwrap();
        let is_end = |line: &&str| line.starts_with(thread) && line.contains(" resumed>");
        (begin, begin + lines[begin..].iter().position(is_end).unwrap())
    };
    let key = events(&services).await.remove(0).object.unwrap().key;
    let (shard, name) = key.rsplit_once('/').unwrap();
    let file_synced =
        |line: &str| line.contains("fdatasync(") && line.contains(&format!("{name}.part"));
    let named = |line: &str| line.contains("rename") && line.contains(name);
    let folder_synced = |line: &str| line.contains("fsync(") && line.contains(&format!("{shard}>"));
    let published = |line: &str| line.contains("HPUB dicom.instance.stored.");
    // C-STORE-RSP (PS3.7 section 9.3.1.2): its Command Field, 0x8001, in implicit VR little endian.
    let answered = |line: &str| line.contains(r"\0\0\0\1\2\0\0\0\1\200");
    let order = [
        place("fdatasync of the file", &file_synced),
        place("rename", &named),
        place("fsync of the folder", &folder_synced),
        place("publish", &published),
        place("C-STORE-RSP", &answered),
    ];
    assert!(order.is_sorted_by(|(_, end), (begin, _)| end < begin), "{order:?} in {traced}");
}

#[tokio::test]
async fn a_receiver_has_the_names_of_its_folders_on_disk_though_an_earlier_one_made_them() {
    if !have("strace") {
        return;
    }
    let (store, folder, nats_addr) = (Store::new(), tempfile::tempdir().unwrap(), free_addr());
    let spool = store.folder.path().join("spool");
    for shard in 0..=255 {
        fs::create_dir_all(spool.join(format!("node/{shard:02x}"))).unwrap();
    }
    let _nats = nats_server(&nats_conf(), folder.path(), nats_addr.port(), 0).await;
    let url = format!("nats://{nats_addr}");
    let settings = [("NATS_URL", &*url), ("NODE_NAME", "node")];
    let settings = with(with(test_settings(folder.path()), &settings), &store.settings());
    let (trace, ingest) = (folder.path().join("trace"), service("ingest").await);
    // With -D the receiver is our child, and ends with it.
    let (trace, ingest) = (trace.to_str().unwrap(), ingest.to_str().unwrap());
    let arguments = ["-D", "-f", "-y", "-e", "trace=fsync", "-o", trace, ingest];
    let mut process =
        Process::start_with(Path::new("strace"), &arguments, folder.path(), &settings);
    let is_traced = eventually("the receiver", async || match process.printed() {
        said if said.contains("Operation not permitted") => Some(false),
        said => said.contains("ingest listens").then_some(true),
    });
    if !is_traced.await {
        skip("no process can be traced here");
        return;
    }
    for folder in [spool.join("node"), spool, store.folder.path().to_owned()] {
        let synced = format!("{}>", folder.display());
        eventually(&format!("fsync of {synced}"), async || {
            fs::read_to_string(trace).unwrap().contains(&synced).then_some(())
        })
        .await;
    }
    process.signal("TERM");
    process.ended().await;
}

#[test]
fn pseudonyms_and_a_store_do_not_start_together() {
    let (store, folder) = (Store::new(), tempfile::tempdir().unwrap());
    let key = folder.path().join("key");
    fs::write(&key, "thirty-two bytes that are known.").unwrap();
    for command in [&["check-config"][..], &[]] {
        let output = Command::new(COLLIMATOR)
            .args(command)
            .envs(test_settings(folder.path()))
            .envs(store.settings())
            .env("PSEUDONYMISE", "keyed")
            .env("PSEUDONYM_KEY_FILE", &key)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("PSEUDONYMISE=keyed and STORE_URL contradict each other"), "{said}");
        assert!(said.contains("patient's name"), "{said}");
    }
    assert!(store.files().is_empty());
}
