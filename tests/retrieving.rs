//! WADO-RS: what is kept comes back byte for byte, and its metadata, frames and bulk data are what others make of it.

use crate::harness::python::{packages, run};
use crate::harness::raw_http::connect;
use crate::harness::tools::have;
use crate::harness::{Collimator, eventually};
use crate::tokens::create;
use collimator::synthetic::SyntheticStudy;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PACKAGES: [&str; 3] = ["pydicom==3.0.1", "pynetdicom==3.0.4", "dicomweb-client==0.61.2"];

/// A pipeline that keeps what it receives.
pub(crate) struct Kept {
    pub(crate) collimator: Collimator,
    folder: TempDir,
}

impl Kept {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(settings: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display());
        let mut all = vec![("STORE_URL", &*url), ("STORE_RESERVE", "0")];
        all.extend_from_slice(settings);
        let collimator = Collimator::start_with(&all).await;
        Self { collimator, folder }
    }

    /// A study that was received: its UID, and that of its series.
    pub(crate) async fn receives(&self, study: SyntheticStudy, count: u64) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let series = study.series_instance_uids().remove(0);
        self.collimator.receives(study.write_to(folder.path()).unwrap()).await;
        self.collimator.lists(&series, count).await;
        (study.study_instance_uid(), series)
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        files(&self.folder.path().join("spool"))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/dicom-web{path}", self.collimator.api)
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = Client::new().get(self.url(path));
        let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
        request.send().await.unwrap()
    }

    /// A retrieval begins, and the connection ends before its end.
    async fn is_cut_short(&self, path: &str, accept: &str) {
        let request = Client::new().get(self.url(path)).header("Accept", accept);
        match request.send().await {
            Ok(response) => {
                assert_eq!(response.status(), 200);
                let read = response.bytes().await;
                assert!(read.is_err(), "{path} as {accept} ended as if it were whole");
            }
            // It ended before its head was sent.
            Err(error) => assert!(error.is_request(), "{error}"),
        }
    }

    /// The paths of the instances of a series.
    pub(crate) async fn instances(&self, study: &str, series: &str) -> Vec<String> {
        let path = format!("/studies/{study}/series/{series}/instances");
        let found: Vec<Value> = self.get(&path, &[]).await.json().await.unwrap();
        let uid = |result: &Value| result["00080018"]["Value"][0].as_str().unwrap().to_owned();
        found.iter().map(uid).map(|uid| format!("{path}/{uid}")).collect()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|it| it == "dcm")).collect()
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Sends the files of pydicom, each as its author wrote it. Prints how many were stored.
const SEND: &str = r#"
import sys
import pydicom_files
host, port = sys.argv[1], int(sys.argv[2])
stored = set()
for path in pydicom_files.paths():
    try:
        ds = pydicom_files.instance(path)
        if pydicom_files.send(host, port, ds).Status == 0:
            stored.add(str(ds.SOPInstanceUID))
    except Exception:
        continue
print(len(stored))
"#;

/// Retrieves all that QIDO-RS finds, and compares it with the files of the store and with what pydicom makes of them.
const RETRIEVE: &str = r#"
import base64, collections, io, json, math, pathlib, sys, warnings, logging
import pydicom
from pydicom.encaps import generate_frames
from dicomweb_client.api import DICOMwebClient
warnings.simplefilter("ignore"); logging.disable(logging.CRITICAL)
pydicom.config.replace_un_with_known_vr = False
url, store = sys.argv[1], pathlib.Path(sys.argv[2])
client = DICOMwebClient(url=url)
kept = collections.defaultdict(set)
for path in (store / "spool").rglob("*.dcm"):
    raw = path.read_bytes()
    kept[str(pydicom.dcmread(io.BytesIO(raw), stop_before_pixels=True).file_meta.MediaStorageSOPInstanceUID)].add(raw)
counts, wrong, other_vrs = collections.Counter(), [], collections.Counter()

def parts(path, media_type):
    response = client._http_get(url + path, headers={"Accept": f'multipart/related; type="{media_type}"'})
    return [bytes(part) for part in client._decode_multipart_message(response, stream=False)]

