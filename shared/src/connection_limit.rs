//! The limit on associations or connections: in all, and for one peer, so that no peer can take the places of the
//! others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// There are as many as there may be.
    #[error("no room")]
    InAll,
    /// There are as many of this peer as there may be.
    #[error("no room for this peer")]
    ForPeer,
}

/// A limit on associations or connections. Clones share it.
#[derive(Debug, Clone)]
pub struct ConnectionLimit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    in_all: u32,
    for_one_peer: u32,
    taken: Mutex<Taken>,
    /// A place has become free.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: u32,
    /// Of the peers that have any.
    by_peer: HashMap<IpAddr, u32>,
}

/// A place for one, until it is dropped.
#[derive(Debug)]
pub struct Place {
    limit: ConnectionLimit,
    peer: IpAddr,
}

impl ConnectionLimit {
    /// For so many.
    #[must_use]
    pub fn new(in_all: u32, for_one_peer: u32) -> Self {
        let (taken, freed) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared { in_all, for_one_peer, taken, freed }))
    }

    /// A place for one more of this peer.
    ///
    /// # Errors
    /// When there is none: in all, or for this peer.
    pub fn take(&self, peer: IpAddr) -> Result<Place, Full> {
        let mut taken = self.taken();
        let of_peer = taken.by_peer.get(&peer).copied().unwrap_or(0);
        if taken.in_all >= self.0.in_all {
            return Err(Full::InAll);
        }
        if of_peer >= self.0.for_one_peer {
            return Err(Full::ForPeer);
        }
        taken.in_all += 1;
        taken.by_peer.insert(peer, of_peer + 1);
        Ok(Place { limit: self.clone(), peer })
    }

    /// The same once there is one.
    pub async fn wait(&self, peer: IpAddr) -> Place {
        loop {
            let freed = self.0.freed.notified();
            tokio::pin!(freed);
            // From here on, so that none that becomes free in between is missed.
            freed.as_mut().enable();
            match self.take(peer) {
                Ok(place) => return place,
                Err(_) => freed.await,
            }
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.limit.taken();
        taken.in_all -= 1;
        if let Some(of_peer) = taken.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
        drop(taken);
        self.limit.0.freed.notify_waiters();
    }
}

/// The addresses that count as one peer: whoever has one IPv6 address has all of its /64 (RFC 4291
/// section 2.5.1).
#[must_use]
pub fn block(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn a_peer_that_has_all_it_may_have_leaves_room_for_others() {
        let limit = ConnectionLimit::new(3, 2);
        let _first = limit.take(peer(1)).unwrap();
        let second = limit.take(peer(1)).unwrap();
        assert_eq!(limit.take(peer(1)).unwrap_err(), Full::ForPeer);
        let _other = limit.take(peer(2)).unwrap();
        assert_eq!(limit.take(peer(3)).unwrap_err(), Full::InAll);
        drop(second);
        assert!(limit.take(peer(1)).is_ok());
    }

    #[tokio::test]
    async fn who_waits_gets_the_place_that_becomes_free() {
        let limit = ConnectionLimit::new(1, 1);
        let place = limit.take(peer(1)).unwrap();
        let waiting = limit.wait(peer(2));
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(place);
        let _place = waiting.await;
        assert_eq!(limit.take(peer(1)).unwrap_err(), Full::InAll);
    }

    #[test]
    fn one_network_of_ipv6_is_one_peer() {
        let block = |text: &str| block(text.parse().unwrap());
        assert_eq!(block("2001:db8::1"), block("2001:db8::ffff:1"));
        assert_ne!(block("2001:db8::1"), block("2001:db8:0:1::1"));
        assert_eq!(block("::ffff:192.0.2.1"), block("192.0.2.1"));
        assert_ne!(block("192.0.2.1"), block("192.0.2.2"));
    }

    #[test]
    fn a_peer_that_is_gone_is_forgotten() {
        let limit = ConnectionLimit::new(3, 2);
        drop((limit.take(peer(1)).unwrap(), limit.take(peer(2)).unwrap()));
        let taken = limit.taken();
        assert_eq!((taken.in_all, taken.by_peer.len()), (0, 0));
    }
}
