//! A disk that is easily filled.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A file system in memory, as small as it is told to be.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// One of `mebibytes`. `None` where the kernel lets nobody mount anything, as in a container,
    /// which is said.
    pub fn mount(mebibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        if !is_mounted {
            super::tools::skip("a file system can't be mounted here");
        }
        is_mounted.then_some(Self { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills it to the last byte; gives the file that does.
    pub fn fill(&self) -> PathBuf {
        let path = self.path().join("something else");
        let mut file = std::fs::File::create(&path).unwrap();
        while std::io::Write::write(&mut file, &[0; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}
