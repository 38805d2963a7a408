//! Requests for commitment whose association is open: their report goes out through it, and by an association of ours only
//! once it is closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long it is remembered that a report was made: longer than the report is left to an association before it is looked
/// at again. A request that was repeated may have nobody else who still owes its report.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Where the report on a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its association is open and will report.
    Waits,
    /// Its peer has answered the report, at this time.
    Reported(Instant),
}

/// The requests of this process, by the ids of their events. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transactions {
    standing: Arc<Mutex<HashMap<String, Standing>>>,
}

impl Transactions {
    /// An association will report; `false` where one does already.
    pub(crate) fn wait_for(&self, id: &str) -> bool {
        self.standing().insert(id.to_owned(), Standing::Waits) != Some(Standing::Waits)
    }

    /// It has.
    pub(crate) fn reported(&self, id: &str) {
        let (now, mut standing) = (Instant::now(), self.standing());
        standing.retain(|_, standing| match standing {
            Standing::Waits => true,
            Standing::Reported(at) => now.duration_since(*at) < REMEMBERED,
        });
        standing.insert(id.to_owned(), Standing::Reported(now));
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
            Some(Standing::Reported(_)) => standing.remove(id),
            other => other.copied(),
        }
    }

    fn standing(&self) -> MutexGuard<'_, HashMap<String, Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_association_reports_on_a_request_and_the_next_one_on_its_repetition() {
        let transactions = Transactions::default();
        assert!(transactions.wait_for("a"));
        assert!(!transactions.wait_for("a"), "it is repeated before the report");
        assert_eq!(transactions.take("a"), Some(Standing::Waits));
        transactions.reported("a");
        assert!(matches!(transactions.take("a"), Some(Standing::Reported(_))));
        assert_eq!(transactions.take("a"), None);
        assert!(transactions.wait_for("a"), "it is repeated after the report");
        transactions.left("a");
        assert_eq!(transactions.take("a"), None);
    }
}
