//! The requests for events, one after the other, and which of the broker's answers count for the one that stands.
//! Events count for it whatever request they were sent for, since they do not say; what ends an earlier request
//! ends nothing.

use super::account::{Account, Next, Status};

/// The request that stands, or stood last.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    /// How many were made, which is its number.
    number: u64,
    account: Account,
}

impl Exchange {
    /// No request was made yet.
    pub(super) fn new() -> Self {
        Self { number: 0, account: Account::new(0, 0) }
    }

    /// The next request is made, for so many events and bytes; 0 bytes is without a limit. Gives its number.
    pub(super) fn begin(&mut self, batch: usize, bytes: usize) -> u64 {
        self.number += 1;
        self.account = Account::new(batch, bytes);
        self.number
    }

    /// An event of this length has arrived.
    pub(super) fn event(&mut self, length: usize) -> Next {
        self.account.event(length)
    }

    /// The broker says something of the request with this number.
    pub(super) fn status(&mut self, number: u64, status: Status<'_>) -> Next {
        match number == self.number {
            true => self.account.status(status),
            // It was given up, or has ended with its last event.
            false => Next::Wait,
        }
    }

    /// Nothing came for as long as anything may take.
    pub(super) fn silence(&self) -> Next {
        self.account.silence()
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::{Arrival, Order};
    use super::*;
    use async_nats::StatusCode;
    use jiff::Timestamp;

    /// Bytes of each event, and of each request: more than it brings.
    const LENGTH: usize = 10;
    const BYTES: usize = 1000;

    /// Events that each request asks for.
    const BATCH: usize = 2;

    /// Requests that are answered in any order. Those that follow are answered as they should be.
    const REQUESTS: u64 = 3;

    /// What the broker sends for a request.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Sent {
        /// The event of this sequence, as the consumer's delivery of this number.
        Event(u64, u64),
        Heartbeat,
        /// An end, with so many events that it did not send.
        End(u16, &'static str, usize),
    }
    use Sent::{End, Event, Heartbeat};

    type Answers = Vec<(u64, Sent)>;

    /// The reader, and what it has handed out: how it fares whatever arrives.
    #[derive(Debug, Clone)]
    struct Reader {
        exchange: Exchange,
        order: Order,
        /// How many requests were made.
        requests: u64,
        /// The sequence of the last event that was handed out: all before it were, each once.
        last: u64,
        /// How often everything was read again from the catalogue on.
        begun_again: u32,
        /// Deliveries of the consumer so far.
        deliveries: u64,
    }

    impl Reader {
        fn start() -> Self {
            let (exchange, order) = (Exchange::new(), Order::after(0, 0));
            let mut reader =
                Self { exchange, order, requests: 0, last: 0, begun_again: 0, deliveries: 0 };
            reader.ask();
            reader
        }

        fn ask(&mut self) {
            self.requests = self.exchange.begin(BATCH, BYTES);
        }

        /// Gives whether it goes on without beginning again.
        fn goes_on(&mut self, next: Next) -> bool {
            match next {
                Next::Wait => true,
                Next::Ended(_) => {
                    self.ask();
                    true
                }
                Next::BeginAgain(_) => {
                    self.begin_again();
                    false
                }
            }
        }

        /// As the indexer does: with a consumer made anew, whose answers come to a new inbox.
        fn begin_again(&mut self) {
            self.begun_again += 1;
            (self.order, self.deliveries) = (Order::after(self.last, 0), 0);
            let made = self.requests;
            self.exchange = Exchange { number: made, ..Exchange::new() };
            self.ask();
        }

        fn silence(&mut self) -> bool {
            let next = self.exchange.silence();
            self.goes_on(next)
        }

        fn takes(&mut self, request: u64, sent: Sent) -> bool {
            let next = match sent {
                Event(sequence, delivery) => {
                    let at = Timestamp::from_second(sequence as i64).unwrap();
                    match self.order.place(sequence, delivery, at) {
                        Arrival::Next { gone } => {
                            assert_eq!(gone, 0, "nothing was ever deleted from the stream");
                            assert_eq!(sequence, self.last + 1, "each once, and in order");
                            self.last = sequence;
                        }
                        Arrival::Again => assert!(sequence <= self.last, "{sequence} is left out"),
                        Arrival::Early { .. } => {
                            self.begin_again();
                            return false;
                        }
                        Arrival::Other => panic!("{sequence} never was another event"),
                    }
                    self.exchange.event(LENGTH)
                }
                Heartbeat => self.exchange.status(request, said(100, "Idle Heartbeat", None)),
                End(code, description, pending) => {
                    self.exchange.status(request, said(code, description, Some(pending)))
                }
            };
            self.goes_on(next)
        }

        /// From now on the broker answers as it should, and sends again what is not acknowledged: all after what
        /// was handed out, up to the last event of the stream.
        fn reaches(mut self, last: u64, deliveries: u64) -> Self {
            self.deliveries = self.deliveries.max(deliveries);
            let (before, left) = (self.requests, last - self.last);
            while self.last < last {
                let bound = before + left + 4;
                assert!(self.requests <= bound, "stuck: {self:?}");
                let request = self.requests;
                let first = self.last + 1;
                let sequences = first..=last.min(first + BATCH as u64 - 1);
                let pending = BATCH - sequences.clone().count();
                let mut goes_on = true;
                for sequence in sequences {
                    self.deliveries += 1;
                    goes_on = goes_on && self.takes(request, Event(sequence, self.deliveries));
                }
                if goes_on {
                    self.takes(request, End(404, "No Messages", pending));
                }
                if self.requests == request {
                    self.silence();
                }
            }
            self
        }
    }

    fn said(code: u16, description: &str, pending: Option<usize>) -> Status<'_> {
        Status { code: StatusCode::from_u16(code).unwrap(), description, pending }
    }

