//! `collimator series`: on a terminal, in a pipe, and over a break of the connection.

use crate::harness::link::Link;
use crate::harness::pipeline::{COLLIMATOR, Process, free_addr, signal};
use crate::harness::tools::have;
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `collimator series` to its end.
fn series(api: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(COLLIMATOR);
    command.arg("series").args(arguments).env("COLLIMATOR_API", api).env_remove("COLUMNS");
    command.output().unwrap()
}

/// What a command printed, which must have succeeded without a word of complaint.
fn printed(output: Output) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a command said that failed, in one line.
fn complaint(output: Output, code: i32) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(code), 1), "{said}");
    said
}

/// Tells the pipeline of a series, which is complete at once.
async fn store(api: &str, number: usize) -> String {
    let uid = format!("1.2.840.{number}");
    let body = json!({
        "SeriesInstanceUID": uid, "PatientID": format!("P{number}"), "PatientName": "Roe^Jane",
        "StudyInstanceUID": "1.2.3", "InstancesCount": number
    });
    let client = reqwest::Client::new();
    let answer = client.post(format!("{api}/store")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    uid
}

#[tokio::test]
async fn a_list_has_every_page_and_only_what_was_asked_for() {
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    let completed = collimator.lists(&uid, 3).await["CompletedAt"].clone();
    // More than a page.
    for number in 1..=505 {
        store(&collimator.api, number).await;
    }
    let list = |arguments: &[&str]| {
        json_lines(&printed(series(&collimator.api, &[&["list"], arguments].concat())))
    };
    let all = list(&[]);
    assert_eq!(all, collimator.series().await, "as the API lists them");
    assert_eq!(all.len(), 506);
    assert_eq!(list(&["--limit", "2"])[..], all[..2]);
    assert_eq!(list(&["--limit", "503"])[..], all[..503]);
    assert_eq!(list(&["--modality", "MR"])[..], all[..1]);
    assert_eq!(list(&["--source", "dicom", "--state", "all"])[..], all[..1]);
    assert_eq!(list(&["--patient-id", "P50?"]).len(), 6);
    assert_eq!(list(&["--state", "receiving"]), [json!(null); 0]);
    let after = completed.as_str().unwrap();
    assert_eq!(list(&["--completed-after", after]).len(), 505);
    assert_eq!(list(&["--sort", "-FirstCompletedAt", "--limit", "1"])[0], all[505]);

    // Nobody wants to see more than the first: that is no failure.
    let first = format!("{COLLIMATOR} series list | head -n 1");
    let first = Command::new("bash")
        .args(["-o", "pipefail", "-c", &first])
        .env("COLLIMATOR_API", &collimator.api)
        .output();
    assert_eq!(json_lines(&printed(first.unwrap()))[..], all[..1]);
}

#[tokio::test]
async fn a_terminal_gets_a_table_that_fits_it() {
    if !have("script") {
        return;
    }
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    collimator.lists(&uid, 3).await;
    for (width, has) in [(60, false), (100, false), (200, true)] {
        let command = format!("stty rows 24 cols {width}; {COLLIMATOR} series list");
        let on_terminal = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env("COLLIMATOR_API", &collimator.api)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = printed(on_terminal).replace('\r', "");
        let [titles, row] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert!(titles.ends_with("SERIES") && row.ends_with(&uid), "{text}");
        assert!(row.chars().count() <= width, "{width}: {row}");
        assert_eq!(titles.contains("PATIENT ID"), has, "{width}: {titles}");
    }
    // And asked for in a pipe, without an end to its lines.
    let text = printed(series(&collimator.api, &["list", "--table"]));
    assert!(text.starts_with("COMPLETED (UTC)") && text.contains("MR series 1"), "{text}");
}

#[tokio::test]
async fn a_series_is_shown_with_its_completions() {
    let collimator = Collimator::start().await;
    let uid = store(&collimator.api, 7).await;
    let shown = printed(series(&collimator.api, &["show", &uid]));
    let [shown] = &json_lines(&shown)[..] else { panic!("{shown}") };
    assert_eq!((&shown["PatientID"], &shown["State"]), (&json!("P7"), &json!("complete")));
    assert_eq!(shown["History"][0]["Reason"], "stored");
    let twice = printed(series(&collimator.api, &["show", &uid, &uid]));
    assert_eq!(json_lines(&twice), [shown.clone(), shown.clone()], "a line each");
    let table = printed(series(&collimator.api, &["show", "--table", &uid]));
    assert!(table.contains("PatientName") && table.contains("Roe^Jane"), "{table}");
    assert!(table.contains("REVISION") && table.lines().last().unwrap().contains("stored"));

    let said = complaint(series(&collimator.api, &["show", "1.2.9"]), 1);
    assert!(said.contains("1.2.9: there is no such series"), "{said}");
}

#[tokio::test]
async fn what_can_not_be_asked_or_answered_is_one_clear_line() {
    let nobody = format!("http://{}", free_addr());
    for command in [&["list"][..], &["show", "1.2"], &["watch"]] {
        let said = complaint(series(&nobody, command), 1);
        assert!(said.contains(&nobody) && said.contains("COLLIMATOR_API"), "{said}");
        assert!(said.contains("refused") && said.contains("start `collimator`"), "{said}");
    }
    complaint(series("here", &["list"]), 2);
    let collimator = Collimator::start().await;
    let said = complaint(series(&collimator.api, &["list", "--completed-after", "soon"]), 2);
    assert!(said.contains("CompletedAfter must be a time"), "{said}");
    let said = complaint(series(&format!("{}/none", collimator.api), &["list"]), 1);
    assert!(said.contains("there is nothing at this path"), "{said}");
}

#[tokio::test]
async fn a_token_is_taken_from_the_environment_and_asked_for_where_it_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.toml").display().to_string();
    let create = ["token", "create", "shell", "--scope", "read"];
    let create = Command::new(COLLIMATOR).args(create).env("TOKENS_FILE", &file).output();
    let token = String::from_utf8(create.unwrap().stdout).unwrap();
    let collimator = Collimator::start_with(&[("TOKENS_FILE", &file)]).await;
    let said = complaint(series(&collimator.api, &["list"]), 1);
    assert!(said.contains("COLLIMATOR_TOKEN"), "{said}");
    let mut with_token = Command::new(COLLIMATOR);
    with_token.args(["series", "list"]).env("COLLIMATOR_API", &collimator.api);
    assert_eq!(printed(with_token.env("COLLIMATOR_TOKEN", token.trim()).output().unwrap()), "");
}

