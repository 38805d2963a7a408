//! Rate limit on rejections, by address. Once an address is over the limit, its connections are closed without an
//! answer, so that it can't flood the log with its rejections and has no more than so many guesses.

use shared::connection_limit::block;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Rejections of one address that are answered at once.
const AT_ONCE: u32 = 10;

/// The time after which one more is answered.
const REGAINED: Duration = Duration::from_secs(6);

/// Addresses that are tracked. While all are in use, connections from further addresses are closed.
const MAX_ADDRESSES: usize = 1024;

/// A leaky bucket for each address.
#[derive(Debug, Default)]
pub(crate) struct RejectionLimit {
    /// When the bucket of each address is empty again.
    empty_at: HashMap<IpAddr, Instant>,
}

impl RejectionLimit {
    /// Whether this address is over the limit: its next rejection is not answered.
    #[must_use]
    pub(crate) fn is_over(&self, peer: IpAddr, now: Instant) -> bool {
        match self.empty_at.get(&block(peer)) {
            Some(until) => until.saturating_duration_since(now) > REGAINED * (AT_ONCE - 1),
            None => {
                let is_left = |until: &&Instant| **until > now;
                self.empty_at.len() >= MAX_ADDRESSES
                    && self.empty_at.values().filter(is_left).count() >= MAX_ADDRESSES
            }
        }
    }

    /// Counts a rejection of this address. Gives whether it is answered.
    pub(crate) fn refuse(&mut self, peer: IpAddr, now: Instant) -> bool {
        if self.is_over(peer, now) {
            return false;
        }
        if self.empty_at.len() >= MAX_ADDRESSES {
            self.empty_at.retain(|_, until| *until > now);
        }
        let until = self.empty_at.entry(block(peer)).or_insert(now);
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
        let (mut rejection_limit, start) = (RejectionLimit::default(), Instant::now());
        let told = (0..100).filter(|_| rejection_limit.refuse(peer(1), start)).count();
        assert_eq!(told, 10);
        assert!(rejection_limit.is_over(peer(1), start + REGAINED - Duration::from_millis(1)));
        assert!(rejection_limit.refuse(peer(1), start + REGAINED));
        assert!(!rejection_limit.refuse(peer(1), start + REGAINED));
        // Others notice nothing.
        assert!(rejection_limit.refuse(peer(2), start));
    }

    #[test]
    fn an_address_that_stays_away_has_all_of_it_again() {
        let (mut rejection_limit, start) = (RejectionLimit::default(), Instant::now());
        while rejection_limit.refuse(peer(1), start) {}
        let later = start + REGAINED * AT_ONCE;
        assert_eq!((0..100).filter(|_| rejection_limit.refuse(peer(1), later)).count(), 10);
    }

    #[test]
    fn no_more_addresses_are_remembered_than_there_is_room_for() {
        let (mut rejection_limit, start) = (RejectionLimit::default(), Instant::now());
        for number in 0..MAX_ADDRESSES as u32 {
            assert!(rejection_limit.refuse(peer(number), start));
        }
        assert!(!rejection_limit.refuse(peer(u32::MAX), start));
        assert!(rejection_limit.refuse(peer(0), start), "it is remembered");
        assert!(rejection_limit.refuse(peer(u32::MAX), start + REGAINED));
        assert!(rejection_limit.empty_at.len() <= 2);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        let (mut rejection_limit, start) = (RejectionLimit::default(), Instant::now());
        let address = |number: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, number]);
        assert_eq!(
            (0..100).filter(|number| rejection_limit.refuse(address(*number), start)).count(),
            10
        );
        assert!(rejection_limit.refuse(IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]), start));
    }
}
