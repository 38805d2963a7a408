//! Each event once and in the order of the stream, whatever the broker delivers.

use super::MAX_ACK_PENDING;
use jiff::Timestamp;
use std::collections::VecDeque;

/// Keeps the order of the stream: each event once and none left out, whatever is delivered.
#[derive(Debug, Clone)]
pub struct Order {
    /// Sequence of the last event that was handed out.
    last: u64,
    /// How many deliveries the consumer had made by the one that came last. It numbers them from 1 on,
    /// those that never arrive too. `None` once one has not arrived.
    deliveries: Option<u64>,
    /// Sequence and time of the events that were handed out last: of all that may come again.
    known: VecDeque<(u64, Timestamp)>,
}

/// What a delivery is in the order of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next event, after this many that are no longer in the stream.
    Next {
        /// How many are gone.
        gone: u64,
    },
    /// It was handed out before.
    Again,
    /// Another event was handed out before with its sequence: the stream has lost its end, and gives its
    /// sequences out again.
    Other,
    /// This many were left out before it. They were delivered to a connection that broke, and will
    /// come again, later; to keep the order, everything is read again from there.
    Early {
        /// How many are missing.
        missing: u64,
    },
}

impl Order {
    /// Goes on after sequence `last`, which is 0 for the beginning, with a consumer that has made so many deliveries
    /// up to there.
    #[must_use]
    pub fn after(last: u64, deliveries: u64) -> Self {
        Self { last, deliveries: Some(deliveries), known: VecDeque::new() }
    }

    /// Where an event stands that the broker stored `at`, as the consumer's delivery of that number.
    pub fn place(&mut self, sequence: u64, delivery: u64, at: Timestamp) -> Arrival {
        // No delivery was ever lost, so what the stream has not is gone from it.
        let follows = self.deliveries.is_some_and(|last| delivery == last + 1);
        self.deliveries = follows.then_some(delivery);
        if sequence <= self.last {
            let known = self.known.binary_search_by_key(&sequence, |(sequence, _)| *sequence);
            let is_other = known.is_ok_and(|place| self.known[place].1 != at);
            return if is_other { Arrival::Other } else { Arrival::Again };
        }
        let missing = sequence - self.last - 1;
        if missing > 0 && !follows {
            return Arrival::Early { missing };
        }
        let gone = if self.last > 0 { missing } else { 0 };
        self.last = sequence;
        if self.known.len() >= MAX_ACK_PENDING {
            self.known.pop_front();
        }
        self.known.push_back((sequence, at));
        Arrival::Next { gone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(order: &mut Order, sequence: u64, delivery: u64) -> Arrival {
        order.place(sequence, delivery, Timestamp::from_second(sequence as i64).unwrap())
    }

    #[test]
    fn an_event_of_a_sequence_that_another_one_had_is_not_the_same_again() {
        let mut order = Order::after(7, 0);
        assert_eq!(place(&mut order, 8, 1), Arrival::Next { gone: 0 });
        assert_eq!(place(&mut order, 10, 2), Arrival::Next { gone: 1 });
        assert_eq!(place(&mut order, 10, 3), Arrival::Again);
        for sequence in [8, 10] {
            assert_eq!(order.place(sequence, 4, Timestamp::UNIX_EPOCH), Arrival::Other);
        }
    }

    #[test]
    fn what_is_gone_from_the_stream_is_told_from_what_was_lost_on_the_way() {
        let mut order = Order::after(7, 0);
        assert_eq!(place(&mut order, 8, 1), Arrival::Next { gone: 0 });
        assert_eq!(place(&mut order, 8, 2), Arrival::Again);
        assert_eq!(place(&mut order, 11, 3), Arrival::Next { gone: 2 });
        // Deliveries 4 and 5 never arrived.
        assert_eq!(place(&mut order, 14, 6), Arrival::Early { missing: 2 });
    }

    #[test]
    fn a_consumer_that_is_kept_goes_on_with_its_numbers() {
        assert_eq!(place(&mut Order::after(7, 4), 10, 5), Arrival::Next { gone: 2 });
        assert_eq!(place(&mut Order::after(7, 4), 10, 6), Arrival::Early { missing: 2 });
    }

    #[test]
    fn what_was_lost_on_the_way_is_not_forgotten_by_what_comes_after_it() {
        // Deliveries 1 and 2, of events 11 and 12, never arrived; 11 comes again, and then 13.
        let mut order = Order::after(10, 0);
        assert_eq!(place(&mut order, 11, 3), Arrival::Next { gone: 0 });
        assert_eq!(place(&mut order, 13, 4), Arrival::Early { missing: 1 });
        // The same where what comes again was there before.
        let mut order = Order::after(10, 0);
        assert_eq!(place(&mut order, 10, 4), Arrival::Again);
        assert_eq!(place(&mut order, 12, 5), Arrival::Early { missing: 1 });
    }

    #[test]
    fn nothing_is_left_out_at_the_beginning_either() {
        assert_eq!(
            place(&mut Order::after(0, 0), 3, 1),
            Arrival::Next { gone: 0 },
            "trimmed long ago"
        );
        assert_eq!(
            place(&mut Order::after(7, 0), 10, 1),
            Arrival::Next { gone: 2 },
            "trimmed meanwhile"
        );
        for last in [0, 7] {
            let first = place(&mut Order::after(last, 0), last + 3, 3);
            assert_eq!(first, Arrival::Early { missing: 2 }, "the first two were lost");
        }
    }
}
