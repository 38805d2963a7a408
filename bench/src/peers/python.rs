//! The Python services that people write today, in an environment of their own: pynetdicom as the
//! receiver, FastAPI over sqlite3 as the API.

use super::debian::last_line;
use super::listening;
use crate::process::Program;
use crate::programs::root;
use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

const PACKAGES: [&str; 4] =
    ["pydicom==3.0.1", "pynetdicom==3.0.4", "fastapi==0.165.0", "uvicorn[standard]==0.54.0"];

/// How long pip may take.
const INSTALL: Duration = Duration::from_secs(300);

/// A Python with the packages, made if need be.
pub(crate) async fn install(target: &Path) -> anyhow::Result<PathBuf> {
    let folder = target.join("peers").join("python");
    let (python, done) = (folder.join("bin").join("python"), folder.join(PACKAGES.join(" ")));
    if !done.exists() {
        println!("installing {}", PACKAGES.join(", "));
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)).await?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES)).await?;
        std::fs::write(done, "")?;
    }
    Ok(python)
}

async fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = timeout(INSTALL, command.kill_on_drop(true).output());
    let output = output.await.context("pip takes too long")?.context("no python3")?;
    ensure!(output.status.success(), "python: {}", last_line(&output.stderr));
    Ok(())
}

fn script(name: &str) -> PathBuf {
    root().join("bench").join("peers").join(name)
}

/// Starts the receiver, which writes its series to SQLite.
pub(crate) async fn receiver(python: &Path, folder: &Path, port: u16) -> anyhow::Result<Program> {
    let mut command = Command::new(python);
    command.arg(script("receiver.py")).arg(port.to_string()).arg(folder.join("series.db"));
    let mut program = Program::start(&mut command, &folder.join("receiver.log"))?;
    listening(&mut program, port).await?;
    Ok(program)
}

/// Starts the API over a database of series.
pub(crate) async fn api(
    python: &Path,
    folder: &Path,
    database: &Path,
    port: u16,
    workers: usize,
) -> anyhow::Result<Program> {
    let mut command = Command::new(python);
    command
        .args(["-m", "uvicorn", "api:app", "--log-level", "warning", "--no-access-log"])
        .args(["--port", &port.to_string(), "--workers", &workers.to_string()])
        .arg("--app-dir")
        .arg(script(""))
        .env("DATABASE", database)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut program = Program::start(&mut command, &folder.join("api.log"))?;
    listening(&mut program, port).await?;
    Ok(program)
}
