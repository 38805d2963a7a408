//! Which nats-server to run: the one that is named, else the first that is new enough.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::process::Command;
use tokio::time::timeout;
use tracing::info;

use super::fetch::{self, NATS_SERVER, Pin};

/// The first version that takes `sync_interval`, without which an acknowledgement is no promise.
const MINIMUM: Version = Version(2, 10, 0);
/// How long `nats-server --version` may take.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// Where to look for a nats-server, in this order.
#[derive(Clone, Debug)]
pub struct Finder {
    /// The setting `NATS_SERVER`: this one or an error.
    pub setting: Option<PathBuf>,
    /// The `PATH`; what is too old or does not run there is passed over.
    pub path: Option<OsString>,
    /// The folders in which a fetched one is kept; the first that can be written gets it.
    pub caches: Vec<PathBuf>,
    /// What is fetched if there is none.
    pub pin: Pin,
}

impl Finder {
    /// The order for this process: the setting, its `PATH`, the user's cache folder, and `data_dir`
    /// where there is no home that can be written.
    #[must_use]
    pub fn new(setting: Option<PathBuf>, data_dir: &Path) -> Self {
        let absolute =
            |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        let mut caches = Vec::from_iter(cache.map(|cache| cache.join("collimator")));
        caches.push(data_dir.to_path_buf());
        Self { setting, path: std::env::var_os("PATH"), caches, pin: NATS_SERVER }
    }

    /// The path of a nats-server that runs here and is new enough, fetched if there is none.
    ///
    /// # Errors
    /// One line that says what to do: `NATS_SERVER` names one that can't be used, or there is none
    /// and none can be fetched.
    pub async fn find_or_fetch(&self) -> Result<PathBuf> {
        if let Some(server) = self.find().await? {
            return Ok(server);
        }
        fetch::fetch(&self.pin, &self.caches).await.map_err(|error| {
            anyhow!(
                "found no nats-server {MINIMUM} or newer and could not fetch one: {error:#}; \
                     install nats-server {MINIMUM} or newer, or set NATS_SERVER to its path, or \
                     NATS_URL to a running one"
            )
        })
    }

    /// The same without fetching one.
    ///
    /// # Errors
    /// `NATS_SERVER` names one that can't be used.
    pub(crate) async fn find(&self) -> Result<Option<PathBuf>> {
        if let Some(server) = &self.setting {
            // A bare name is a file in the working directory, not one on the PATH.
            let server = std::path::absolute(server)?;
            new_enough(&server).await.map_err(|error| {
                anyhow!(
                    "NATS_SERVER can't be used: {error:#}; set it to the path of a nats-server \
                     {MINIMUM} or newer, or unset it"
                )
            })?;
            return Ok(Some(server));
        }
        for folder in self.path.iter().flat_map(std::env::split_paths) {
            let server = folder.join("nats-server");
            if folder.is_relative() || !server.is_file() {
                continue;
            }
            match new_enough(&server).await {
                Ok(_) => return Ok(Some(server)),
                Err(error) => info!("passing over a nats-server on the PATH: {error:#}"),
            }
        }
        for cache in &self.caches {
            if let Some(server) = fetch::cached(&self.pin, cache).await {
                return Ok(Some(server));
            }
        }
        Ok(None)
    }
}

/// The version of the nats-server at `server`, if it runs here and is not older than [`MINIMUM`].
pub(super) async fn new_enough(server: &Path) -> Result<Version> {
    let name = server.display();
    let output = run(Command::new(server).arg("--version"), Stdio::null(), VERSION_LIMIT)
        .await
        .with_context(|| format!("{name} does not run"))?;
    let Some(version) = Version::parse(&String::from_utf8_lossy(&output.stdout)) else {
        bail!("{name} does not say that it is a nats-server");
    };
    if version < MINIMUM {
        bail!(
            "{name} is nats-server {version}, which refuses sync_interval and so can't promise \
             that what it acknowledges is on disk; {MINIMUM} or newer is needed"
        );
    }
    Ok(version)
}

/// Runs `command` to its end, at most for `limit`; what it prints is returned and shown nowhere.
pub(super) async fn run(command: &mut Command, stdin: Stdio, limit: Duration) -> Result<Output> {
    let run = command.stdin(stdin).kill_on_drop(true).output();
    Ok(timeout(limit, run).await.with_context(|| format!("no end after {limit:?}"))??)
}

/// A version of nats-server. A pre-release counts as its release: it has what we need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u32, u32, u32);

