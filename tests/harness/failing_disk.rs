//! A disk that can't sync, to one process.

use super::eventually;
use super::process::Process;
use super::tools::{have, skip};
use std::fs;
use std::path::Path;

/// What strace has to say of a process that it can't get hold of.
const REFUSED: &str = "Operation not permitted";

/// All syncs of a process fail with EIO, as those of a broken disk, until this is dropped or ended.
pub struct FailingDisk {
    strace: Process,
}

impl FailingDisk {
    /// From now on. `None` where processes can't be traced, which is said.
    pub async fn of(process: u32, folder: &Path) -> Option<Self> {
        if !have("strace") {
            return None;
        }
        let syncs = "fsync,fdatasync,sync_file_range";
        let (id, trace) = (process.to_string(), format!("trace={syncs}"));
        let inject = format!("inject={syncs}:error=EIO");
        let arguments = ["-f", "-p", &id, "-e", &trace, "-e", &inject];
        let strace = Process::start_with(Path::new("strace"), &arguments, folder, &[]);
        let is_traced = eventually("strace to trace it", async || match is_traced(process) {
            true => Some(true),
            false => strace.printed().contains(REFUSED).then_some(false),
        });
        if !is_traced.await {
            skip("no process can be traced here");
            return None;
        }
        Some(Self { strace })
    }

    /// Syncs work again. Gives how many failed.
    pub async fn ends(mut self) -> usize {
        self.strace.signal("INT");
        self.strace.ended().await;
        self.strace.printed().matches("(INJECTED)").count()
    }
}

/// Whether somebody traces all threads of a process (proc(5)).
fn is_traced(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.flatten().all(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        // A thread that has just ended has none.
        !status.lines().any(|line| line == "TracerPid:\t0")
    })
}
