//! A nats-server beside the programs that are measured: with our `nats.conf`, which syncs each message,
//! or without the sync.

use crate::process::Program;
use anyhow::{Context as _, ensure};
use collimator::embedded_nats::Finder;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

const CONFIGURATION: &str = include_str!("../../nats.conf");

/// The line that makes an acknowledgement mean "on disk".
const SYNC: &str = "sync_interval: always";

/// How long a start may take: a large store is read again first.
const START: Duration = Duration::from_secs(120);

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Whether an acknowledged message is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// As we ship it.
    Always,
    /// In the page cache, for up to two minutes.
    Sometimes,
}

/// A running nats-server.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) program: Program,
    /// Its url.
    pub(crate) url: String,
}

/// The nats-server that `collimator` would run.
pub(crate) async fn server(target: &Path) -> anyhow::Result<PathBuf> {
    let setting = std::env::var_os("NATS_SERVER").map(PathBuf::from);
    Finder::new(setting, target).find_or_fetch().await
}

impl Broker {
    /// Starts one on a store in `folder`, which may be there already.
    pub(crate) async fn start(server: &Path, folder: &Path, sync: Sync) -> anyhow::Result<Self> {
        ensure!(CONFIGURATION.contains(SYNC), "nats.conf does not sync any more");
        let configuration = match sync {
            Sync::Always => CONFIGURATION.to_owned(),
            Sync::Sometimes => CONFIGURATION.replace(SYNC, ""),
        };
        let ports = folder.join("ports");
        // Of an earlier start, whose port need not be ours.
        let _ = std::fs::remove_dir_all(&ports);
        std::fs::create_dir_all(&ports)?;
        std::fs::write(folder.join("nats.conf"), configuration)?;
        let mut command = Command::new(server);
        command
            .args(["-c", "nats.conf", "-a", "127.0.0.1", "-p", "-1", "-m", "0"])
            .args(["--ports_file_dir", "ports"])
            .env("NATS_STORE_DIR", "\".\"")
            .current_dir(folder);
        let mut program = Program::start(&mut command, &folder.join("nats-server.log"))?;
        let began = Instant::now();
        let url = loop {
            if let Some(url) = url(&ports)
                && async_nats::connect(&url).await.is_ok()
            {
                break url;
            }
            ensure!(!program.has_ended(), "nats-server has ended; see its log");
            ensure!(began.elapsed() < START, "nats-server does not come up");
            tokio::time::sleep(LOOK_EVERY).await;
        };
        Ok(Self { program, url })
    }
}

/// Where clients connect to, from the server's ports file.
fn url(ports: &Path) -> Option<String> {
    let file = std::fs::read_dir(ports).ok()?.next()?.ok()?.path();
    let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let url = ports.get("nats")?.get(0)?.as_str().context("no url");
    Some(url.ok()?.to_owned())
}
