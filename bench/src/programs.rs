//! Our own programs, built as people build them, and the folder that holds what is measured.

use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release build of one of our programs, which is also the name of its package.
pub(crate) fn build(program: &str) -> anyhow::Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        // Each by itself: ingest beside the others would be linked with what they ask of `shared`.
        .args(["build", "--quiet", "--release", "-p", program, "--bin", program])
        .current_dir(root())
        .status()?;
    ensure!(built.success(), "{program} can't be built");
    Ok(target()?.join("release").join(program))
}

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder of the build: this program is in it.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.ancestors().nth(2).context("no target folder")?;
    // Of a test, which is in `deps`.
    let folder = if folder.ends_with("debug") { folder.parent() } else { Some(folder) };
    Ok(folder.context("no target folder")?.to_owned())
}
