//! Which nats-server to run: the one that is named, else one on the PATH or the pinned one, whichever is newer.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use shared::nats_version::{NatsVersion, OLDEST, OldNats, Outdated};
use tracing::info;

use super::fetch::{self, NATS_SERVER, Pin};
use super::version::version_of;

/// Where to look for a nats-server, in this order.
#[derive(Clone, Debug)]
pub struct Finder {
    /// The setting `NATS_SERVER`: this one or an error.
    pub setting: Option<PathBuf>,
    /// The `PATH`; what does not run there is passed over, and what is too old where there is another.
    pub path: Option<OsString>,
    /// The folders in which a fetched one is kept; the first that can be written gets it.
    pub caches: Vec<PathBuf>,
    /// What is fetched if there is none.
    pub pin: Pin,
    /// Whether one that is too old is used where there is no other.
    pub old: OldNats,
}

/// A nats-server that runs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) server: PathBuf,
    pub(crate) outdated: Option<Outdated>,
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
        Self {
            setting,
            path: std::env::var_os("PATH"),
            caches,
            pin: NATS_SERVER,
            old: OldNats::default(),
        }
    }

    /// The same with old ones too, where that is set.
    #[must_use]
    pub fn with_old(self, old: OldNats) -> Self {
        Self { old, ..self }
    }

    /// The path of a nats-server that runs here and is new enough, fetched if there is none.
    ///
    /// # Errors
    /// One line that says what to do: `NATS_SERVER` names one that can't be used, or there is none
    /// and none can be fetched.
    pub async fn find_or_fetch(&self) -> Result<PathBuf> {
        if let Some(found) = self.find().await? {
            return Ok(found.server);
        }
        let error = match fetch::fetch(&self.pin, &self.caches).await {
            Ok(server) => return Ok(server),
            Err(error) => error,
        };
        let on_path = self.on_path().await;
        let old = on_path.into_iter().find(|(_, version)| {
            version.outdated().is_some_and(|outdated| self.old.allows(outdated))
        });
        old.map(|(server, _)| server).ok_or_else(|| {
            anyhow!(
                "found no nats-server {OLDEST} or newer and could not fetch one: {error:#}; \
                 install nats-server {OLDEST} or newer, or set NATS_SERVER to its path, or \
                 NATS_URL to a running one"
            )
        })
    }

    /// The same without fetching one, and then without an old one on the `PATH` either: a fetched one would go
    /// before it.
    ///
    /// # Errors
    /// `NATS_SERVER` names one that can't be used.
    pub(crate) async fn find(&self) -> Result<Option<Found>> {
        if let Some(server) = &self.setting {
            // A bare name is a file in the working directory, not one on the PATH.
            let server = std::path::absolute(server)?;
            let outdated = self.check(&server).await.map_err(|error| {
                anyhow!("NATS_SERVER can't be used: {error:#}, or unset NATS_SERVER")
            })?;
            return Ok(Some(Found { server, outdated }));
        }
        let on_path = self.on_path().await;
        let found = |server| Some(Found { server, outdated: None });
        let on_path_from = |oldest| {
            on_path.iter().find(|(_, version)| *version >= oldest).map(|(server, _)| server.clone())
        };
        if let Some(newer) = NatsVersion::parse(self.pin.version).and_then(on_path_from) {
            return Ok(found(newer));
        }
        for cache in &self.caches {
            if let Some(server) = fetch::cached(&self.pin, cache).await {
                return Ok(found(server));
            }
        }
        Ok(on_path_from(OLDEST).and_then(found))
    }

    /// Those on the `PATH` that run here, in its order.
    async fn on_path(&self) -> Vec<(PathBuf, NatsVersion)> {
        let mut servers = Vec::new();
        for folder in self.path.iter().flat_map(std::env::split_paths) {
            let server = folder.join("nats-server");
            if folder.is_relative() || !server.is_file() {
                continue;
            }
            match version_of(&server).await {
                Ok(version) => {
                    if let Some(outdated) = version.outdated() {
                        let server = server.display();
                        info!(%server, %version, "passing over a nats-server on the PATH: {outdated}");
                    }
                    servers.push((server, version));
                }
                Err(error) => info!("passing over a nats-server on the PATH: {error:#}"),
            }
        }
        servers
    }

    /// What the acknowledgements of the server that was named lack, where that is allowed.
    async fn check(&self, server: &Path) -> Result<Option<Outdated>> {
        let version = version_of(server).await.map_err(|error| {
            anyhow!("{error:#}; set it to the path of a nats-server {OLDEST} or newer")
        })?;
        match version.outdated() {
            Some(outdated) if !self.old.allows(outdated) => {
                let name = server.display();
                bail!("{name} is nats-server {version}: {outdated}; {}", outdated.advice())
            }
            outdated => Ok(outdated),
        }
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
            old: OldNats::default(),
        }
    }

    fn cached(root: &Path) -> PathBuf {
        let folder = root.join("cache/nats-server").join(NATS_SERVER.version);
        fake_server(folder.join("nats-server"), NATS_SERVER.version)
    }

    /// The one that is found without a fetch.
    async fn found(finder: &Finder) -> Option<PathBuf> {
        finder.find().await.expect("looked").map(|found| found.server)
    }

    #[tokio::test]
    async fn the_setting_goes_before_the_path_and_of_that_and_the_pinned_one_the_newer() {
        let root = tempfile::tempdir().expect("a folder");
        let mut finder = finder(root.path(), &["none", "bin", "newer"]);
        assert_eq!(found(&finder).await, None);
        let good_enough = fake_server(root.path().join("bin/nats-server"), "2.14.0");
        assert_eq!(found(&finder).await, Some(good_enough), "and nothing is fetched");
        let pinned = cached(root.path());
        assert_eq!(found(&finder).await, Some(pinned));
        let newer = fake_server(root.path().join("newer/nats-server"), "2.99.0");
        assert_eq!(found(&finder).await, Some(newer));
        let named = fake_server(root.path().join("opt/my-nats"), "2.14.3");
        finder.setting = Some(named.clone());
        assert_eq!(found(&finder).await, Some(named));
    }

    #[tokio::test]
    async fn an_old_server_on_the_path_is_passed_over_but_a_named_one_is_an_error() {
        let root = tempfile::tempdir().expect("a folder");
        let old = fake_server(root.path().join("old/nats-server"), "2.12.8");
        let new = fake_server(root.path().join("new/nats-server"), "2.14.1");
        let mut finder = finder(root.path(), &["old", "new"]);
        finder.old = OldNats { allow_old_nats: true };
        assert_eq!(found(&finder).await, Some(new), "though old ones are allowed");
        finder.setting = Some(old.clone());
        let outdated = Some(Outdated::IgnoresFailedSyncs);
        let allowed = Found { server: old, outdated };
        assert_eq!(finder.find().await.expect("allowed"), Some(allowed));
        finder.old = OldNats::default();
        let error = finder.find().await.expect_err("too old").to_string();
        assert!(error.contains("2.12.8") && error.contains("2.14.0 or newer"), "{error}");
        assert!(error.contains("ALLOW_OLD_NATS") && !error.contains('\n'), "{error}");
        finder.old = OldNats { allow_old_nats: true };
        finder.setting = Some(fake_server(root.path().join("older/nats-server"), "2.9.10"));
        let error = finder.find().await.expect_err("too old by far").to_string();
        assert!(error.contains("2.9.10") && !error.contains("ALLOW_OLD_NATS"), "{error}");
    }

    #[tokio::test]
    async fn an_old_server_on_the_path_is_used_where_that_is_allowed_and_none_can_be_fetched() {
        let root = tempfile::tempdir().expect("a folder");
        let old = fake_server(root.path().join("old/nats-server"), "2.12.8");
        let mut finder = finder(root.path(), &["old"]);
        // Nowhere to keep a fetched one.
        finder.caches.clear();
        let error = finder.find_or_fetch().await.expect_err("too old").to_string();
        assert!(error.contains("found no nats-server 2.14.0 or newer"), "{error}");
        finder.old = OldNats { allow_old_nats: true };
        assert_eq!(found(&finder).await, None, "a fetched one would go before it");
        assert_eq!(finder.find_or_fetch().await.expect("allowed"), old);
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
