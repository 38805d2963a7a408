//! What a shell and `man` know of the command line.

use crate::harness::pipeline::{COLLIMATOR, service};
use crate::harness::tools::have;
use std::process::Command;

fn printed(arguments: &[&str]) -> String {
    let output = Command::new(COLLIMATOR).args(arguments).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What bash offers for the last of some words.
fn offered(words: &[&str]) -> Vec<String> {
    let (last, before) = (words.len() - 1, words.len().saturating_sub(2));
    let script = format!(
        "source <({COLLIMATOR} completions bash); COMP_WORDS=({}); COMP_CWORD={last}; \
         _collimator collimator '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words[last],
        words[before],
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    assert_eq!(offered(&["collimator", "ser"]), ["series"]);
    assert_eq!(offered(&["collimator", "series", "w"]), ["watch"]);
    assert_eq!(offered(&["collimator", "series", "list", "--comp"]).len(), 2);
    assert_eq!(offered(&["collimator", "series", "list", "--state", "r"]), ["receiving"]);
    assert_eq!(offered(&["collimator", "--quiet-p"]), ["--quiet-period"]);
}

#[test]
fn other_shells_get_theirs() {
    for (shell, program) in [("zsh", "#compdef collimator"), ("fish", "complete -c collimator")] {
        assert!(printed(&["completions", shell]).contains(program), "{shell}");
    }
    let unknown = Command::new(COLLIMATOR).args(["completions", "cmd"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

#[tokio::test]
async fn each_program_prints_its_version_and_the_commit_that_it_was_built_from() {
    let git = Command::new("git").args(["log", "-1", "--format=%H %cs"]).output();
    let commit = git.ok().filter(|it| it.status.success()).map(|it| it.stdout).unwrap_or_default();
    let commit = String::from_utf8(commit).unwrap();
    let version = match commit.trim().split_once(' ') {
        Some((id, day)) => format!("{} ({} {day})", env!("CARGO_PKG_VERSION"), &id[..7]),
        None => env!("CARGO_PKG_VERSION").to_owned(),
    };
    for name in ["collimator", "ingest", "indexer", "api"] {
        let output = Command::new(service(name).await).arg("--version").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{name} {version}\n"));
    }
}

#[test]
fn the_manual_has_a_page_of_each_command_and_every_setting() {
    let page = printed(&["man"]);
    assert!(page.contains(".TH collimator 1"), "{page}");
    for setting in ["NATS_URL", "QUIET_PERIOD", "SOURCES_FILE", "SHUTDOWN_GRACE"] {
        assert!(page.contains(setting), "{setting}");
    }
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("man1");
    printed(&["man", "--into", into.to_str().unwrap()]);
    let pages = ["", "-send", "-demo", "-doctor", "-series", "-series-list", "-series-watch"];
    for page in pages.map(|page| into.join(format!("collimator{page}.1"))) {
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.contains(".SH NAME"), "{}", page.display());
        if have("groff") {
            let format = Command::new("groff").args(["-man", "-Tutf8", "-ww"]).arg(&page).output();
            let format = format.unwrap();
            assert!(format.stderr.is_empty(), "{}", String::from_utf8_lossy(&format.stderr));
        }
    }
}