def same(ours, theirs):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return all(same(ours.get(k, ""), theirs.get(k, "")) for k in ours.keys() | theirs.keys())
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        return math.isclose(ours, theirs, rel_tol=1e-6)
    return (ours or "") == (theirs or "") or str(ours or "").rstrip(" \0") == str(theirs or "").rstrip(" \0")

def compare(where, ours, ds, uris):
    tags = {f"{tag:08X}" for tag in ds.keys() if tag.element != 0}
    if tags != ours.keys():
        wrong.append(f"{where}: tags {sorted(tags ^ ours.keys())}")
    for key in sorted(tags & ours.keys()):
        mine = ours[key]
        if key == "00080005":
            continue
        try:
            element = ds[int(key, 16)]
        except Exception:
            counts["unread by pydicom"] += 1
            continue
        if "BulkDataURI" in mine:
            uris.append((mine["BulkDataURI"], element))
            continue
        if mine["vr"] == "SQ" and element.VR == "SQ":
            items = mine.get("Value", [])
            if len(items) != len(element.value):
                wrong.append(f"{where}/{key}: {len(items)} items, not {len(element.value)}")
            for place, (item, theirs) in enumerate(zip(items, element.value)):
                compare(f"{where}/{key}/{place}", item, theirs, uris)
            continue
        if mine["vr"] != element.VR:
            other_vrs[f"{mine['vr']} for {element.VR}"] += 1
            continue
        try:
            theirs = element.to_json_dict(None, 0)
        except Exception:
            counts["unwritable by pydicom"] += 1
            continue
        if mine.get("InlineBinary", "") != theirs.get("InlineBinary", ""):
            wrong.append(f"{where}/{key}: binary {mine} {theirs}")
        a, b = mine.get("Value", []), theirs.get("Value", [])
        a, b = ([] if all(v in (None, "") for v in values) else values for values in (a, b))
        if len(a) != len(b) or not all(same(x, y) for x, y in zip(a, b)):
            wrong.append(f"{where}/{key} {mine['vr']}: {json.dumps(a)[:200]} instead of {json.dumps(b, default=str)[:200]}")
        counts["attributes"] += 1

def frames_of(ds):
    count = int(ds.get("NumberOfFrames", 1) or 1)
    if ds.file_meta.TransferSyntaxUID.is_encapsulated:
        table = None
        if "ExtendedOffsetTable" in ds:
            table = (ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths)
        return list(generate_frames(ds.PixelData, number_of_frames=count, extended_offsets=table))
    samples = 2 if ds.PhotometricInterpretation == "YBR_FULL_422" else ds.SamplesPerPixel
    bits = ds.Rows * ds.Columns * samples * ds.BitsAllocated
    if bits % 8 and count > 1:
        return None
    length = (bits + 7) // 8
    pixels = ds.PixelData
    if not ds.file_meta.TransferSyntaxUID.is_little_endian and ds["PixelData"].VR == "OW":
        pixels = swapped(pixels, 2)
    frames = [pixels[place * length:(place + 1) * length] for place in range(count)]
    return frames if all(len(frame) == length for frame in frames) else None

def swapped(value, size):
    return b"".join(value[at:at + size][::-1] for at in range(0, len(value), size))

def check_uri(where, uri, element, ds):
    value = element.value
    if not isinstance(value, bytes):
        counts["bulk text or numbers"] += 1
        return
    got = client.retrieve_bulkdata(uri)
    if element.tag == 0x7FE00010 and ds.file_meta.TransferSyntaxUID.is_encapsulated:
        expected = frames_of(ds)
    else:
        if not ds.file_meta.TransferSyntaxUID.is_little_endian and element.VR == "OW":
            value = swapped(value, 2)
        expected = [value]
    if [bytes(one) for one in got] != expected:
        wrong.append(f"{where}: bulk data {uri}: {[len(x) for x in got]} instead of {[len(x) for x in expected]}")
    counts["bulk data"] += 1

def check_frames(where, study, series, sop, ds):
    expected = frames_of(ds)
    if expected is None:
        counts["without whole frames"] += 1
        return
    numbers = list(range(1, len(expected) + 1))
    try:
        got = client.retrieve_instance_frames(study, series, sop, numbers)
    except Exception as error:
        wrong.append(f"{where}: frames: {error}")
        return
    if [bytes(one) for one in got] != expected:
        wrong.append(f"{where}: frames {[len(x) for x in got][:3]} instead of {[len(x) for x in expected][:3]}")
    last = client.retrieve_instance_frames(study, series, sop, [len(expected)])
    if [bytes(one) for one in last] != expected[-1:]:
        wrong.append(f"{where}: the last frame")
    counts["frames"] += len(expected)
    counts["encapsulated" if ds.file_meta.TransferSyntaxUID.is_encapsulated else "native"] += 1

