//! A Collimator to measure: the release binary with its own nats-server or another one, on free
//! ports.

use crate::process::Program;
use anyhow::ensure;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// How long a start may take; the first one fetches a nats-server.
const START: Duration = Duration::from_secs(120);

/// How often it is looked whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A running Collimator. It ends when this is dropped, and its nats-server with it.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// The process.
    pub(crate) program: Program,
    /// Port of its C-STORE SCP.
    pub(crate) dicom: u16,
    /// The url of its broker.
    pub(crate) nats: String,
    /// How long it took to be ready.
    pub(crate) ready: Duration,
}

impl Pipeline {
    /// Starts it on a data folder, with settings, and waits until it says that it is ready.
    pub(crate) async fn start(
        binary: &Path,
        folder: &Path,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let log = folder.join("collimator.log");
        // What an earlier start in the same folder said is no news.
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new(binary);
        command
            .env("DATA_DIR", folder.join("data"))
            .envs(["DICOM_ADDR", "API_ADDR", "NATS_ADDR"].map(|name| (name, "127.0.0.1:0")))
            .env("RUST_LOG", "warn")
            .envs(settings.iter().map(|(name, value)| (name, value)));
        let began = Instant::now();
        let mut program = Program::start(&mut command, &log)?;
        loop {
            let said = std::fs::read_to_string(&log)?;
            if let Some((dicom, nats)) = addresses(&said) {
                return Ok(Self { program, dicom, nats, ready: began.elapsed() });
            }
            ensure!(!program.has_ended(), "collimator has ended: {said}");
            ensure!(began.elapsed() < START, "collimator does not come up: {said}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Where its parts are, from what it prints once it is ready.
fn addresses(said: &str) -> Option<(u16, String)> {
    let word = |start: &str, before: &str| {
        let mut lines = said.lines().map(str::trim_start);
        let rest = lines.find_map(|line| line.strip_prefix(start))?.split_once(before)?.1;
        rest.split_whitespace().next().map(str::to_owned)
    };
    let dicom = word("DICOM", " on ")?;
    let port = dicom.rsplit_once(':')?.1.parse().ok()?;
    Some((port, word("NATS", "  ")?))
}
