//! A nats-server that acknowledges what it could not sync to disk is refused, or warned of where it is allowed.

use crate::harness::eventually;
use crate::harness::pipeline::{
    COLLIMATOR, Process, free_addr, nats_conf, nats_server_of, run_nats_server, service,
    test_settings, with,
};
use collimator::embedded_nats::Pin;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The newest before 2.14 that is to be had.
pub const OLD: Pin = Pin {
    version: "2.12.8",
    sha256_x86_64: "a44100c5cff85f2eca9fe6ef18bb54bbe86ef12bf9a0c1cca9419fa41e75752d",
    sha256_aarch64: "3906e109710b9096b2c5ef6a9dc5a0872e7f941be8dc3c2a484129219525cf09",
};

/// All that connect to NATS.
const PROGRAMS: [&str; 4] = ["ingest", "indexer", "api", "collimator"];

/// A running one.
pub struct OldBroker {
    /// Where it is.
    pub url: String,
    _process: Process,
    folder: TempDir,
}

impl OldBroker {
    /// With an empty store.
    pub async fn start() -> Self {
        let (folder, addr) = (tempfile::tempdir().unwrap(), free_addr());
        let server = nats_server_of(OLD).await;
        let (conf, port) = (nats_conf(), addr.port());
        let _process = run_nats_server(&server, &conf, folder.path(), port, 0, &[]);
        let url = format!("nats://{addr}");
        eventually("the broker", async || async_nats::connect(&url).await.ok()).await;
        Self { url, _process, folder }
    }

    async fn runs(&self, program: &str, more: &[(&'static str, &str)]) -> Process {
        let folder = self.folder.path();
        let catalog = format!("sqlite://{}", folder.join("catalog.db").display());
        let ours = [("NATS_URL", &*self.url), ("DATABASE_URL", &*catalog)];
        let settings = with(with(test_settings(folder), &ours), more);
        Process::start(&program_of(program).await, folder, &settings)
    }
}

async fn program_of(name: &str) -> PathBuf {
    match name {
        "collimator" => PathBuf::from(COLLIMATOR),
        service_name => service(service_name).await,
    }
}

#[tokio::test]
async fn every_program_refuses_an_old_server_with_a_line_that_says_what_to_do() {
    let broker = OldBroker::start().await;
    for name in PROGRAMS {
        let mut program = broker.runs(name, &[]).await;
        assert_eq!(program.ended().await, Some(1), "{name}: {}", program.printed());
        let printed = program.printed();
        let line = printed.lines().find(|line| line.contains("nats-server 2.12.8 is too old"));
        let line = line.unwrap_or_else(|| panic!("{name}: {printed}"));
        let advice = "use nats-server 2.14.0 or newer, or set ALLOW_OLD_NATS=true";
        assert!(line.contains("ERROR") && line.contains(advice), "{name}: {printed}");
    }
}

#[tokio::test]
async fn every_program_warns_of_an_old_server_where_it_is_allowed_and_goes_on() {
    let broker = OldBroker::start().await;
    for name in PROGRAMS {
        let mut program = broker.runs(name, &[("ALLOW_OLD_NATS", "true")]).await;
        let warning = |line: &str| {
            let is_it = line.contains("WARN") && line.contains("nats-server 2.12.8 is old");
            is_it.then(|| line.to_owned())
        };
        let line = program.says("that the server is old", warning).await;
        assert!(line.contains("use nats-server 2.14.0 or newer"), "{name}: {line}");
        if name == "collimator" {
            program
                .says("that it is ready", |l| l.contains("is ready; Ctrl-C").then_some(()))
                .await;
        }
    }
}

#[tokio::test]
async fn an_old_server_of_our_own_is_refused_or_warned_of_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let old = nats_server_of(OLD).await;
    let settings = with(test_settings(folder.path()), &[("NATS_SERVER", old.to_str().unwrap())]);
    let collimator = Path::new(COLLIMATOR);
    let mut refused = Process::start(collimator, folder.path(), &settings);
    assert_eq!(refused.ended().await, Some(1), "{}", refused.printed());
    let printed = refused.printed();
    let line = printed.lines().last().unwrap_or_default();
    assert!(line.contains("NATS_SERVER can't be used") && line.contains("2.12.8"), "{printed}");
    assert!(line.contains("use nats-server 2.14.0 or newer"), "{printed}");
    let allowed = with(settings, &[("ALLOW_OLD_NATS", "true")]);
    let mut allowed = Process::start(collimator, folder.path(), &allowed);
    allowed.says("that it is old", |l| l.contains("2.12.8 is old").then_some(())).await;
    allowed.says("that it is ready", |l| l.contains("is ready; Ctrl-C").then_some(())).await;
}
