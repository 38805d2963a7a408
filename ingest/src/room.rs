//! How many associations there is room for: in all, and for one peer, so that no peer can take the room
//! of the others.

use crate::admission::Rejection;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The room for associations. Clones share it.
#[derive(Debug, Clone)]
pub struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    in_all: u32,
    for_one_peer: u32,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: u32,
    /// Of the peers that have any.
    by_peer: HashMap<IpAddr, u32>,
}

/// Room for one association, until it is dropped.
#[derive(Debug)]
pub struct Place {
    room: Room,
    peer: IpAddr,
}

impl Room {
    /// For so many associations.
    #[must_use]
    pub fn new(in_all: u32, for_one_peer: u32) -> Self {
        Self(Arc::new(Shared { in_all, for_one_peer, taken: Mutex::default() }))
    }

    /// A place for one more of this peer.
    ///
    /// # Errors
    /// When there is none: in all, or for this peer.
    pub fn take(&self, peer: IpAddr) -> Result<Place, Rejection> {
        let mut taken = self.taken();
        let of_peer = taken.by_peer.get(&peer).copied().unwrap_or(0);
        if taken.in_all >= self.0.in_all {
            return Err(Rejection::NoRoom);
        }
        if of_peer >= self.0.for_one_peer {
            return Err(Rejection::NoRoomForPeer);
        }
        taken.in_all += 1;
        taken.by_peer.insert(peer, of_peer + 1);
        Ok(Place { room: self.clone(), peer })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.in_all -= 1;
        if let Some(of_peer) = taken.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
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
        let room = Room::new(3, 2);
        let _first = room.take(peer(1)).unwrap();
        let second = room.take(peer(1)).unwrap();
        assert_eq!(room.take(peer(1)).unwrap_err(), Rejection::NoRoomForPeer);
        let _other = room.take(peer(2)).unwrap();
        assert_eq!(room.take(peer(3)).unwrap_err(), Rejection::NoRoom);
        drop(second);
        assert!(room.take(peer(1)).is_ok());
    }

    #[test]
    fn a_peer_that_is_gone_is_forgotten() {
        let room = Room::new(3, 2);
        drop((room.take(peer(1)).unwrap(), room.take(peer(2)).unwrap()));
        let taken = room.taken();
        assert_eq!((taken.in_all, taken.by_peer.len()), (0, 0));
    }
}
