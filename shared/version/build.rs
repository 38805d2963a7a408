//! Finds the commit that is built: named by a packager, written into a tarball by `git archive`, or asked from git. None of
//! them has to be there.

use std::path::PathBuf;
use std::process::Command;

/// Characters of a commit's id that are shown, as git itself shortens it.
const SHOWN: usize = 7;

/// The file that `git archive` fills in.
const ARCHIVED: &str = "commit.txt";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let commit = by_packager().or_else(by_archive).or_else(by_git);
    let version = env!("CARGO_PKG_VERSION");
    let shown = match commit {
        Some((id, day)) => format!("{version} ({} {day})", id.get(..SHOWN).unwrap_or(&id)),
        None => version.to_owned(),
    };
    println!("cargo::rustc-env=COLLIMATOR_VERSION={shown}");
}

/// The id and the day in `COLLIMATOR_COMMIT` and `COLLIMATOR_COMMIT_DATE`.
fn by_packager() -> Option<(String, String)> {
    let [id, day] = ["COLLIMATOR_COMMIT", "COLLIMATOR_COMMIT_DATE"].map(|name| {
        println!("cargo::rerun-if-env-changed={name}");
        std::env::var(name).ok().filter(|value| !value.is_empty())
    });
    Some((id?, day?))
}

/// The id and the day in a file of a tarball; in a checkout it has a placeholder.
fn by_archive() -> Option<(String, String)> {
    println!("cargo::rerun-if-changed={ARCHIVED}");
    let text = std::fs::read_to_string(ARCHIVED).ok()?;
    if text.starts_with('$') { None } else { two(&text) }
}

/// The id and the day of the commit that is checked out. A repository that does not have this file is somebody else's, with a
/// tarball of ours in it.
fn by_git() -> Option<(String, String)> {
    git(&["ls-files", "--error-unmatch", ARCHIVED])?;
    // The log changes with each commit; where none is kept, a checkout at least changes the other.
    for name in ["HEAD", "logs/HEAD"] {
        let path = PathBuf::from(git(&["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    two(&git(&["log", "-1", "--format=%H %cs"])?)
}

/// What git prints, if it is there and succeeds.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn two(text: &str) -> Option<(String, String)> {
    let (id, day) = text.trim().split_once(' ')?;
    Some((id.to_owned(), day.to_owned()))
}