impl Version {
    /// Reads what `nats-server --version` prints, or a bare version.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("nats-server: ").unwrap_or(text);
        let text = text.strip_prefix('v').unwrap_or(text);
        let release = text.split(['-', '+']).next()?;
        let mut numbers = release.split('.').map(|number| number.parse().ok());
        let version = Self(numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fake nats-server that says `version`, in the manner of the real one. Written by a shell:
    /// a file that this process has open for writing can't be run by its other threads' children.
    fn fake_server(server: PathBuf, version: &str) -> PathBuf {
        std::fs::create_dir_all(server.parent().expect("a folder")).expect("created");
        let script =
            r##"printf '#!/bin/sh\necho "nats-server: v%s"\n' "$1" > "$0" && chmod 755 "$0""##;
        let written = std::process::Command::new("sh")
            .args(["-c", script])
            .arg(&server)
            .arg(version)
            .status();
        assert!(written.expect("sh runs").success());
        server
    }

    fn finder(root: &Path, path: &[&str]) -> Finder {
        let path =
            std::env::join_paths(path.iter().map(|folder| root.join(folder))).expect("no colons");
        Finder {
            setting: None,
            path: Some(path),
            caches: vec![root.join("cache")],
            pin: NATS_SERVER,
        }
    }

    #[test]
    fn a_version_is_read_from_what_the_server_prints() {
        assert_eq!(Version::parse("nats-server: v2.10.25\n"), Some(Version(2, 10, 25)));
        assert_eq!(Version::parse("nats-server: v2.12.0-RC.1"), Some(Version(2, 12, 0)));
        assert_eq!(Version::parse(NATS_SERVER.version), Some(Version(2, 15, 1)));
        for garbage in
            ["", "nats-server:", "v2.10", "2.10.1.4", "nats-server version 2.10.1", "2.x.1"]
        {
            assert_eq!(Version::parse(garbage), None, "{garbage:?}");
        }
        assert!(Version(2, 9, 10) < MINIMUM && MINIMUM < Version(2, 10, 1));
    }

    #[tokio::test]
    async fn the_setting_goes_before_the_path_and_the_path_before_the_cache() {
        let root = tempfile::tempdir().expect("a folder");
        let cached = fake_server(
            root.path().join("cache/nats-server").join(NATS_SERVER.version).join("nats-server"),
            NATS_SERVER.version,
        );
        let mut finder = finder(root.path(), &["none", "bin"]);
        assert_eq!(finder.find().await.expect("found"), Some(cached));
        let on_path = fake_server(root.path().join("bin/nats-server"), "2.10.0");
        assert_eq!(finder.find().await.expect("found"), Some(on_path));
        let named = fake_server(root.path().join("opt/my-nats"), "2.11.3");
        finder.setting = Some(named.clone());
        assert_eq!(finder.find().await.expect("found"), Some(named));
    }

    #[tokio::test]
    async fn an_old_server_on_the_path_is_passed_over_but_a_named_one_is_an_error() {
        let root = tempfile::tempdir().expect("a folder");
        let old = fake_server(root.path().join("old/nats-server"), "2.9.10");
        let new = fake_server(root.path().join("new/nats-server"), "2.10.25");
        let mut finder = finder(root.path(), &["old", "new"]);
        assert_eq!(finder.find().await.expect("found"), Some(new));
        finder.setting = Some(old);
        let error = finder.find().await.expect_err("too old").to_string();
        assert!(error.contains("2.9.10") && error.contains("2.10.0 or newer"), "{error}");
    }

    #[tokio::test]
    async fn junk_is_passed_over_but_a_named_one_is_an_error() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("bin")).expect("created");
        std::fs::write(root.path().join("bin/nats-server"), "junk").expect("written");
        let mut finder = finder(root.path(), &["bin"]);
        assert_eq!(finder.find().await.expect("passed over"), None);
        finder.setting = Some(root.path().join("bin/nats-server"));
        let error = finder.find().await.expect_err("junk").to_string();
        assert!(error.starts_with("NATS_SERVER can't be used") && !error.contains('\n'), "{error}");
    }

    #[tokio::test]
    async fn a_cached_server_of_another_version_is_not_used() {
        let root = tempfile::tempdir().expect("a folder");
        fake_server(
            root.path().join("cache/nats-server").join(NATS_SERVER.version).join("nats-server"),
            "2.10.25",
        );
        assert_eq!(finder(root.path(), &[]).find().await.expect("looked"), None);
    }
}
