//! `collimator doctor`: with the pipeline up, down, and hurt, and without a trace of its own.

use crate::harness::pipeline::{COLLIMATOR, free_addr, nats_conf, nats_server, nats_server_of};
use crate::harness::{Collimator, eventually};
use crate::old_nats::{OLD, OldBroker};
use async_nats::jetstream;
use async_nats::jetstream::stream::DiscardPolicy;
use collimator::synthetic::SyntheticStudy;
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A machine with a pipeline on it, or without: its settings.
struct Machine {
    folder: TempDir,
    settings: BTreeMap<&'static str, String>,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data").display().to_string();
        let mut settings = BTreeMap::from([
            ("DATA_DIR", data),
            ("QUIET_PERIOD", "1s".to_owned()),
            ("INSTANCES_MAX_BYTES", "64MiB".to_owned()),
        ]);
        for addr in ["DICOM_ADDR", "API_ADDR", "NATS_ADDR"] {
            settings.insert(addr, free_addr().to_string());
        }
        Self { folder, settings }
    }

    fn with(mut self, setting: &'static str, value: impl ToString) -> Self {
        self.settings.insert(setting, value.to_string());
        self
    }

    fn catalogue(&self) -> PathBuf {
        self.folder.path().join("data/catalog.db")
    }

    async fn start(&self) -> Collimator {
        let settings: Vec<_> =
            self.settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        Collimator::start_with(&settings).await
    }

    fn doctor(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(COLLIMATOR);
        command.arg("doctor").args(arguments).current_dir(self.folder.path());
        command.env_remove("NATS_URL").envs(&self.settings).output().unwrap()
    }

    /// What the doctor finds: its exit code, and each check.
    fn examined(&self) -> (Option<i32>, Checks) {
        let output = self.doctor(&["--json"]);
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), Checks(report["checks"].as_array().unwrap().clone()))
    }
}

struct Checks(Vec<Value>);

impl Checks {
    /// The verdict of a check and all that it says.
    fn of(&self, check: &str) -> (String, String) {
        let found = self.0.iter().find(|found| found["check"] == check);
        let found = found.unwrap_or_else(|| panic!("no {check} in {:?}", self.0));
        (found["verdict"].as_str().unwrap().to_owned(), found.to_string())
    }

    #[track_caller]
    fn is(&self, check: &str, verdict: &str, says: &str) {
        let found = self.of(check);
        assert!(found.0 == verdict && found.1.contains(says), "{check}: {found:?}");
        assert_eq!(found.1.contains("\"do\":"), verdict != "ok", "what to do: {found:?}");
    }

    /// Nothing but the disk of the machine that runs the tests may be less than well.
    #[track_caller]
    fn are_well(&self) {
        for found in &self.0 {
            let of_the_disk =
                matches!(found["check"].as_str(), Some("disk" | "fsync" | "store" | "store fsync"));
            assert!(of_the_disk || found["verdict"] == "ok", "{found}");
        }
    }
}

/// All files below a folder, and how long they are.
fn files(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), path.metadata().unwrap().len())),
        }
    }
    found
}

#[test]
fn the_disk_of_the_instance_store_is_looked_at() {
    let machine = Machine::new();
    let store = machine.folder.path().join("store");
    let machine = machine.with("STORE_URL", format!("file://{}", store.display()));
    let (_, checks) = machine.examined();
    assert!(checks.of("store").1.contains(" free"), "{:?}", checks.0);
    assert!(checks.of("store fsync").1.contains("a sync of"), "{:?}", checks.0);
    let machine = machine.with("STORE_RESERVE", "4EiB");
    let (code, checks) = machine.examined();
    assert_eq!(code, Some(1));
    checks.is("store", "trouble", "less than STORE_RESERVE, 4.0 EiB");
    assert!(!store.exists(), "it leaves no trace");
}

