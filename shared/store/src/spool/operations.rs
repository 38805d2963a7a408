//! What the file system has been given to do and has not ended.

use super::Spool;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// The operations that are under way, in the order in which they began. One that nobody waits for any more counts as
/// well: it holds a thread all the same.
#[derive(Debug, Default)]
pub(super) struct Operations(Mutex<UnderWay>);

#[derive(Debug, Default)]
struct UnderWay {
    began: u64,
    since: BTreeMap<u64, Instant>,
}

/// One of them. Dropped, it has ended.
pub(super) struct Operation {
    spool: Spool,
    number: u64,
}

impl Operations {
    /// Begins one.
    pub(super) fn begin(spool: &Spool) -> Operation {
        let mut under_way = spool.0.operations.under_way();
        under_way.began += 1;
        let number = under_way.began;
        under_way.since.insert(number, Instant::now());
        Operation { spool: spool.clone(), number }
    }

    /// When the first of them began.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.under_way().since.values().next().copied()
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.spool.0.operations.under_way().since.remove(&self.number);
    }
}
