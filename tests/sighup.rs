//! SIGHUP: no service ends by it, whatever its settings.

use crate::harness::pipeline::{
    COLLIMATOR, Process, broker, free_addr, service, test_settings, with,
};
use crate::harness::{DEADLINE, eventually};
use std::path::Path;
use std::process::Command;
use tokio::net::TcpListener;
use tokio::time::timeout;

const NOTHING: &str = "there is no file to read again";

/// How often something was logged.
fn count(process: &Process, what: &str) -> usize {
    process.printed().matches(what).count()
}

/// Sends the signal and waits until the service has logged what it did once more.
async fn hangs_up(process: &Process, what: &str, lines: usize) {
    let before = count(process, what);
    process.signal("HUP");
    eventually(&format!("{what}, in {}", process.printed()), async || {
        (count(process, what) >= before + lines).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_service_without_files_to_read_again_goes_on_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(&folder.path().join("nats")).await;
    let settings = with(test_settings(folder.path()), &[("NATS_URL", &broker.url().to_string())]);
    let catalog = format!("sqlite://{}", folder.path().join("catalog.db").display());
    let settings = with(settings, &[("DATABASE_URL", &catalog)]);
    let log = [("indexer", "indexing"), ("ingest", "ingest starting"), ("api", "api listens")];
    for (name, works) in log {
        let mut process = Process::start(&service(name).await, folder.path(), &settings);
        process.says("that it works", |line| line.contains(works).then_some(())).await;
        for _ in 0..2 {
            hangs_up(&process, NOTHING, 1).await;
        }
        process.signal("TERM");
        assert_eq!(process.ended().await, Some(0), "{}", process.printed());
    }
}

#[tokio::test]
async fn a_service_that_waits_for_the_broker_takes_the_signal_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = format!("nats://{}", free_addr());
    let catalog = format!("sqlite://{}", folder.path().join("catalog.db").display());
    let settings = [("NATS_URL", nowhere.as_str()), ("DATABASE_URL", &catalog)];
    let settings = with(test_settings(folder.path()), &settings);
    for name in ["indexer", "ingest", "api"] {
        let mut process = Process::start(&service(name).await, folder.path(), &settings);
        // Before it has done anything: the log begins with what it can't do.
        let waits = |line: &str| line.contains("NATS can't be reached").then_some(());
        process.says("that it waits", waits).await;
        hangs_up(&process, NOTHING, 1).await;
        process.signal("TERM");
        assert_eq!(process.ended().await, Some(0), "{}", process.printed());
    }
}

#[tokio::test]
async fn the_whole_pipeline_takes_the_signal_from_its_first_line_on() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    let create = ["token", "create", "viewer", "--scope", "read", "--tokens-file"];
    let mut create = Command::new(COLLIMATOR).args(create).arg(&tokens).spawn().unwrap();
    assert!(create.wait().unwrap().success());
    for (more, what, lines) in [
        (vec![], NOTHING, 3),
        (vec![("TOKENS_FILE", tokens.to_str().unwrap())], "TOKENS_FILE was read again", 1),
    ] {
        let settings = with(test_settings(folder.path()), &more);
        let mut process = Process::start(Path::new(COLLIMATOR), folder.path(), &settings);
        process.says("its first line", |line| (!line.is_empty()).then_some(())).await;
        process.signal("HUP");
        process.says("that it is ready", |line| line.contains("is ready;").then_some(())).await;
        hangs_up(&process, what, lines).await;
        process.signal("TERM");
        assert_eq!(process.ended().await, Some(0), "{}", process.printed());
    }
}

#[tokio::test]
async fn a_command_ends_when_its_terminal_does() {
    let folder = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = test_settings(folder.path());
    settings.push(("COLLIMATOR_API", format!("http://{}", silent.local_addr().unwrap())));
    let arguments = ["series", "watch"];
    let mut watch =
        Process::start_with(Path::new(COLLIMATOR), &arguments, folder.path(), &settings);
    let _asks = timeout(DEADLINE, silent.accept()).await.expect("it does not ask").unwrap();
    watch.signal("HUP");
    watch.ended().await;
}
