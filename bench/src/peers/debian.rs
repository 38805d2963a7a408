//! Programs from Debian's packages.

use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The path of a program, whose package is installed if it is missing and we are root.
pub(crate) async fn program(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    if let Some(path) = find(name) {
        return Ok(path);
    }
    if !rustix::process::geteuid().is_root() || find("apt-get").is_none() {
        bail!("{name} is missing; install Debian's {package}");
    }
    println!("installing {package}");
    apt_get(&["update", "-qq"]).await?;
    apt_get(&["install", "-y", "-qq", "--no-install-recommends", package]).await?;
    find(name).with_context(|| format!("{package} has no {name}"))
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where Debian has Orthanc, which not every user's PATH names.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

async fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    let output = command.kill_on_drop(true).output().await?;
    if !output.status.success() {
        bail!("apt-get {}: {}", arguments.join(" "), last_line(&output.stderr));
    }
    Ok(())
}

/// What a program says of its version, in one line.
pub(crate) async fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output().await;
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let said = said.unwrap_or_default();
    said.lines().next().unwrap_or_default().trim_matches(['$', ' ']).to_owned()
}

/// The last line of what a program said.
pub(crate) fn last_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    said.trim_end().lines().next_back().unwrap_or("no reason").to_owned()
}