instances, offset = [], 0
while page := client.search_for_instances(limit=100, offset=offset):
    instances += page
    offset += len(page)
by_series = collections.defaultdict(list)
for one in instances:
    value = lambda tag: (one[tag].get("Value") or [""])[0]
    study, series, sop = value("0020000D"), value("0020000E"), value("00080018")
    if value("00080056") != "ONLINE":
        wrong.append(f"{sop}: {value('00080056')}")
    if not study:
        counts["without a study"] += 1
        continue
    if value("00081190") != f"{url}/studies/{study}/series/{series}/instances/{sop}":
        wrong.append(f"{sop}: {value('00081190')}")
    by_series[(study, series)].append(sop)
syntaxes = set()
for (study, series), sops in by_series.items():
    place = f"/studies/{study}/series/{series}"
    files = parts(place, "application/dicom")
    for ds in client.retrieve_series(study, series):
        counts["datasets"] += 1
    read = {}
    for raw in files:
        ds = pydicom.dcmread(io.BytesIO(raw))
        sop = str(ds.file_meta.MediaStorageSOPInstanceUID)
        read[sop] = (raw, ds)
        if raw not in kept[sop]:
            wrong.append(f"{sop}: no such file in the store")
        counts["files"] += 1
    if sorted(read) != sorted(sops):
        wrong.append(f"{series}: {sorted(read)} instead of {sorted(sops)}")
    metadata = {one["00080018"]["Value"][0]: one for one in client.retrieve_series_metadata(study, series)}
    if sorted(metadata) != sorted(sops):
        wrong.append(f"{series}: metadata of {sorted(metadata)} instead of {sorted(sops)}")
    for sop in sops:
        raw, ds = read[sop]
        syntaxes.add(str(ds.file_meta.TransferSyntaxUID))
        [alone] = parts(f"{place}/instances/{sop}", "application/dicom")
        if alone != raw:
            wrong.append(f"{sop}: alone it is another file")
        client.retrieve_instance(study, series, sop)
        where, uris = f"{sop} ({ds.file_meta.TransferSyntaxUID.name})", []
        compare(where, metadata.get(sop, {}), ds, uris)
        for uri, element in uris:
            check_uri(where, uri, element, ds)
        if "PixelData" in ds:
            check_frames(where, study, series, sop, ds)
print(json.dumps({"counts": counts, "wrong": wrong, "vrs": other_vrs, "syntaxes": len(syntaxes)}))
"#;

#[tokio::test]
async fn what_pydicom_has_comes_back_as_it_was_kept_with_its_metadata_frames_and_bulk_data() {
    let Some(packages) = packages("retrieving", &PACKAGES).await else { return };
    let kept = Kept::start().await;
    let dicom = kept.collimator.dicom;
    let (host, port) = (dicom.ip().to_string(), dicom.port().to_string());
    let stored: u64 = run(&packages, SEND, &[&host, &port]).await.trim().parse().unwrap();
    assert!(stored > 60, "{stored}");
    eventually("all instances in the catalogue", async || {
        let found = kept.get("/instances?limit=1&offset=1000000", &[]).await;
        drop(found);
        let mut count = 0;
        loop {
            let page = kept.get(&format!("/instances?limit=1000&offset={count}"), &[]).await;
            if page.status() == StatusCode::NO_CONTENT {
                break;
            }
            count += page.json::<Vec<Value>>().await.unwrap().len() as u64;
        }
        (count == stored).then_some(())
    })
    .await;
    let folder = kept.folder.path().display().to_string();
    let printed = run(&packages, RETRIEVE, &[&kept.url(""), &folder]).await;
    let said: Value = serde_json::from_str(&printed).unwrap();
    println!("{}: {} in {} transfer syntaxes", said["counts"], said["vrs"], said["syntaxes"]);
    let wrong: Vec<&str> =
        said["wrong"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), said["counts"]);
    let count = |what: &str| said["counts"][what].as_u64().unwrap_or_default();
    assert!(count("files") > 60 && count("files") == count("datasets"), "{said}");
    assert!(count("attributes") > 3000 && count("bulk data") > 50, "{said}");
    assert!(count("native") > 20 && count("encapsulated") >= 15, "{said}");
    assert!(said["syntaxes"].as_u64().unwrap() >= 8, "{said}");
}

