//! Where it is measured: the machine, its file system, and the programs that were found or made.

use crate::broker;
use crate::programs::{RELEASE, target};
use crate::table::median;
use anyhow::Context as _;
use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

/// How often a sync is timed.
const SYNCS: usize = 50;

/// What every measurement needs.
#[derive(Debug)]
pub(crate) struct Lab {
    /// Everything is below it, on a real file system.
    pub(crate) target: PathBuf,
    /// The nats-server that is used.
    pub(crate) nats_server: PathBuf,
    /// CPU cores.
    pub(crate) cores: f64,
}

impl Lab {
    /// Looks at the machine, and says what it is.
    pub(crate) async fn enter() -> anyhow::Result<Self> {
        let target = target()?;
        let nats_server = broker::server(&target).await?;
        let cores = std::thread::available_parallelism()?.get() as f64;
        std::fs::create_dir_all(target.join("bench"))?;
        let lab = Self { target, nats_server, cores };
        lab.introduce()?;
        Ok(lab)
    }

    fn introduce(&self) -> anyhow::Result<()> {
        if !RELEASE {
            println!("a debug build: the figures mean nothing, only that everything runs");
        }
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("CPU");
        let kernel = read("/proc/sys/kernel/osrelease");
        let file_system = file_system(&read("/proc/self/mounts"), &self.target);
        println!(
            "{} on {} x {}, Linux {}; load {}",
            jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"),
            self.cores,
            cpu.trim_start_matches(['\t', ' ', ':']),
            kernel.trim(),
            read("/proc/loadavg").split_whitespace().next().unwrap_or("unknown"),
        );
        println!(
            "data on {file_system}, where 600 bytes are synced in {:.2} ms",
            self.sync_time()? * 1000.0
        );
        Ok(())
    }

    /// Seconds that the disk takes at the moment to have as much as an event, appended to a file: the
    /// median.
    pub(crate) fn sync_time(&self) -> anyhow::Result<f64> {
        let path = self.target.join("bench").join("sync");
        let mut file = File::create(&path)?;
        let mut times = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            let began = Instant::now();
            file.write_all(&[0; 600])?;
            file.sync_all()?;
            times.push(began.elapsed().as_secs_f64());
        }
        std::fs::remove_file(path)?;
        Ok(median(times))
    }

    /// A new folder for the data of one measurement; it goes when this is dropped.
    pub(crate) fn folder(&self) -> anyhow::Result<TempDir> {
        tempfile::tempdir_in(self.target.join("bench")).context("a folder for the data")
    }

    /// The folder for what is sent, which stays.
    pub(crate) fn inputs(&self) -> PathBuf {
        self.target.join("bench").join("input")
    }
}

/// The file system that a path is on, as `mounts` says (proc(5)).
fn file_system(mounts: &str, path: &Path) -> String {
    let mut best = (0, "an unknown file system");
    for line in mounts.lines() {
        let mut words = line.split_whitespace().skip(1);
        if let (Some(mounted), Some(kind)) = (words.next(), words.next())
            && path.starts_with(mounted)
            && mounted.len() >= best.0
        {
            best = (mounted.len(), kind);
        }
    }
    best.1.to_owned()
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_nearest_mount() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /data xfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/x")), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/database")), "ext4");
    }
}