/// The series that a watcher has printed.
fn watched(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with('{')).collect();
    let uid = |series: Value| series["SeriesInstanceUID"].as_str().unwrap().to_owned();
    json_lines(&lines.join("\n")).into_iter().map(uid).collect()
}

#[tokio::test]
async fn a_watcher_sees_each_completion_once_though_its_connection_breaks() {
    let collimator = Collimator::start().await;
    let api = collimator.api.as_str();
    let link = Link::to(api.trim_start_matches("http://").parse().unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let environment = [("COLLIMATOR_API", format!("http://{}", link.addr))];
    let watch = ["series", "watch"];
    let mut watch = Process::start_with(Path::new(COLLIMATOR), &watch, folder.path(), &environment);
    // It listens at some time from now on.
    let mut stored = Vec::new();
    eventually("the first completion", async || {
        stored.push(store(api, stored.len() + 1).await);
        watched(&watch.printed()).first().map(drop)
    })
    .await;
    let last = stored.last().unwrap();
    eventually("all of them", async || watched(&watch.printed()).contains(last).then_some(()))
        .await;

    link.cut();
    watch.says("that it broke", |line| line.contains("trying again").then_some(())).await;
    signal(watch.id(), "STOP");
    stored.push(store(api, stored.len() + 1).await);
    eventually("the announcement", async || {
        (collimator.completions().await.len() == stored.len()).then_some(())
    })
    .await;
    signal(watch.id(), "CONT");
    stored.push(store(api, stored.len() + 1).await);
    let last = stored.last().unwrap();
    eventually("the latest", async || watched(&watch.printed()).contains(last).then_some(())).await;
    let seen = watched(&watch.printed());
    assert_eq!(seen[..], stored[stored.len() - seen.len()..], "each once and in order");
    watch.signal("INT");
    assert_eq!(watch.ended().await, Some(0), "{}", watch.printed());
}

#[tokio::test]
async fn who_waits_for_one_completion_need_not_wait_for_another() {
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let command = format!("{COLLIMATOR} series watch | head -n 1");
    let arguments = ["-o", "pipefail", "-c", &command];
    let environment = [("COLLIMATOR_API", collimator.api.clone())];
    let mut waits =
        Process::start_with(Path::new("/bin/bash"), &arguments, folder.path(), &environment);
    let mut stored = 0;
    eventually("the first completion", async || {
        stored += 1;
        store(&collimator.api, stored).await;
        watched(&waits.printed()).first().map(drop)
    })
    .await;
    assert_eq!(waits.ended().await, Some(0));
    assert_eq!(waits.printed().lines().count(), 1, "{}", waits.printed());
}
