//! Requests for commitment whose association is open: their report goes out through it, and by an association of ours only
//! once it is closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where the report on a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its association is open and will report.
    Waits,
    /// Its peer has answered the report.
    Reported,
}

/// The requests of this process, by the ids of their events. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transactions {
    standing: Arc<Mutex<HashMap<String, Standing>>>,
}

impl Transactions {
    /// An association will report.
    pub(crate) fn wait_for(&self, id: &str) {
        self.standing().insert(id.to_owned(), Standing::Waits);
    }

    /// It has.
    pub(crate) fn reported(&self, id: &str) {
        self.standing().insert(id.to_owned(), Standing::Reported);
    }

    /// It has ended, or could not.
    pub(crate) fn left(&self, id: &str) {
        let mut standing = self.standing();
        if standing.get(id) == Some(&Standing::Waits) {
            standing.remove(id);
        }
    }

    /// How it stands; a report that was made is asked for once.
    pub(crate) fn take(&self, id: &str) -> Option<Standing> {
        let mut standing = self.standing();
        match standing.get(id) {
            Some(Standing::Reported) => standing.remove(id),
            other => other.copied(),
        }
    }

    fn standing(&self) -> MutexGuard<'_, HashMap<String, Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
