//! Our own programs, built as this one is, and the folder of the build.

use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// How long a build may take, from nothing and on a busy machine.
const BUILD: Duration = Duration::from_secs(30 * 60);

/// The programs are built as this one is: only a release build means anything, but it is the other one
/// that CI has at hand, to see that everything runs.
pub(crate) const RELEASE: bool = !cfg!(debug_assertions);

/// One of our programs, which is also the name of its package.
pub(crate) async fn build(program: &str) -> anyhow::Result<PathBuf> {
    // The one that runs this, or the one that is found: cargo by its own path would leave the choice of
    // the compiler to the folder of each dependency.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Each by itself: ingest beside the others would be linked with what they ask of `shared`.
    command.args(["build", "--quiet", "--locked", "-p", program, "--bin", program]);
    if RELEASE {
        command.arg("--release");
    }
    let building = command.current_dir(root()).kill_on_drop(true).status();
    let built = timeout(BUILD, building).await.context("cargo takes too long")??;
    ensure!(built.success(), "{program} can't be built");
    Ok(target()?.join(if RELEASE { "release" } else { "debug" }).join(program))
}

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder of the build: this program is in a folder of it.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(2).context("no target folder")?.to_owned())
}