#[tokio::test]
async fn a_pipeline_is_well_while_it_runs_and_after_it_was_stopped_or_killed() {
    let machine = Machine::new();
    let mut collimator = machine.start().await;
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let folder = tempfile::tempdir().unwrap();
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    collimator.lists(&uid, 3).await;
    let events = collimator.events("INSTANCES").await.len();
    let (code, checks) = machine.examined();
    assert_eq!(code, Some(0), "{:?}", checks.0);
    checks.are_well();
    checks.is("nats", "ok", "JetStream is on");
    checks.is("sync", "ok", "syncs each event");
    checks.is("streams", "ok", "of 64.0 MiB");
    checks.is("indexer", "ok", "has read everything");
    checks.is("clock", "ok", "the same as here");
    checks.is("catalogue", "ok", "open in an indexer");
    checks.is("dicom", "ok", "COLLIMATOR on");
    checks.is("api", "ok", "ready");
    assert_eq!(collimator.events("INSTANCES").await.len(), events, "it leaves no trace");
    let output = machine.doctor(&[]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.lines().all(|line| line.starts_with("ok ") || line.starts_with("warning ")));

    for signal in ["INT", "KILL"] {
        collimator.process.signal(signal);
        collimator.process.ended().await;
        let before = files(machine.folder.path());
        let (code, checks) = machine.examined();
        assert_eq!(code, Some(0), "{:?}", checks.0);
        checks.are_well();
        checks.is("nats", "ok", "not running");
        checks.is("catalogue", "ok", "is whole");
        checks.is("dicom", "ok", "is free");
        checks.is("api", "ok", "is free");
        if signal == "INT" {
            assert_eq!(files(machine.folder.path()), before, "it leaves no trace");
        }
        collimator = machine.start().await;
    }
    // And nothing that it did keeps the next start from its work.
    collimator.lists(&uid, 3).await;
}

#[tokio::test]
async fn a_machine_on_which_nothing_ever_ran_is_well_and_stays_empty() {
    let machine = Machine::new();
    let (code, checks) = machine.examined();
    assert_eq!(code, Some(0), "{:?}", checks.0);
    checks.is("catalogue", "ok", "is not there yet");
    assert_eq!(files(machine.folder.path()).len(), 0);
}

#[tokio::test]
async fn a_catalogue_that_is_none_or_newer_is_trouble() {
    let machine = Machine::new();
    let mut collimator = machine.start().await;
    collimator.process.signal("INT");
    collimator.process.ended().await;
    let options = SqliteConnectOptions::new().filename(machine.catalogue());
    let mut catalogue = SqliteConnection::connect_with(&options).await.unwrap();
    let later = "insert into _sqlx_migrations
        select 9999, description, installed_on, success, checksum, execution_time
        from _sqlx_migrations limit 1";
    sqlx::query(later).execute(&mut catalogue).await.unwrap();
    catalogue.close().await.unwrap();
    let (code, checks) = machine.examined();
    assert_eq!(code, Some(1));
    checks.is("catalogue", "trouble", "newer Collimator: version 9999");

    let mut damaged = std::fs::read(machine.catalogue()).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0xa5);
    std::fs::write(machine.catalogue(), damaged).unwrap();
    machine.examined().1.is("catalogue", "trouble", "put a backup in its place");
    std::fs::write(machine.catalogue(), [b'x'; 8192]).unwrap();
    let (code, checks) = machine.examined();
    assert_eq!(code, Some(1));
    checks.is("catalogue", "trouble", "file is not a database");
    let lines = String::from_utf8(machine.doctor(&[]).stdout).unwrap();
    let line = lines.lines().find(|line| line.contains("catalogue")).unwrap();
    assert!(line.starts_with("trouble") && line.contains("put a backup in its place"), "{line}");
}

