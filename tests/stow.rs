//! STOW-RS: instances that come by HTTP are received, kept, counted and complete as those that come by C-STORE.

use crate::harness::pipeline::{
    Ends, Process, address, free_addr, nats_conf, nats_server, service, test_settings, with,
};
use crate::harness::python::{packages, run};
use crate::harness::raw_http::{self, RawAnswer};
use crate::harness::{Collimator, Services, eventually};
use crate::keeping::{Store, events};
use crate::tokens::create;
use collimator::synthetic::SyntheticStudy;
use contract::event::{AssociationClosed, Ending, Reason};
use dicom_dictionary_std::tags;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const STUDIES: &str = "/dicom-web/studies";
const RELATED: &str = "multipart/related; type=\"application/dicom\"; boundary=\"a b/c\"";
const BOUNDARY: &str = "a b/c";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What others send by: the client of QIDO-RS, and what that is built on.
const CLIENT: [&str; 2] = ["dicomweb-client==0.61.2", "pydicom==3.0.1"];

/// Files as the parts of a body.
fn multipart(files: &[Vec<u8>]) -> Vec<u8> {
    let mut body = b"This is for people.\r\n".to_vec();
    for file in files {
        body.extend(format!("\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n").bytes());
        body.extend(file);
    }
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
    body
}

/// The instances of a study as files.
fn files(study: &SyntheticStudy) -> Vec<Vec<u8>> {
    let file = |image: dicom_object::FileDicomObject<dicom_object::InMemDicomObject>| {
        let mut file = Vec::new();
        image.write_all(&mut file).unwrap();
        file
    };
    study.instances().unwrap().into_iter().map(file).collect()
}

/// What follows the File Meta Information of a file.
fn data_set(file: &[u8]) -> &[u8] {
    let length = u32::from_le_bytes(file[140..144].try_into().unwrap()) as usize;
    &file[144 + length..]
}

fn post(api: &str, path: &str, body: Vec<u8>) -> RequestBuilder {
    Client::new().post(format!("{api}{path}")).header("Content-Type", RELATED).body(body)
}

/// Sends files, and gives the status and what is said of them.
async fn store(api: &str, path: &str, files: &[Vec<u8>]) -> (u16, Value) {
    let answer = post(api, path, multipart(files)).send().await.unwrap();
    let status = answer.status().as_u16();
    if [200, 202, 409].contains(&status) {
        assert_eq!(answer.headers()["content-type"], "application/dicom+json");
    }
    (status, answer.json().await.unwrap())
}

/// The instances in a sequence of an answer, each with its Failure Reason if it has one.
fn said(answer: &Value, sequence: &str) -> Vec<(String, u64)> {
    let items = answer[sequence]["Value"].as_array().into_iter().flatten();
    let item = |item: &Value| {
        let sop = item["00081155"]["Value"][0].as_str().unwrap_or_default().to_owned();
        (sop, item["00081197"]["Value"][0].as_u64().unwrap_or_default())
    };
    items.map(item).collect()
}

const FAILED: &str = "00081198";
const STORED: &str = "00081199";
const OTHER_FAILURES: &str = "0008119A";

/// The ends of the associations so far.
async fn ends(pipeline: &Ends) -> Vec<AssociationClosed> {
    let all = pipeline.events("INSTANCES").await;
    let is_end = |subject: &str| {
        subject.starts_with("dicom.association.released.")
            || subject.starts_with("dicom.association.aborted.")
    };
    let ends = all.iter().filter(|event| is_end(&event.subject));
    ends.map(|event| serde_json::from_slice(&event.payload).unwrap()).collect()
}

/// The end of the one association that there is.
async fn end(pipeline: &Ends) -> AssociationClosed {
    eventually("the end of an association", async || ends(pipeline).await.into_iter().next()).await
}

