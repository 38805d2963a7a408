//! Connections on which something is being uploaded. A request of any length may take any time as long as it arrives: how
//! long its sender may be silent is for whoever receives it to say.

use super::peers::Peers;
use std::net::SocketAddr;

/// The uploads that are under way. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Uploads(Peers);

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
        peer.into_iter().for_each(|peer| self.0.insert(peer));
        Upload { uploads: self.clone(), peer }
    }

    /// Whether one is under way on the connection of this address.
    pub(super) fn has(&self, peer: Option<SocketAddr>) -> bool {
        peer.is_some_and(|peer| self.0.has(peer))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(peer) = self.peer {
            self.uploads.0.remove(peer);
        }
    }
}