#[tokio::test]
async fn one_file_has_a_tag_and_ranges_and_several_are_an_archive_that_python_opens() {
    let kept = Kept::start().await;
    let (study, series) =
        kept.receives(SyntheticStudy::new().series("MR", 3).size(64, 64), 3).await;
    let path = kept.instances(&study, &series).await.remove(0);
    let dicom = ("Accept", "application/dicom");
    let whole = kept.get(&path, &[dicom]).await;
    assert_eq!(whole.status(), 200);
    let expected = "application/dicom; transfer-syntax=1.2.840.10008.1.2.1";
    assert_eq!(header(&whole, "content-type"), expected);
    let (tag, length) = (header(&whole, "etag").to_owned(), whole.content_length().unwrap());
    let whole = whole.bytes().await.unwrap();
    assert_eq!(whole.len() as u64, length);
    let file = kept.files().into_iter().find(|file| fs::read(file).unwrap() == whole).unwrap();
    let hash = blake3::hash(&fs::read(&file).unwrap()).to_hex();
    assert_eq!(tag, format!("\"{}\"", &hash[..32]));

    let part = kept.get(&path, &[dicom, ("Range", "bytes=128-131")]).await;
    assert_eq!(part.status(), 206);
    assert_eq!(header(&part, "content-range"), format!("bytes 128-131/{length}"));
    assert_eq!(part.bytes().await.unwrap(), "DICM");
    let end = kept.get(&path, &[dicom, ("Range", "bytes=-5"), ("If-Range", &tag)]).await;
    assert_eq!(end.status(), 206);
    assert_eq!(end.bytes().await.unwrap(), whole[whole.len() - 5..]);
    let other = kept.get(&path, &[dicom, ("Range", "bytes=-5"), ("If-Range", "\"x\"")]).await;
    assert_eq!((other.status().as_u16(), other.content_length()), (200, Some(length)));
    let beyond = kept.get(&path, &[dicom, ("Range", &format!("bytes={length}-"))]).await;
    assert_eq!(beyond.status(), 416);
    assert_eq!(header(&beyond, "content-range"), format!("bytes */{length}"));
    let known = kept.get(&path, &[dicom, ("If-None-Match", &format!("\"y\", {tag}"))]).await;
    assert_eq!((known.status().as_u16(), header(&known, "etag")), (304, &*tag));
    let head = Client::new().head(kept.url(&path)).header("Accept", dicom.1).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), header(&head, "content-length")),
        (200, &*length.to_string())
    );

    // The metadata of each level has a tag of its own, which lasts until something comes.
    for level in [&path, &format!("/studies/{study}/series/{series}"), &format!("/studies/{study}")]
    {
        let first = kept.get(&format!("{level}/metadata"), &[]).await;
        let tag = header(&first, "etag").to_owned();
        assert_eq!(header(&first, "content-type"), "application/dicom+json");
        let read: Vec<Value> = first.json().await.unwrap();
        assert_eq!(read.len(), if level == &path { 1 } else { 3 });
        let again = kept.get(&format!("{level}/metadata"), &[("If-None-Match", &tag)]).await;
        assert_eq!(again.status(), 304, "{level}");
    }

    // Names that lead to nothing, and forms that there are none of.
    for (path, accept, status) in [
        ("/studies/1.2.3", "*/*", 404),
        (&*format!("/studies/{study}/series/1.2"), "*/*", 404),
        (&*format!("/studies/1.2/series/{series}"), "*/*", 404),
        (&*format!("/studies/{study}/series/{series}/instances/1.2"), "*/*", 404),
        (&*format!("{path}/frames/2"), "*/*", 404),
        (&*format!("{path}/frames/0"), "*/*", 404),
        (&*format!("{path}/frames/x"), "*/*", 400),
        (&*format!("{path}/bulkdata/00100010/1/00100010"), "*/*", 404),
        (&*format!("{path}/bulkdata/../../x"), "*/*", 404),
        (&*path, "image/png", 406),
        (
            &*path,
            "multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2.4.50",
            406,
        ),
        (&*format!("/studies/{study}"), "application/dicom", 406),
        (&*format!("{path}/frames/1"), "multipart/related; type=\"image/jpeg\"", 406),
        (&*format!("{path}/metadata"), "application/dicom+xml", 406),
        (
            &*path,
            "multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2.1",
            200,
        ),
        (&*path, "", 200),
    ] {
        let response = kept.get(path, &[("Accept", accept)]).await;
        assert_eq!(response.status(), status, "{path} {accept}");
    }

    if !have("python3") {
        return;
    }
    let archive = kept.get(&format!("/studies/{study}"), &[("Accept", "application/zip")]).await;
    assert_eq!(
        (archive.status().as_u16(), header(&archive, "content-type")),
        (200, "application/zip")
    );
    let zip = kept.folder.path().join("study.zip");
    fs::write(&zip, archive.bytes().await.unwrap()).unwrap();
    let unpacked = tempfile::tempdir().unwrap();
    let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nz.extractall(sys.argv[2])\nprint(len(z.namelist()))";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(&zip)
        .arg(unpacked.path())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3\n");
    let contents = |paths: Vec<PathBuf>| {
        let mut contents: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        contents.sort();
        contents
    };
    let in_folder = files(&unpacked.path().join(&series));
    assert!(contents(in_folder) == contents(kept.files()));
}

