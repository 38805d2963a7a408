//! Python and its packages: what pydicom decodes, the sender of pynetdicom, and those who read the
//! API.

use super::tools::{have, skip};
use std::path::{Path, PathBuf};
use tokio::process::Command;
use tokio::sync::OnceCell;

const PACKAGES: [&str; 2] = ["pydicom==3.0.1", "pynetdicom==3.0.4"];

/// The folder of modules that several scripts import.
const MODULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness");

/// A Python that has the packages, or `None` when it can't be had here (which is said).
///
/// # Panics
/// In CI, when it can't be had.
pub async fn python() -> Option<&'static Path> {
    static PYTHON: OnceCell<Option<PathBuf>> = OnceCell::const_new();
    PYTHON.get_or_init(install).await.as_deref()
}

async fn install() -> Option<PathBuf> {
    packages("python", &PACKAGES).await
}

/// A folder with these packages, or `None` when they can't be had here (which is said).
///
/// # Panics
/// In CI, when they can't be had.
pub async fn packages(name: &str, wanted: &[&str]) -> Option<PathBuf> {
    if !have("python3") {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    // Tests that run as processes of their own (nextest) take turns.
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let packages = folder.join("packages");
    let done = folder.join(wanted.join("-"));
    if !done.exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"]).arg(&packages);
        let output = pip.args(wanted).output().await.unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let reason = said.lines().last().unwrap_or("no reason").to_owned();
            skip(&format!("pip cannot install {}: {reason}", wanted.join(" and ")));
            return None;
        }
        std::fs::write(&done, "").unwrap();
    }
    Some(packages)
}

/// Runs a script, which may import what is beside this file, and gives what it printed.
///
/// # Panics
/// When it fails.
pub async fn run(packages: &Path, script: &str, arguments: &[&str]) -> String {
    let output = Command::new("python3")
        .env("PYTHONPATH", std::env::join_paths([packages, Path::new(MODULES)]).unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["-c", script])
        .args(arguments)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}
