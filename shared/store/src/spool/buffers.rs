//! The buffers of instances that are being written, used again and again.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Length of a buffer in bytes: large enough that a hand-over to another thread costs little beside writing it. An
/// instance that is longer has two.
pub(super) const LENGTH: usize = 256 * 1024;

/// Buffers that are kept for the next instances: 4 MiB.
const SPARE: usize = 16;

/// Empty buffers.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// An empty one.
    pub(super) fn take(&self) -> Vec<u8> {
        self.spare().pop().unwrap_or_else(|| Vec::with_capacity(LENGTH))
    }

    /// Takes one back.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut spare = self.spare();
        if spare.len() < SPARE {
            spare.push(buffer);
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