#[tokio::test]
async fn a_file_that_is_gone_or_short_is_never_a_whole_answer() {
    let kept = Kept::start().await;
    let (study, series) =
        kept.receives(SyntheticStudy::new().series("MR", 3).size(64, 64), 3).await;
    let paths = kept.instances(&study, &series).await;
    let last = kept.get(&paths[2], &[("Accept", "application/dicom")]).await.bytes().await.unwrap();
    let is_last = |file: &PathBuf| fs::read(file).unwrap() == last;
    let file = kept.files().into_iter().find(is_last).unwrap();
    let series = format!("/studies/{study}/series/{series}");
    for length in [last.len() as u64 - 1, 0] {
        let opened = fs::File::options().write(true).open(&file).unwrap();
        opened.set_len(length).unwrap();
        kept.is_cut_short(&series, "*/*").await;
        kept.is_cut_short(&series, "application/zip").await;
        kept.is_cut_short(&format!("{series}/metadata"), "application/dicom+json").await;
        for path in ["", "/metadata", "/frames/1", "/bulkdata/7FE00010"] {
            let alone = kept.get(&format!("{}{path}", paths[2]), &[]).await;
            assert_eq!(alone.status(), 500, "{path}");
            let problem = alone.text().await.unwrap();
            assert!(problem.contains("instance store") && !problem.contains("spool"), "{problem}");
        }
    }
    fs::remove_file(&file).unwrap();
    kept.is_cut_short(&series, "*/*").await;
    assert_eq!(kept.get(&paths[2], &[]).await.status(), 500);
    let printed = kept.collimator.process.printed();
    assert!(printed.contains("a retrieval ended in the middle"), "{printed}");
    assert!(!printed.contains("Königin"), "a name in the log");
}

/// How many files of the store a process has open.
#[cfg(target_os = "linux")]
fn open_files(process: u32) -> usize {
    let opened = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let names = opened.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    names.filter(|name| name.extension().is_some_and(|it| it == "dcm")).count()
}

