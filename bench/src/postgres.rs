//! A PostgreSQL server that keeps the catalogue of what is measured: on the disk that the build is on, with its own
//! settings, so it syncs each commit.

use crate::lab::Lab;
use crate::peers::debian;
use crate::process::Program;
use anyhow::{Context as _, ensure};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;

/// How long a start may take.
const START: Duration = Duration::from_secs(60);

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(crate) program: Program,
    /// The `DATABASE_URL` of an empty database.
    pub(crate) url: String,
    /// Its data. It goes when this is dropped, so that has to be after the program.
    pub(crate) folder: TempDir,
}

/// Whether there is one; it is installed if it is missing and we are root.
pub(crate) async fn install() -> anyhow::Result<()> {
    debian::program("pg_ctlcluster", "postgresql").await.map(drop)
}

impl Postgres {
    /// Starts one on an empty cluster.
    pub(crate) async fn start(lab: &Lab) -> anyhow::Result<Self> {
        let folder = lab.folder()?;
        let server = test_database::synced_server(folder.path());
        let (command, url) = server.context("PostgreSQL is not installed")?;
        let log = folder.path().join("log");
        let mut program = Program::start(&mut Command::from(command), &log)?;
        let began = Instant::now();
        loop {
            let said = std::fs::read_to_string(&log)?;
            if said.contains("database system is ready to accept connections") {
                return Ok(Self { program, url, folder });
            }
            ensure!(!program.has_ended(), "PostgreSQL has ended: {said}");
            ensure!(began.elapsed() < START, "PostgreSQL does not come up: {said}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
