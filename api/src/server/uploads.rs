//! Connections on which something is being uploaded. A request of any length may take any time as long as it arrives: how
//! long its sender may be silent is for whoever receives it to say.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The uploads that are under way, by the address that each comes from. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Uploads(Arc<Mutex<HashSet<SocketAddr>>>);

/// An upload that is under way, until it is dropped.
#[derive(Debug)]
pub struct Upload {
    uploads: Uploads,
    peer: Option<SocketAddr>,
}

impl Uploads {
    /// One begins on the connection of this address.
    #[must_use]
    pub fn begin(&self, peer: Option<SocketAddr>) -> Upload {
        self.all().extend(peer);
        Upload { uploads: self.clone(), peer }
    }

    /// Whether one is under way on the connection of this address.
    pub(super) fn has(&self, peer: Option<SocketAddr>) -> bool {
        peer.is_some_and(|peer| self.all().contains(&peer))
    }

    fn all(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(peer) = self.peer {
            self.uploads.all().remove(&peer);
        }
    }
}