const SEND: &str = r#"
import json, pathlib, sys, warnings
import pydicom
from dicomweb_client.api import DICOMwebClient
warnings.simplefilter("ignore")
client = DICOMwebClient(url=sys.argv[1])
paths = sorted(pathlib.Path(sys.argv[2]).rglob("*.dcm"))
response = client.store_instances([pydicom.dcmread(path) for path in paths])
stored = [str(item.ReferencedSOPInstanceUID) for item in response.ReferencedSOPSequence]
assert "FailedSOPSequence" not in response, response
print(json.dumps(stored))
"#;

async fn dicomweb_client_stores_with(settings: &[(&'static str, &str)]) {
    let Some(packages) = packages("stow", &CLIENT).await else { return };
    let collimator = Collimator::start_with(settings).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3).series("CT", 2).series("SR", 1);
    let paths = study.write_to(folder.path()).unwrap();
    let url = format!("{}/dicom-web", collimator.api);
    let printed = run(&packages, SEND, &[&url, folder.path().to_str().unwrap()]).await;
    let said: BTreeSet<String> = serde_json::from_str(&printed).unwrap();
    assert_eq!(said.len(), paths.len());
    for (series, count) in study.series_instance_uids().iter().zip([3, 2, 1]) {
        collimator.lists(series, count).await;
    }
    // The end of the request is what completed them.
    let completions = collimator.completions().await;
    assert_eq!(completions.len(), 3);
    assert!(completions.iter().all(|completion| completion.reason == Reason::Released));
    let end = end(&collimator).await;
    assert_eq!((end.ending, end.stores, end.acknowledged, end.failed), (Ending::Released, 6, 6, 0));
    let association = &end.association;
    assert_eq!(
        (&*association.calling_ae_title, &*association.called_ae_title),
        ("STOW", "COLLIMATOR")
    );
    assert_eq!(association.peer_address, "127.0.0.1");
    let events = events(&collimator).await;
    let sent: BTreeSet<String> = events.iter().map(|it| it.sop_instance_uid.to_string()).collect();
    assert_eq!(sent, said);
    collimator.tells("associations_total{outcome=\"released\"}", 1).await;
}

#[tokio::test]
async fn dicomweb_client_stores_series_that_are_complete_when_its_request_ends() {
    dicomweb_client_stores_with(&[]).await;
}

#[tokio::test]
async fn dicomweb_client_stores_series_where_instances_are_kept() {
    let place = Store::new();
    dicomweb_client_stores_with(&place.settings()).await;
    assert_eq!(place.files().len(), 6);
}

#[tokio::test]
async fn what_is_kept_is_what_was_sent_byte_for_byte() {
    let place = Store::new();
    let collimator = Collimator::start_with(&place.settings()).await;
    let study = SyntheticStudy::new().series("MR", 4);
    let files = files(&study);
    let (status, answer) = store(&collimator.api, STUDIES, &files).await;
    assert_eq!((status, said(&answer, STORED).len()), (200, 4), "{answer}");
    let url = format!("{}{STUDIES}/{}", collimator.api, study.study_instance_uid());
    assert_eq!(answer["00081190"], json!({"vr": "UR", "Value": [url]}));
    for item in answer[STORED]["Value"].as_array().unwrap() {
        let (url, sop) = (&item["00081190"]["Value"][0], &item["00081155"]["Value"][0]);
        let url = url.as_str().unwrap();
        assert!(url.ends_with(&format!("/instances/{}", sop.as_str().unwrap())), "{url}");
        eventually(&format!("{url} to be served"), async || {
            (reqwest::get(url).await.unwrap().status() == 200).then_some(())
        })
        .await;
    }
    let events = events(&collimator).await;
    assert_eq!((events.len(), place.files().len()), (4, 4));
    for (event, file) in events.iter().zip(&files) {
        assert!(place.data_set(event.object.as_ref().unwrap()) == data_set(file));
        assert_eq!(event.bytes, data_set(file).len() as u64);
    }
    // Again: nothing changes.
    assert_eq!(store(&collimator.api, STUDIES, &files).await.0, 200);
    collimator.lists(&study.series_instance_uids()[0], 4).await;
    collimator.tells("associations_total{outcome=\"released\"}", 2).await;
    assert_eq!(collimator.completions().await.len(), 1);
}

const SEND_ALL: &str = r#"
import json, sys
import pydicom, pydicom_files, requests
rows, body = [], b""
for path in pydicom_files.paths():
    content = path.read_bytes()
    row = {"file": path.name, "is_file": content[128:132] == b"DICM"}
    try:
        ds = pydicom.dcmread(path)
        row["sop"], row["series"] = str(ds.SOPInstanceUID), str(ds.get("SeriesInstanceUID", ""))
        row["meta"] = str(ds.file_meta.get("MediaStorageSOPInstanceUID", ""))
    except Exception as error:
        row["unread"] = type(error).__name__
    rows.append(row)
    body += b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n"
answer = requests.post(sys.argv[1], data=body + b"--xyz--", headers={"Content-Type": "multipart/related; boundary=xyz"})
print(json.dumps({"status": answer.status_code, "answer": answer.json(), "rows": rows}))
"#;

#[tokio::test]
async fn all_files_of_pydicom_are_one_request() {
    let Some(packages) = packages("stow", &CLIENT).await else { return };
    let place = Store::new();
    let collimator = Collimator::start_with(&place.settings()).await;
    let url = format!("{}{STUDIES}", collimator.api);
    let printed: Value = serde_json::from_str(&run(&packages, SEND_ALL, &[&url]).await).unwrap();
    let (answer, rows) = (&printed["answer"], printed["rows"].as_array().unwrap());
    assert_eq!(printed["status"], 202, "{answer}");
    let (stored, failed) = (said(answer, STORED), said(answer, FAILED));
    let others = said(answer, OTHER_FAILURES);
    assert_eq!(stored.len() + failed.len() + others.len(), rows.len());
    // What is no file, or says of no instance that it is it, can't be named.
    let has_no_head = |row: &&Value| row["is_file"] == false;
    assert!(others.len() >= rows.iter().filter(has_no_head).count(), "{others:?}");
    for (sop, code) in failed.iter().chain(&others) {
        assert!([0xa900, 0xc000, 0x0122].contains(code), "{sop} {code:#x}");
    }
    // Each that pydicom reads, that has a series, and whose two UIDs are the same, is stored.
    let of_stored: BTreeSet<&str> = stored.iter().map(|(sop, _)| &**sop).collect();
    let mut wanted = 0;
    for row in rows {
        let word = |key: &str| row[key].as_str().unwrap_or_default();
        let is_whole = word("file") != "rtplan_truncated.dcm";
        if is_whole
            && row["is_file"] == true
            && !word("sop").is_empty()
            && !word("series").is_empty()
            && word("meta") == word("sop")
        {
            wanted += 1;
            assert!(of_stored.contains(word("sop")), "{row} {failed:?}");
        }
    }
    assert!(wanted > 80, "{wanted}");
    let events = events(&collimator).await;
    assert_eq!((events.len(), place.files().len()), (stored.len(), stored.len()));
    for event in &events {
        place.data_set(event.object.as_ref().unwrap());
    }
    let end = end(&collimator).await;
    assert_eq!((end.acknowledged, end.stores), (stored.len() as u64, rows.len() as u64));
}

#[tokio::test]
async fn what_is_no_good_is_refused_alone_and_says_why() {
    let place = Store::new();
    let collimator = Collimator::start_with(&place.settings()).await;
    let good = files(&SyntheticStudy::new().series("MR", 2).size(16, 16));
    let other = files(&SyntheticStudy::new().series("MR", 1).size(16, 16)).remove(0);
    let cut = good[1][..good[1].len() - 5].to_vec();
    let study = SyntheticStudy::new().series("MR", 1).size(16, 16).extra(|data_set| {
        data_set.remove_element(tags::SERIES_INSTANCE_UID);
    });
    let unidentified = files(&study).remove(0);
    let nothing = b"no DICOM file".to_vec();
    let sent = [good[0].clone(), cut, unidentified, nothing.clone(), other.clone()];
    let (status, answer) = store(&collimator.api, STUDIES, &sent).await;
    assert_eq!(status, 202, "{answer}");
    let codes =
        |sequence| said(&answer, sequence).into_iter().map(|(_, code)| code).collect::<Vec<_>>();
    assert_eq!(codes(STORED), [0, 0], "{answer}");
    assert_eq!((codes(FAILED), codes(OTHER_FAILURES)), (vec![0xc000, 0xa900], vec![0xc000]));
    assert_eq!(place.files().len(), 2);
    let end = end(&collimator).await;
    assert_eq!((end.ending, end.stores, end.acknowledged, end.failed), (Ending::Released, 5, 2, 3));

    // None of them.
    let (status, answer) = store(&collimator.api, STUDIES, &[nothing]).await;
    assert_eq!((status, said(&answer, OTHER_FAILURES).len()), (409, 1));

    // Of a study that is named.
    let first = &events(&collimator).await[0];
    let named = format!("{STUDIES}/{}", first.study_instance_uid.as_ref().unwrap());
    let (status, answer) = store(&collimator.api, &named, &[good[1].clone(), other]).await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(said(&answer, FAILED)[0].1, 0xc409);
    assert_eq!(place.files().len(), 3);
    assert_eq!(events(&collimator).await.len(), 3);
}

#[tokio::test]
async fn a_request_that_is_none_is_refused_whole() {
    let collimator = Collimator::start().await;
    let good = files(&SyntheticStudy::new().series("MR", 1).size(16, 16));
    let body = || multipart(&good);
    let is = async |request: RequestBuilder| {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        answer.status().as_u16()
    };
    let typed = |media_type: &str| {
        let url = format!("{}{STUDIES}", collimator.api);
        Client::new().post(url).header("Content-Type", media_type).body(body())
    };
    assert_eq!(is(typed("application/dicom")).await, 415);
    assert_eq!(
        is(typed("multipart/related; type=\"application/dicom+json\"; boundary=b")).await,
        415
    );
    assert_eq!(is(typed("multipart/related; type=\"application/dicom\"")).await, 400);
    assert_eq!(is(post(&collimator.api, STUDIES, body()).header("Accept", "image/png")).await, 406);
    assert_eq!(is(post(&collimator.api, STUDIES, b"nothing of it".to_vec())).await, 400);
    assert_eq!(is(post(&collimator.api, STUDIES, multipart(&[]))).await, 400);
    assert!(
        [400, 422].contains(&is(post(&collimator.api, "/dicom-web/studies/1.%0a2", body())).await)
    );
    assert_eq!(is(post(&collimator.api, "/dicom-web/series", body())).await, 405);
    assert_eq!(events(&collimator).await.len(), 0);
}

/// A request as bytes, up to and with its head.
fn head(api: &str, lines: &str) -> String {
    let host = api.strip_prefix("http://").unwrap();
    format!("POST {STUDIES} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")
}

#[tokio::test]
async fn a_body_may_come_in_any_form() {
    let collimator = Collimator::start().await;
    let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let files = files(&study);
    let is_stored = |answer: Option<RawAnswer>| {
        let answer = answer.expect("no answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(said(&answer.json(), STORED).len(), 2);
    };
    let typed = format!("Content-Type: {RELATED}\r\nConnection: close\r\n");

    // In chunks, which end anywhere.
    let mut bytes =
        head(&collimator.api, &format!("{typed}Transfer-Encoding: chunked\r\n")).into_bytes();
    for chunk in multipart(&files).chunks(577) {
        bytes.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    }
    bytes.extend(b"0\r\n\r\n");
    is_stored(raw_http::say(&collimator.api, &bytes).await);

    // After it was asked for.
    let body = multipart(&files);
    let lines = format!("{typed}Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());
    let (reading, mut writing) = raw_http::connect(&collimator.api).await.into_split();
    let mut reading = tokio::io::BufReader::new(reading);
    writing.write_all(head(&collimator.api, &lines).as_bytes()).await.unwrap();
    assert_eq!(raw_http::answer(&mut reading).await.unwrap().status, 100);
    writing.write_all(&body).await.unwrap();
    is_stored(raw_http::answer(&mut reading).await);

    // With a boundary without quotes, no preamble, LF at the ends of lines, and something behind it.
    let mut body = Vec::new();
    for file in &files {
        body.extend(
            [&b"--xyz \ncontent-TYPE: application/dicom; transfer-syntax=*\n\n"[..], file, b"\r\n"]
                .concat(),
        );
    }
    body.extend(b"--xyz--\r\nThis is for people.\r\n");
    let typed = "Content-Type: Multipart/Related;boundary=xyz;type=application/dicom\r\nConnection: close\r\n";
    let lines = format!("{typed}Content-Length: {}\r\n", body.len());
    let bytes = [head(&collimator.api, &lines).into_bytes(), body].concat();
    is_stored(raw_http::say(&collimator.api, &bytes).await);

    collimator.lists(&study.series_instance_uids()[0], 2).await;
    collimator.tells("associations_total{outcome=\"released\"}", 3).await;
    assert_eq!(events(&collimator).await.len(), 6);
}

/// Sends the head of a request, and its body up to the middle of the last instance.
async fn begin(addr: &str, authorization: &str, files: &[Vec<u8>]) -> TcpStream {
    let body = multipart(files);
    let lines =
        format!("Content-Type: {RELATED}\r\n{authorization}Content-Length: {}\r\n", body.len());
    let mut socket = raw_http::connect(addr).await;
    socket.write_all(head(addr, &lines).as_bytes()).await.unwrap();
    let begun = body.len() - files.last().unwrap().len() / 2;
    socket.write_all(&body[..begun]).await.unwrap();
    socket
}

/// Waits until the first instance is kept, and the second is being written.
async fn begins_the_second(place: &Store) {
    let of = |extension: &str| {
        place
            .files()
            .iter()
            .filter(|path| path.extension().is_some_and(|it| it == extension))
            .count()
    };
    eventually("the second file", async || (of("dcm") == 1 && of("part") == 1).then_some(())).await;
}

/// Instances each of which is more than one buffer.
fn large(count: u32) -> Vec<Vec<u8>> {
    files(&SyntheticStudy::new().series("MR", count).size(900, 900))
}

#[tokio::test]
async fn nothing_stays_of_an_instance_that_is_cut_off_and_the_association_counts_as_aborted() {
    let place = Store::new();
    let collimator = Collimator::start_with(&place.settings()).await;
    let files = large(2);
    let socket = begin(&collimator.api, "", &files).await;
    begins_the_second(&place).await;
    drop(socket);
    let end = end(&collimator).await;
    assert_eq!((end.ending, end.stores, end.acknowledged, end.failed), (Ending::Aborted, 2, 1, 0));
    assert!(end.cause.as_ref().unwrap().contains("cut off"), "{end:?}");
    place.has(1).await;
    let events = events(&collimator).await;
    assert_eq!(events.len(), 1);
    assert!(place.data_set(events[0].object.as_ref().unwrap()) == data_set(&files[0]));
    collimator.tells("associations_total{outcome=\"aborted\"}", 1).await;

    // A body that ends before it is over.
    let body = multipart(&files);
    let cut = body[..body.len() - 10].to_vec();
    assert_eq!(post(&collimator.api, STUDIES, cut).send().await.unwrap().status(), 400);
    collimator.tells("associations_total{outcome=\"aborted\"}", 2).await;
    collimator.tells("open_associations", 0).await;
}

/// Settings of services between which STOW-RS is passed on. The file with the secret lives as long as the tests.
fn of_services(stow: SocketAddr) -> [(&'static str, &'static str); 3] {
    let folder = tempfile::tempdir().unwrap().keep();
    let file = folder.join("token");
    fs::write(&file, TOKEN).unwrap();
    [
        ("STOW_ADDR", stow.to_string().leak()),
        ("STOW_URL", format!("http://{stow}").leak()),
        ("STOW_TOKEN_FILE", file.display().to_string().leak()),
    ]
}

#[tokio::test]
async fn a_receiver_that_is_killed_in_the_middle_leaves_nothing_half() {
    let place = Store::new();
    let settings = [&of_services(free_addr())[..], &place.settings()].concat();
    let mut services = Services::start_with(&settings).await;
    let files = large(2);
    let mut socket = begin(&services.api, "", &files).await;
    begins_the_second(&place).await;
    services.ingest.kill();
    let (reading, _writing) = socket.split();
    let answer = raw_http::answer(&mut tokio::io::BufReader::new(reading)).await;
    assert!(answer.is_none_or(|answer| answer.status == 503));
    // Nor does anybody else take one.
    let refused = post(&services.api, STUDIES, multipart(&files)).send().await;
    assert!(
        refused.is_ok_and(
            |answer| answer.status() == 503 && answer.headers().contains_key("retry-after")
        )
    );
    services.start_ingest().await;
    place.has(1).await;
    let (status, answer) = store(&services.api, STUDIES, &files).await;
    assert_eq!(status, 200, "{answer}");
    let events = events(&services).await;
    let series = events[0].series_instance_uid.to_string();
    services.lists(&series, 2).await;
    for event in events {
        place.data_set(event.object.as_ref().unwrap());
    }
}

/// A receiver of its own, without an API.
struct Receiver {
    nats: Process,
    nats_url: String,
    stow: String,
    ready: String,
    _ingest: Process,
    _folder: tempfile::TempDir,
}

impl Receiver {
    async fn start(more: &[(&'static str, &str)]) -> Self {
        let (folder, nats_addr, admin) = (tempfile::tempdir().unwrap(), free_addr(), free_addr());
        let nats = nats_server(&nats_conf(), folder.path(), nats_addr.port(), 0).await;
        let [stow, _, token] = of_services("127.0.0.1:0".parse().unwrap());
        let (nats_url, admin_addr) = (format!("nats://{nats_addr}"), admin.to_string());
        let settings = [
            stow,
            token,
            ("NATS_URL", &nats_url),
            ("ADMIN_ADDR", &admin_addr),
            ("PUBLISH_TIMEOUT", "1s"),
        ];
        let settings = with(with(test_settings(folder.path()), &settings), more);
        let mut ingest = Process::start(&service("ingest").await, folder.path(), &settings);
        let listens = |line: &str| address(line, "ingest listens for STOW-RS");
        let stow = ingest.says("where it takes STOW-RS", listens).await;
        let ready = format!("http://{admin}/health/ready");
        let receiver = Self {
            nats,
            nats_url,
            stow: format!("http://{stow}"),
            ready,
            _ingest: ingest,
            _folder: folder,
        };
        receiver.is_ready().await;
        receiver
    }

    async fn is_ready(&self) {
        let ready = async || reqwest::get(&self.ready).await.ok().filter(|it| it.status() == 200);
        eventually("a receiver that is ready", ready).await;
    }

    fn post(&self, files: &[Vec<u8>]) -> RequestBuilder {
        post(&self.stow, STUDIES, multipart(files)).bearer_auth(TOKEN)
    }

    async fn stored(&self) -> usize {
        let nats = async_nats::connect(&self.nats_url).await.unwrap();
        let events = crate::harness::pipeline::events(&nats, "INSTANCES").await;
        events.iter().filter(|event| event.subject.starts_with("dicom.instance.stored.")).count()
    }
}

#[tokio::test]
async fn while_the_broker_stores_nothing_a_request_is_503_and_leaves_nothing() {
    let place = Store::new();
    let receiver = Receiver::start(&place.settings()).await;
    let files = files(&SyntheticStudy::new().series("MR", 3).size(16, 16));
    assert_eq!(receiver.post(&files[..1]).send().await.unwrap().status(), 200);
    receiver.nats.signal("STOP");
    for attempt in 0..3 {
        let answer = receiver.post(&files[1..]).send().await.unwrap();
        assert_eq!(answer.status(), 503, "{attempt}");
        assert_eq!(answer.headers()["retry-after"], "5");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let said = answer.text().await.unwrap();
        assert!(said.contains("NATS"), "{said}");
    }
    // The first that was tried may be stored; the others were not written.
    assert_eq!(place.files().len(), 2);
    receiver.nats.signal("CONT");
    receiver.is_ready().await;
    let again =
        async || (receiver.post(&files).send().await.unwrap().status() == 200).then_some(());
    eventually("the broker to be at work again", again).await;
    assert!(receiver.stored().await >= 4);
}

#[tokio::test]
async fn the_receiver_takes_nothing_without_the_secret() {
    let receiver = Receiver::start(&[]).await;
    let files = files(&SyntheticStudy::new().series("MR", 1).size(16, 16));
    let without = || post(&receiver.stow, STUDIES, multipart(&files));
    for request in [without(), without().bearer_auth("0"), without().basic_auth("a", Some(TOKEN))] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(!answer.text().await.unwrap().contains(TOKEN));
    }
    assert_eq!(receiver.stored().await, 0);
    // Whoever has it is believed.
    let request = receiver.post(&files).header("collimator-client-address", "192.0.2.7");
    let answer = request.header("collimator-client-name", "MR1").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let nats = async_nats::connect(&receiver.nats_url).await.unwrap();
    let events = crate::harness::pipeline::events(&nats, "INSTANCES").await;
    let stored = events.iter().find(|event| event.subject.starts_with("dicom.instance.stored."));
    let stored: Value = serde_json::from_slice(&stored.unwrap().payload).unwrap();
    assert_eq!(
        (&stored["PeerAddress"], &stored["CallingAETitle"]),
        (&json!("192.0.2.7"), &json!("MR1"))
    );
}

#[tokio::test]
async fn a_receiver_without_the_secret_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short");
    fs::write(&short, "sesame").unwrap();
    let short = short.to_str().unwrap();
    for (program, settings, named) in [
        ("ingest", &[("STOW_ADDR", "0.0.0.0:0")][..], "STOW_TOKEN_FILE"),
        ("ingest", &[("STOW_ADDR", "127.0.0.1:0"), ("STOW_TOKEN_FILE", short)], "openssl"),
        ("ingest", &[("STOW_TOKEN_FILE", short)], "STOW_TOKEN_FILE"),
        ("api", &[("STOW_URL", "http://127.0.0.1:1")], "STOW_TOKEN_FILE"),
    ] {
        let settings = with(test_settings(folder.path()), settings);
        let mut process = Process::start(&service(program).await, folder.path(), &settings);
        assert_ne!(process.ended().await, Some(0), "{program} {named}");
        let printed = process.printed();
        assert!(printed.contains(named) && !printed.contains("sesame"), "{printed}");
    }
}

#[tokio::test]
async fn a_token_needs_the_scope_and_its_name_is_the_calling_ae_title() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.toml");
    let (gateway, long) =
        (create(&file, "MR1", "store"), create(&file, "a name that is long", "store"));
    let other = create(&file, "else", "read,write,admin");
    let senders = folder.path().join("sources.toml");
    fs::write(&senders, "[[allow]]\nae_title = \"MR1\"\naddresses = [\"127.0.0.1\"]\n").unwrap();
    let settings =
        [("TOKENS_FILE", file.to_str().unwrap()), ("SOURCES_FILE", senders.to_str().unwrap())];
    let collimator = Collimator::start_with(&settings).await;
    let files = files(&SyntheticStudy::new().series("MR", 1).size(16, 16));
    let request = || post(&collimator.api, STUDIES, multipart(&files));
    assert_eq!(request().send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let wrong = request().bearer_auth("collimator_0").send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(request().bearer_auth(&other).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    // It has the scope, and is none of those who may send: it is STOW.
    let refused = request().bearer_auth(&long).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(refused.text().await.unwrap().contains("SOURCES_FILE"));
    assert!(ends(&collimator).await.is_empty());
    assert_eq!(request().bearer_auth(&gateway).send().await.unwrap().status(), StatusCode::OK);
    let end = end(&collimator).await;
    assert_eq!((&*end.association.calling_ae_title, end.acknowledged), ("MR1", 1));
    let url = format!("{}/series", collimator.api);
    assert_eq!(Client::new().get(url).bearer_auth(&gateway).send().await.unwrap().status(), 403);
    let printed = collimator.process.printed();
    assert!(!printed.contains(&gateway), "a token in the log");
}

#[tokio::test]
async fn there_are_no_more_requests_than_associations() {
    let collimator = Collimator::start_with(&[("MAX_ASSOCIATIONS", "1")]).await;
    let files = large(1);
    let socket = begin(&collimator.api, "", &files).await;
    collimator.tells("open_associations", 1).await;
    let answer = post(&collimator.api, STUDIES, multipart(&files)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(answer.text().await.unwrap().contains("MAX_ASSOCIATIONS"));
    drop(socket);
    collimator.tells("open_associations", 0).await;
    eventually("a place", async || {
        (store(&collimator.api, STUDIES, &files).await.0 == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_sender_that_falls_silent_is_given_up() {
    let place = Store::new();
    let settings = [&place.settings()[..], &[("RECEIVE_TIMEOUT", "1s")]].concat();
    let collimator = Collimator::start_with(&settings).await;
    let mut socket = begin(&collimator.api, "", &large(1)).await;
    let (reading, _writing) = socket.split();
    let answer = raw_http::answer(&mut tokio::io::BufReader::new(reading)).await.unwrap();
    assert_eq!(answer.status, 408);
    assert_eq!(end(&collimator).await.ending, Ending::Aborted);
    place.has(0).await;
}

/// The most memory that a process had, in bytes.
fn most_memory(process: u32) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"));
    let status = status.unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    most.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_large_instance_takes_no_more_memory_than_a_small_one() {
    const LENGTH: usize = 200 << 20;
    const PIECE: usize = 1 << 20;
    let place = Store::new();
    let collimator = Collimator::start_with(&place.settings()).await;
    let small = large(1).remove(0);
    assert_eq!(store(&collimator.api, STUDIES, std::slice::from_ref(&small)).await.0, 200);
    let before = most_memory(collimator.process.id());

    // The same with other pixels: their length is in the four bytes before them.
    let pixels = 900 * 900 * 2;
    let begin = small.len() - pixels;
    let mut start = multipart(&[small[..begin].to_vec()]);
    start.truncate(start.len() - format!("\r\n--{BOUNDARY}--\r\n").len());
    let length = start.len();
    start[length - 4..].copy_from_slice(&u32::try_from(LENGTH).unwrap().to_le_bytes());
    let end = format!("\r\n--{BOUNDARY}--");
    let lines = format!(
        "Content-Type: {RELATED}\r\nConnection: close\r\nContent-Length: {}\r\n",
        start.len() + LENGTH + end.len()
    );
    let (reading, mut writing) = raw_http::connect(&collimator.api).await.into_split();
    writing.write_all(head(&collimator.api, &lines).as_bytes()).await.unwrap();
    writing.write_all(&start).await.unwrap();
    let piece = vec![b'\r'; PIECE];
    for _ in 0..LENGTH / PIECE {
        writing.write_all(&piece).await.unwrap();
    }
    writing.write_all(end.as_bytes()).await.unwrap();
    let answer = raw_http::answer(&mut tokio::io::BufReader::new(reading)).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let grown = most_memory(collimator.process.id()).saturating_sub(before);
    println!("{} MiB more", grown >> 20);
    assert!(grown < 48 << 20, "{} MiB more", grown >> 20);
    let events = events(&collimator).await;
    assert!(events[1].bytes > LENGTH as u64);
}
