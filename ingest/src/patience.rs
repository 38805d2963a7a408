//! For how long callers of one address are told that they may not send. One that asks again and again
//! is hung up on, so that it hides nobody else's refusal and has no more than so many guesses.

use shared::room::block;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Refusals of one address that are told one after the other.
const AT_ONCE: u32 = 10;

/// In which time one more is told after that.
const REGAINED: Duration = Duration::from_secs(6);

/// Addresses that are remembered. While there are more, new ones are hung up on.
const MAX_ADDRESSES: usize = 1024;

/// What is left of it for each address.
#[derive(Debug, Default)]
pub struct Patience {
    /// Until when those go, in time, that were told of an address.
    spent_until: HashMap<IpAddr, Instant>,
}

impl Patience {
    /// Whether the next refusal of this address is not to be told.
    #[must_use]
    pub fn is_over(&self, peer: IpAddr, now: Instant) -> bool {
        match self.spent_until.get(&block(peer)) {
            Some(until) => until.saturating_duration_since(now) > REGAINED * (AT_ONCE - 1),
            None => {
                let is_left = |until: &&Instant| **until > now;
                self.spent_until.len() >= MAX_ADDRESSES
                    && self.spent_until.values().filter(is_left).count() >= MAX_ADDRESSES
            }
        }
    }

    /// Counts a refusal of this address. Gives whether it is to be told.
    pub fn refuse(&mut self, peer: IpAddr, now: Instant) -> bool {
        if self.is_over(peer, now) {
            return false;
        }
        if self.spent_until.len() >= MAX_ADDRESSES {
            self.spent_until.retain(|_, until| *until > now);
        }
        let until = self.spent_until.entry(block(peer)).or_insert(now);
        *until = (*until).max(now) + REGAINED;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn an_address_is_told_ten_times_and_then_once_in_six_seconds() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        let told = (0..100).filter(|_| patience.refuse(peer(1), start)).count();
        assert_eq!(told, 10);
        assert!(patience.is_over(peer(1), start + REGAINED - Duration::from_millis(1)));
        assert!(patience.refuse(peer(1), start + REGAINED));
        assert!(!patience.refuse(peer(1), start + REGAINED));
        // Others notice nothing.
        assert!(patience.refuse(peer(2), start));
    }

    #[test]
    fn an_address_that_stays_away_has_all_of_it_again() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        while patience.refuse(peer(1), start) {}
        let later = start + REGAINED * AT_ONCE;
        assert_eq!((0..100).filter(|_| patience.refuse(peer(1), later)).count(), 10);
    }

    #[test]
    fn no_more_addresses_are_remembered_than_there_is_room_for() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        for number in 0..MAX_ADDRESSES as u32 {
            assert!(patience.refuse(peer(number), start));
        }
        assert!(!patience.refuse(peer(u32::MAX), start));
        assert!(patience.refuse(peer(0), start), "it is remembered");
        assert!(patience.refuse(peer(u32::MAX), start + REGAINED));
        assert!(patience.spent_until.len() <= 2);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        let address = |number: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, number]);
        assert_eq!((0..100).filter(|number| patience.refuse(address(*number), start)).count(), 10);
        assert!(patience.refuse(IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]), start));
    }
}
