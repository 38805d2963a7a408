//! A Collimator to measure: the release binary with its own nats-server, on free ports, with its data
//! on the file system that the build is on.

use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a start may take; the first one fetches a nats-server.
const START: Duration = Duration::from_secs(120);

/// A running Collimator. It ends when this is dropped, and its nats-server with it.
pub(crate) struct Pipeline {
    /// Address and port of its C-STORE SCP.
    pub(crate) dicom: (String, String),
    /// The url of its broker.
    pub(crate) nats: String,
    _process: Child,
    _data: TempDir,
}

impl Pipeline {
    /// Builds it, if need be, and starts it with settings.
    pub(crate) async fn start(settings: &[(&str, String)]) -> anyhow::Result<Self> {
        let binary = build().await?;
        let target = binary.parent().and_then(Path::parent).context("no target folder")?;
        let data = tempfile::tempdir_in(target)?;
        println!("its data are in {}", data.path().display());
        let mut process = Command::new(binary)
            .env("DATA_DIR", data.path())
            .envs(["DICOM_ADDR", "API_ADDR", "NATS_ADDR"].map(|name| (name, "127.0.0.1:0")))
            .env("RUST_LOG", "warn")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("collimator can't be started")?;
        let output = process.stdout.take().context("no output")?;
        let (dicom, nats) =
            timeout(START, addresses(output)).await.context("collimator does not come up")??;
        let (address, port) = dicom.rsplit_once(':').context("its address")?;
        let dicom = (address.to_owned(), port.to_owned());
        Ok(Self { dicom, nats, _process: process, _data: data })
    }
}

async fn build() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "-p", "collimator", "--bin", "collimator"])
        .current_dir(root)
        .status()
        .await?;
    if !built.success() {
        bail!("collimator can't be built");
    }
    // This program is in the same target folder.
    let folder = std::env::current_exe()?.parent().context("no target folder")?.to_owned();
    Ok(folder.with_file_name("release").join("collimator"))
}

/// Where it receives and where its broker is, from what it prints when it is ready.
async fn addresses(output: tokio::process::ChildStdout) -> anyhow::Result<(String, String)> {
    let mut lines = BufReader::new(output).lines();
    let (mut dicom, mut nats) = (None, None);
    while let Some(line) = lines.next_line().await? {
        let line = line.trim_start();
        let word = |start: &str, before: &str| {
            let rest = line.strip_prefix(start)?.split_once(before)?.1;
            rest.split_whitespace().next().map(str::to_owned)
        };
        dicom = dicom.or_else(|| word("DICOM", " on "));
        nats = nats.or_else(|| word("NATS", "  "));
        if let (Some(dicom), Some(nats)) = (&dicom, &nats) {
            return Ok((dicom.replace("0.0.0.0", "127.0.0.1"), nats.clone()));
        }
    }
    bail!("collimator ended before it was ready; what it said is above")
}
