//! How much space there is on a disk.

use bytesize::ByteSize;
use std::io;
use std::path::Path;

/// What is free for us on the file system of `folder`. It waits for the disk.
///
/// # Errors
/// Where the folder is not there, or can't be looked at.
pub fn free(folder: &Path) -> io::Result<ByteSize> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(ByteSize(disk.f_bavail.saturating_mul(disk.f_frsize)))
}