/// What a process has in memory, in bytes.
#[cfg(target_os = "linux")]
fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn clients_that_stop_reading_cost_little_and_hold_nobody_up_and_free_all_when_they_go() {
    const CLIENTS: usize = 40;
    const SIDE: u16 = 2048;
    let kept = Kept::start().await;
    let (study, series) =
        kept.receives(SyntheticStudy::new().series("CT", 4).size(SIDE, SIDE), 4).await;
    let process = kept.collimator.process.id();
    let path = kept.instances(&study, &series).await.remove(0);
    kept.get(&format!("/studies/{study}"), &[]).await.bytes().await.unwrap();
    let before = memory(process);
    let mut stopped = Vec::new();
    for client in 0..CLIENTS {
        let accept = ["multipart/related", "application/zip"][client % 2];
        let request = format!(
            "GET /dicom-web/studies/{study} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n\r\n"
        );
        let mut socket = connect(&kept.collimator.api).await;
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut begin = [0; 64];
        socket.read_exact(&mut begin).await.unwrap();
        assert!(begin.starts_with(b"HTTP/1.1 200"));
        stopped.push(socket);
    }
    assert_eq!(open_files(process), CLIENTS);
    // All files together have 32 MiB, and so would each client that were not waited for.
    let cost = memory(process).saturating_sub(before);
    println!("{} KiB for each client", cost / 1024 / CLIENTS as u64);
    assert!(cost < CLIENTS as u64 * 2 * 1024 * 1024, "{cost} bytes for {CLIENTS} clients");
    let alone = kept.get(&path, &[("Accept", "application/dicom")]).await.bytes().await.unwrap();
    assert!(alone.len() > usize::from(SIDE) * usize::from(SIDE));
    drop(stopped);
    eventually("all files to be closed", async || (open_files(process) == 0).then_some(())).await;
}

#[tokio::test]
async fn a_token_to_read_is_needed_and_each_access_is_in_the_audit_trail() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    let (reader, writer) = (create(&tokens, "viewer", "read"), create(&tokens, "ward", "write"));
    let settings = [
        ("TOKENS_FILE", tokens.to_str().unwrap()),
        ("PUBLIC_URL", "https://pacs.example/collimator"),
    ];
    let kept = Kept::start_with(&settings).await;
    let (files, study) = (tempfile::tempdir().unwrap(), SyntheticStudy::new().series("MR", 1));
    kept.collimator.receives(study.size(16, 16).write_to(files.path()).unwrap()).await;
    let client = Client::new();
    let get = async |path: &str, token: &str| {
        client.get(kept.url(path)).bearer_auth(token).send().await.unwrap()
    };
    let found: Vec<Value> = eventually("the instance", async || {
        let found = get("/instances", &reader).await;
        if found.status() == 200 { found.json().await.ok() } else { None }
    })
    .await;
    let retrieve = found[0]["00081190"]["Value"][0].as_str().unwrap().to_owned();
    let path = retrieve.strip_prefix("https://pacs.example/collimator/dicom-web").unwrap();
    for resource in ["", "/metadata", "/frames/1", "/bulkdata/7FE00010"] {
        let path = format!("{path}{resource}");
        assert_eq!(client.get(kept.url(&path)).send().await.unwrap().status(), 401, "{path}");
        assert_eq!(get(&path, &writer).await.status(), 403, "{path}");
        assert_eq!(get(&path, &reader).await.status(), 200, "{path}");
    }
    let put = client.put(kept.url(path)).bearer_auth(&reader).send().await.unwrap();
    assert_eq!(put.status(), 403);
    eventually("the access in the audit trail", async || {
        kept.collimator.events("AUDIT").await.into_iter().find(|message| {
            let text = String::from_utf8_lossy(&message.payload).into_owned();
            text.contains("DICOM Instances Accessed")
                && text.contains("viewer")
                && text.contains("/dicom-web/studies/")
                && text.contains("DEMO")
        })
    })
    .await;
}

#[tokio::test]
async fn without_a_store_nothing_is_retrieved_and_search_says_so() {
    let collimator = Collimator::start().await;
    let (folder, study) = (tempfile::tempdir().unwrap(), SyntheticStudy::new().series("MR", 1));
    let series = study.series_instance_uids().remove(0);
    let uid = study.study_instance_uid();
    collimator.receives(study.size(16, 16).write_to(folder.path()).unwrap()).await;
    collimator.lists(&series, 1).await;
    let found = reqwest::get(format!("{}/dicom-web/instances", collimator.api)).await.unwrap();
    let found: Vec<Value> = found.json().await.unwrap();
    assert_eq!(found[0]["00080056"]["Value"][0], "UNAVAILABLE");
    assert_eq!(found[0]["00081190"], serde_json::json!({"vr": "UR"}));
    let url = format!("{}/dicom-web/studies/{uid}", collimator.api);
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 404);
    assert!(answer.text().await.unwrap().contains("STORE_URL"));
}
