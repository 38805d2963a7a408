//! A set of connections, by the address of the other side: all are to one port of ours.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The set. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Peers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    addresses: Mutex<HashSet<SocketAddr>>,
    /// How many those are: mostly none, which is looked up without a lock.
    count: AtomicUsize,
}

impl Peers {
    pub(super) fn insert(&self, peer: SocketAddr) {
        self.change(|addresses| addresses.insert(peer));
    }

    pub(super) fn remove(&self, peer: SocketAddr) {
        self.change(|addresses| addresses.remove(&peer));
    }

    pub(super) fn has(&self, peer: SocketAddr) -> bool {
        let Shared { addresses, count } = &*self.0;
        count.load(Ordering::Acquire) > 0
            && addresses.lock().unwrap_or_else(PoisonError::into_inner).contains(&peer)
    }

    fn change(&self, how: impl FnOnce(&mut HashSet<SocketAddr>) -> bool) {
        let mut addresses = self.0.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        how(&mut addresses);
        self.0.count.store(addresses.len(), Ordering::Release);
    }
}
