//! dicom-rs's `dicom-storescp`, which writes files.

use super::debian::last_line;
use super::listening;
use crate::process::Program;
use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// The version that is compared with.
const VERSION: &str = "^0.10.1";

/// How long it may take to build.
const BUILD: Duration = Duration::from_secs(30 * 60);

/// Builds it with Cargo, if need be.
pub(crate) async fn install(target: &Path) -> anyhow::Result<PathBuf> {
    let root = target.join("peers");
    let binary = root.join("bin").join("dicom-storescp");
    if !binary.exists() {
        println!("building dicom-storescp");
        let mut command = Command::new(env!("CARGO"));
        command.args(["install", "--quiet", "--locked", "dicom-storescp", "--version", VERSION]);
        let install = command.arg("--root").arg(&root).kill_on_drop(true).output();
        let output = timeout(BUILD, install).await.context("cargo install takes too long")??;
        ensure!(output.status.success(), "cargo install: {}", last_line(&output.stderr));
    }
    Ok(binary)
}

/// Starts it, for many associations at one time.
pub(crate) async fn start(binary: &Path, folder: &Path, port: u16) -> anyhow::Result<Program> {
    let mut command = Command::new(binary);
    command.args(["--non-blocking", "--promiscuous", "-p", &port.to_string(), "-o"]);
    command.arg(folder);
    let mut program = Program::start(&mut command, &folder.join("dicom-storescp.log"))?;
    listening(&mut program, port).await?;
    Ok(program)
}