#[tokio::test]
async fn ports_of_others_and_settings_that_can_not_be_read_are_trouble() {
    let [dicom, api, nats] = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let machine = Machine::new()
        .with("DICOM_ADDR", dicom.local_addr().unwrap())
        .with("API_ADDR", api.local_addr().unwrap())
        .with("NATS_ADDR", nats.local_addr().unwrap());
    let sources = machine.folder.path().join("sources.toml");
    std::fs::write(&sources, "[[source]]\nae_title = 'A'\nquiet_perod = '1s'\n").unwrap();
    let machine = machine.with("WEBHOOKS_FILE", sources.display());
    machine.examined().1.is("settings", "trouble", "WEBHOOKS_FILE");
    let machine = machine.with("SOURCES_FILE", sources.display());
    let (code, checks) = machine.examined();
    assert_eq!(code, Some(1));
    checks.is("settings", "trouble", "line 3: unknown field `quiet_perod`");
    checks.is("dicom", "trouble", "DICOM_ADDR");
    let (_, said) = checks.of("dicom");
    assert!(!said.contains("--"), "an option that the doctor does not have: {said}");
    checks.is("api", "trouble", "API_ADDR");
    checks.is("nats", "trouble", "NATS_ADDR");
}

#[tokio::test]
async fn a_broker_of_somebody_else_is_looked_at_for_what_the_promises_need() {
    let folder = tempfile::tempdir().unwrap();
    let lazy = folder.path().join("lazy.conf");
    let ours = std::fs::read_to_string(nats_conf()).unwrap();
    std::fs::write(&lazy, ours.replace("sync_interval: always", "sync_interval: 2m")).unwrap();
    let (addr, monitoring) = (free_addr(), free_addr());
    let url = format!("nats://{addr}");
    let _broker = nats_server(&lazy, folder.path(), addr.port(), monitoring.port()).await;
    let nats = eventually("the broker", async || async_nats::connect(&url).await.ok()).await;

    // Without NATS_URL it only stands in the way of the own one.
    let machine = Machine::new().with("NATS_ADDR", addr);
    machine.examined().1.is("nats", "trouble", "is not run by the collimator of");
    let machine = machine.with("NATS_URL", &url);
    let (code, checks) = machine.examined();
    assert_eq!(code, Some(0), "{:?}", checks.0);
    checks.is("nats", "ok", &url);
    checks.is("sync", "warning", "set NATS_MONITOR_URL");
    checks.is("streams", "warning", "INSTANCES, SERIES, DEAD, AUDIT");
    let machine = machine.with("NATS_MONITOR_URL", format!("http://{monitoring}"));
    machine.examined().1.is("sync", "warning", "sync_interval: always");

    let mut collimator = machine.start().await;
    let (_, checks) = machine.examined();
    checks.is("streams", "ok", "INSTANCES has");
    collimator.process.signal("INT");
    collimator.process.ended().await;
    let jetstream = jetstream::new(nats);
    let stream = jetstream.get_stream("INSTANCES").await.unwrap();
    let mut config = stream.cached_info().config.clone();
    (config.discard, config.max_bytes) = (DiscardPolicy::Old, 8 << 20);
    jetstream.update_stream(&config).await.unwrap();
    jetstream.publish("dicom.dead.unreadable", "?".into()).await.unwrap().await.unwrap();
    let (code, checks) = machine.examined();
    assert_eq!(code, Some(1));
    checks.is("streams", "trouble", "by its discard policy");
    checks.is("room", "warning", "INSTANCES may grow to 8.0 MiB");
    checks.is("indexer", "warning", "nobody reads");
    checks.is("dead", "warning", "1 message could not be processed");
    let nowhere = machine.with("NATS_URL", format!("nats://user:secret@{}", free_addr()));
    let output = nowhere.doctor(&[]);
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(lines.contains("can't be reached") && !lines.contains("secret"), "{lines}");
}

#[tokio::test]
async fn an_old_server_is_in_trouble_or_warned_of_where_it_is_allowed() {
    let broker = OldBroker::start().await;
    let running = Machine::new().with("NATS_URL", &broker.url);
    let server = nats_server_of(OLD).await;
    let to_run = Machine::new().with("NATS_SERVER", server.display());
    for machine in [running, to_run] {
        let checks = machine.examined().1;
        checks.is("nats", "trouble", "even when it could not sync them to disk");
        checks.is("nats", "trouble", "use nats-server 2.14.0 or newer, or set ALLOW_OLD_NATS=true");
        let checks = machine.with("ALLOW_OLD_NATS", "true").examined().1;
        checks.is("nats", "warning", "even when it could not sync them to disk");
        checks.is("nats", "warning", "use nats-server 2.14.0 or newer");
    }
}
