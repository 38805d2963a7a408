//! The version of a nats-server, by running it.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use shared::nats_version::NatsVersion;
use tokio::process::Command;
use tokio::time::timeout;

/// How long `nats-server --version` may take.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// The version of the nats-server at `server`, if it runs here.
pub(super) async fn version_of(server: &Path) -> Result<NatsVersion> {
    let name = server.display();
    let output = run(Command::new(server).arg("--version"), Stdio::null(), VERSION_LIMIT)
        .await
        .with_context(|| format!("{name} does not run"))?;
    NatsVersion::parse(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("{name} does not say that it is a nats-server"))
}

/// Runs `command` to its end, at most for `limit`; what it prints is returned and shown nowhere.
pub(super) async fn run(command: &mut Command, stdin: Stdio, limit: Duration) -> Result<Output> {
    let run = command.stdin(stdin).kill_on_drop(true).output();
    Ok(timeout(limit, run).await.with_context(|| format!("no end after {limit:?}"))??)
}
