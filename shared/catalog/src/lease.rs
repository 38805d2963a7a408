//! The lease: which of several indexers writes the catalogue.
//!
//! Its holder renews it every second. Once it has not been renewed for five, another indexer may take it, and raises
//! its epoch. Every transaction that writes compares the epoch first, so one that was stopped for a while and goes on
//! writes nothing.

use std::time::Duration;

/// How long a lease lasts that its holder does not renew.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// How often its holder renews it.
pub const RENEW_EVERY: Duration = Duration::from_secs(1);

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// An id that no other catalogue has, not even a copy of this one.
    pub catalog_id: String,
    /// The catalogue's name for people who are on another machine.
    pub catalog: String,
    /// How often the catalogue has changed hands.
    pub epoch: u64,
    /// Whether its holder has a lock that the kernel frees when it dies: then whoever had that lock before is gone.
    pub locked: bool,
}
