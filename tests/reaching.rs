//! How what is kept is reached: events say where, sources can be left out, and it is fetched and sent by HTTP.

use crate::harness::browser::Browser;
use crate::harness::pipeline::Ends;
use crate::harness::{Collimator, eventually};
use crate::keeping::Store;
use crate::tokens::create;
use collimator::synthetic::SyntheticStudy;
use contract::event::SeriesKept;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PUBLIC: &str = "https://pacs.example/collimator";

/// Sends files as this calling AE title.
fn send(collimator: &Collimator, calling_ae: &str, paths: &[PathBuf]) {
    let to = collimator.dicom.to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_collimator"));
    command.args(["send", "--to", &to, "--calling-ae", calling_ae]).args(paths);
    let sent = command.output().unwrap();
    assert!(sent.status.success(), "{}", text(&sent));
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Waits until a series was announced as kept with so many files, and so many instances without one.
async fn kept(pipeline: &Ends, series: &str, files: u64, without: u64) -> SeriesKept {
    eventually(&format!("{files} files of {series} to be kept"), async || {
        let events = pipeline.events("SERIES").await;
        let kept = events.iter().filter(|it| it.subject.starts_with("dicom.series.kept."));
        let kept = kept.filter(|it| it.subject.ends_with(&format!(".{series}")));
        let mut kept = kept.map(|it| serde_json::from_slice::<SeriesKept>(&it.payload).unwrap());
        kept.find(|it| (it.instances_kept, it.instances_without_file) == (files, without))
    })
    .await
}

async fn json(url: &str) -> Vec<Value> {
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_source_that_is_not_kept_is_received_and_announced_and_said_to_be_missing() {
    let (store, folder) = (Store::new(), tempfile::tempdir().unwrap());
    let sources = folder.path().join("sources.toml");
    fs::write(&sources, "[[source]]\nae_title = 'BACKUP'\nkeep = false\n").unwrap();
    let mut settings = store.settings().to_vec();
    settings.extend([("PUBLIC_URL", PUBLIC), ("SOURCES_FILE", sources.to_str().unwrap())]);
    let collimator = Collimator::start_with(&settings).await;
    // One series of both sources, and one of each.
    let study = SyntheticStudy::new().series("MR", 3).series("CT", 2).series("US", 1).size(16, 16);
    let paths = study.write_to(folder.path()).unwrap();
    let series = study.series_instance_uids();
    let of = |numbers: &[usize]| numbers.iter().map(|it| paths[*it].clone()).collect::<Vec<_>>();
    send(&collimator, "MR1", &of(&[0, 5]));
    send(&collimator, "BACKUP", &of(&[1, 2, 3, 4]));
    for (series, count) in series.iter().zip([3, 2, 1]) {
        collimator.lists(series, count).await;
    }
    assert_eq!(store.files().len(), 2);

    let below = format!("/dicom-web/studies/{}", study.study_instance_uid());
    let url = |series: &str| Some(format!("{PUBLIC}{below}/series/{series}"));
    for (series, without) in [(&series[0], 2), (&series[2], 0)] {
        assert_eq!(kept(&collimator, series, 1, without).await.retrieve_url, url(series));
    }
    for completion in collimator.completions().await {
        let uid = completion.series_instance_uid.as_str();
        let expected = url(uid).filter(|_| uid != series[1]);
        assert_eq!(completion.retrieve_url, expected, "{uid}");
    }
    // WADO-RS and QIDO-RS say the same.
    let api = format!("{}{below}", collimator.api);
    for (series, status) in series.iter().zip([206, 404, 200]) {
        let answer = reqwest::get(format!("{api}/series/{series}")).await.unwrap();
        assert_eq!(answer.status(), status, "{series}");
    }
    for (series, available) in series.iter().zip([1, 0, 1]) {
        let instances = json(&format!("{api}/series/{series}/instances")).await;
        for instance in &instances {
            let sop = instance["00080018"]["Value"][0].as_str().unwrap();
            let is_online = instance["00080056"]["Value"][0] == "ONLINE";
            let answer = reqwest::get(format!("{api}/series/{series}/instances/{sop}")).await;
            assert_eq!(answer.unwrap().status(), if is_online { 200 } else { 404 });
            assert_eq!(instance["00081190"]["Value"][0].is_string(), is_online);
        }
        let online = instances.iter().filter(|it| it["00080056"]["Value"][0] == "ONLINE");
        assert_eq!(online.count(), available, "{series}");
    }
    // So does the page: what is kept has a button.
    let Some(browser) = Browser::start().await else { return };
    let button = "document.querySelector('#one-download')";
    browser.resize(1000, 1100).await;
    browser.open(&format!("{}/#/series/{}", collimator.api, series[2])).await;
    browser.waits_for(&format!("!{button}.hidden")).await;
    browser.keeps("dashboard-series-kept").await;
    let href = browser.run(&format!("return {button}.href")).await;
    let zip = reqwest::get(href.as_str().unwrap()).await.unwrap();
    assert_eq!(zip.headers()["content-type"], "application/zip");
    assert!(zip.bytes().await.unwrap().starts_with(b"PK"));
    browser.run(&format!("location.hash = '#/series/{}'", series[1])).await;
    let title = "document.querySelector('#one-facts').innerText";
    browser.waits_for(&format!("{title}.includes('{}')", series[1])).await;
    assert_eq!(browser.run(&format!("return {button}.hidden")).await, true);
}

/// Runs the program with a token, if it is not empty, and gives its exit code and what it printed.
fn run(token: &str, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_collimator"));
    command.args(args).env_remove("COLLIMATOR_TOKEN");
    if !token.is_empty() {
        command.env("COLLIMATOR_TOKEN", token);
    }
    let done = command.output().unwrap();
    (done.status.code(), text(&done))
}

#[tokio::test]
async fn a_series_is_sent_by_stow_and_got_again_and_what_is_there_is_not_fetched_twice() {
    let (store, folder) = (Store::new(), tempfile::tempdir().unwrap());
    let tokens = folder.path().join("tokens.toml");
    let (reader, writer) = (create(&tokens, "viewer", "read"), create(&tokens, "MR1", "store"));
    let mut settings = store.settings().to_vec();
    settings.push(("TOKENS_FILE", tokens.to_str().unwrap()));
    let collimator = Collimator::start_with(&settings).await;
    let sent = folder.path().join("sent");
    fs::create_dir(&sent).unwrap();
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let mut paths = study.write_to(&sent).unwrap();
    let series = study.series_instance_uids().remove(0);
    // One that is refused: its data set ends in the middle of its pixel data.
    let whole = fs::read(&paths[2]).unwrap();
    fs::write(&paths[2], &whole[..whole.len() - 100]).unwrap();
    let send = |token: &str| run(token, &["send", "--to", &collimator.api, sent.to_str().unwrap()]);
    let (code, said) = send(&reader);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("scope"), "{said}");
    let (code, said) = send(&writer);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("sent 2 of 3 instances") && said.contains("Status 0xC000"), "{said}");
    fs::write(&paths[2], &whole).unwrap();
    let (code, said) = send(&writer);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("sent 3 of 3 instances"), "{said}");
    eventually("all instances in the store", async || (store.files().len() == 5).then_some(()))
        .await;

    let into = folder.path().join("got");
    let get = |token: &str, series: &str| {
        let into = into.to_str().unwrap();
        run(token, &["series", "get", series, "--into", into, "--api", &collimator.api])
    };
    let said = eventually("three instances", async || {
        let (code, said) = get(&reader, &series);
        (code == Some(0) && said.contains("3 instances in")).then_some(said)
    })
    .await;
    assert!(said.contains("were there"), "{said}");
    paths.sort();
    for path in &paths {
        let name = dicom_object::open_file(path).unwrap();
        let name = format!("{}.dcm", name.meta().media_storage_sop_instance_uid());
        let got = dicom_object::open_file(into.join(&name)).unwrap();
        let original = dicom_object::open_file(path).unwrap();
        assert_eq!(*got, *original);
    }
    // What is there and whole stays; what is damaged, and what is not there, comes again.
    let files = list(&into);
    assert_eq!(files.len(), 3, "{files:?}");
    fs::remove_file(&files[0]).unwrap();
    fs::write(&files[1], "half").unwrap();
    let (code, said) = get(&reader, &series);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 downloaded") && said.contains("1 were there"), "{said}");
    assert_eq!(list(&into), files);
    assert_ne!(fs::read(&files[1]).unwrap(), b"half");

    let (code, said) = get("", &series);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("COLLIMATOR_TOKEN"), "{said}");
    let (code, said) = get(&reader, "2.25.404");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("2.25.404"), "{said}");
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    files
}
