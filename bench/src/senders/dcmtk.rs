//! `dcmsend` and `storescu`, one process for each association.

use super::Sent;
use crate::process::ended_children;
use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::time::timeout;

/// How long all of it may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(180);

/// Sends each folder over an association of its own, all at the same time.
pub(crate) async fn send(
    program: &str,
    no_delay: bool,
    port: u16,
    folders: &[PathBuf],
) -> anyhow::Result<Sent> {
    let (mut instances, mut bytes) = (0, 0);
    for file in folders.iter().flat_map(std::fs::read_dir).flatten() {
        (instances, bytes) = (instances + 1, bytes + file?.metadata()?.len());
    }
    let (cpu, began) = (ended_children(), Instant::now());
    let sending = folders.iter().map(|folder| one(program, no_delay, port, folder));
    timeout(SEND_TIMEOUT, try_join_all(sending))
        .await
        .with_context(|| format!("{program} hangs"))??;
    Ok(Sent { instances, bytes, wall: began.elapsed(), cpu: ended_children() - cpu })
}

async fn one(program: &str, no_delay: bool, port: u16, folder: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args(["127.0.0.1", &port.to_string(), "--scan-directories"]).arg(folder);
    command.env_remove("TCP_NODELAY");
    if no_delay {
        command.env("TCP_NODELAY", "1");
    }
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("{program} can't be started; install Debian's dcmtk"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let failed = !output.status.success() || said.lines().any(|line| line.starts_with("E:"));
    ensure!(!failed, "{program}: {}", said.trim());
    Ok(())
}
