//! How the deliveries of one webhook went, as far as this process made them.

use jiff::Timestamp;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The latest that is known.
#[derive(Debug, Default)]
pub(super) struct Record {
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// When it last took a delivery.
    pub(super) succeeded_at: Option<Timestamp>,
    /// When a delivery last failed, and what was wrong.
    pub(super) failed: Option<(Timestamp, String)>,
    /// Whether the latest one failed.
    fails: bool,
}

impl Record {
    /// It took a delivery. Whether that is news.
    pub(super) fn succeeded(&self) -> bool {
        let mut seen = self.lock();
        seen.succeeded_at = Some(Timestamp::now());
        std::mem::replace(&mut seen.fails, false)
    }

    /// A delivery failed. Whether that is news.
    pub(super) fn failed(&self, cause: &str) -> bool {
        let mut seen = self.lock();
        seen.failed = Some((Timestamp::now(), cause.to_owned()));
        !std::mem::replace(&mut seen.fails, true)
    }

    pub(super) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