    /// Plays all that may arrive: each order of the answers that is possible, since no request is answered before it
    /// is made, each loss, and silences anywhere. Gives how many ways there were.
    fn plays(reader: &Reader, left: &mut Answers, silences: u32, script: &Script) -> u64 {
        // None of the rest arrives.
        let reached = reader.clone().reaches(script.last, script.deliveries);
        assert_eq!(reached.last, script.last);
        let mut ways = 1;
        if silences > 0 {
            let mut quiet = reader.clone();
            if quiet.silence() {
                ways += plays(&quiet, left, silences - 1, script);
            } else {
                quiet.reaches(script.last, 0);
            }
        }
        for place in 0..left.len() {
            let (request, sent) = left[place];
            // The same twice arrives as the first of them.
            if request > reader.requests || left[..place].contains(&(request, sent)) {
                continue;
            }
            left.remove(place);
            let mut next = reader.clone();
            if next.takes(request, sent) {
                ways += plays(&next, left, silences, script);
            } else {
                // What else was sent for the old consumer comes to nobody.
                next.reaches(script.last, 0);
                ways += 1;
            }
            left.insert(place, (request, sent));
        }
        ways
    }

    /// What the broker sends for three requests.
    struct Script {
        answers: Answers,
        /// The last event of the stream.
        last: u64,
        /// How many deliveries were made.
        deliveries: u64,
    }

    impl Script {
        fn new(answers: &[(u64, Sent)]) -> Self {
            let mut script = Self { answers: answers.to_vec(), last: 0, deliveries: 0 };
            for (request, sent) in answers {
                assert!(*request <= REQUESTS);
                if let Event(sequence, delivery) = sent {
                    script.last = script.last.max(*sequence);
                    script.deliveries = script.deliveries.max(*delivery);
                }
            }
            script
        }
    }

    /// A request that is full, one that the broker ends for different reasons, and one more.
    fn scripts() -> Vec<Script> {
        let ends = [
            (404, "No Messages"),
            (408, "Request Timeout"),
            (409, "Leadership Change"),
            (409, "Batch Completed"),
            (409, "something of a later version"),
        ];
        let mut scripts = Vec::new();
        for (code, description) in ends {
            scripts.push(Script::new(&[
                (1, Event(1, 1)),
                (1, Event(2, 2)),
                (1, End(409, "Batch Completed", 0)),
                (2, Event(3, 3)),
                (2, End(code, description, 1)),
                (3, Heartbeat),
                (3, Event(4, 4)),
                (3, End(404, "No Messages", 1)),
            ]));
        }
        // One event is delivered again, since its acknowledgement was lost or late; and one that had not arrived.
        for again in [1, 2, 3] {
            scripts.push(Script::new(&[
                (1, Event(1, 1)),
                (1, Event(2, 2)),
                (1, End(409, "Batch Completed", 0)),
                (2, Event(3, 3)),
                (2, End(404, "No Messages", 1)),
                (3, Event(again, 4)),
                (3, Event(4, 5)),
                (3, End(409, "Batch Completed", 0)),
            ]));
        }
        scripts
    }

    #[test]
    fn whatever_arrives_of_three_requests_each_event_is_handed_out_once_and_nothing_is_stuck() {
        let mut ways = 0;
        for script in scripts() {
            ways += plays(&Reader::start(), &mut script.answers.clone(), 2, &script);
        }
        assert!(ways > 100_000, "{ways}");
    }

    /// All orders in which the events, and the statuses, keep theirs: a status only overtakes events, or is late.
    fn overtaken(reader: &Reader, events: &[(u64, Sent)], statuses: &[(u64, Sent)], last: u64) {
        if events.is_empty() && statuses.is_empty() {
            assert_eq!((reader.last, reader.begun_again), (last, 0));
            return;
        }
        let mut could = false;
        for (is_event, from) in [(true, events), (false, statuses)] {
            let Some((request, sent)) = from.first().copied() else { continue };
            if request > reader.requests {
                continue;
            }
            could = true;
            let mut next = reader.clone();
            assert!(next.takes(request, sent), "{sent:?} of {request} is no reason to begin again");
            match is_event {
                true => overtaken(&next, &events[1..], statuses, last),
                false => overtaken(&next, events, &statuses[1..], last),
            }
        }
        assert!(could, "the reader waits for what it has not asked for: {reader:?}");
    }

    #[test]
    fn an_end_that_overtakes_its_events_costs_nothing() {
        for script in scripts() {
            let is_event = |(_, sent): &&(u64, Sent)| matches!(sent, Event(..));
            let events: Answers = script.answers.iter().filter(is_event).copied().collect();
            let statuses: Answers =
                script.answers.iter().filter(|it| !is_event(it)).copied().collect();
            overtaken(&Reader::start(), &events, &statuses, script.last);
        }
    }
}
