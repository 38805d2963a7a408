//! How much of the disk under the data folder the events may take.

use bytesize::ByteSize;
use shared::disk;
use std::fs;
use std::io;
use std::path::Path;

/// The size that a stream in `store` may reach, when it shall reach `wanted`: three quarters of what
/// is free and what the store has taken already, since the catalogue, the other streams and the next
/// write need room too. A nats-server whose disk is full stores nothing any more, so a full stream
/// must come first: that one refuses the sender, and makes room by itself.
pub(crate) fn fitting(wanted: ByteSize, store: &Path) -> io::Result<ByteSize> {
    let all = disk::free(store)?.0.saturating_add(taken(store)?);
    Ok(ByteSize(wanted.0.min(all / 4 * 3)))
}

/// How much the files in `folder` take, in bytes.
fn taken(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0_u64;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = match entry.metadata() {
            // The server may remove a file while we look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            about => about?,
        };
        let more = if about.is_dir() { taken(&entry.path())? } else { about.len() };
        bytes = bytes.saturating_add(more);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stream_may_take_leaves_a_quarter_of_the_disk() {
        let store = tempfile::tempdir().unwrap();
        fs::create_dir(store.path().join("a")).unwrap();
        fs::write(store.path().join("a/block"), [0; 5000]).unwrap();
        assert_eq!(taken(store.path()).unwrap(), 5000);
        assert_eq!(fitting(ByteSize::kib(64), store.path()).unwrap(), ByteSize::kib(64));
        let most = fitting(ByteSize(u64::MAX), store.path()).unwrap().0;
        assert!(most > 0 && most < disk::free(store.path()).unwrap().0, "{most}");
    }
}
