//! The account of one request for events: when it has brought what it will bring, whatever order the
//! broker's answers arrive in.
//!
//! With replicas the broker sends an event once its delivery has a quorum, and a status at once. So the
//! status that ends a request may overtake the events of that request. It says how many there are: what
//! was asked for, less `Nats-Pending-Messages`.

use async_nats::StatusCode;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It brought as much as it asked for, and there may be more.
    Full,
    /// It brought all that was there.
    Drained,
    /// The broker ended it for a reason of its own, a new leader for instance: the next one may do better.
    Refused,
    /// Nothing was heard of it.
    Silent,
}

/// What is to be done about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// More of it will come.
    Wait,
    /// It has ended.
    Ended(End),
    /// Its consumer is gone, or events of it are: everything has to be read again from the catalogue on.
    BeginAgain(String),
}

/// What the broker says of a request besides its events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status<'a> {
    pub code: StatusCode,
    pub description: &'a str,
    /// How many events of those asked for it did not send, where it says so.
    pub pending: Option<usize>,
}

/// One request, from the moment at which it was made.
#[derive(Debug, Clone)]
pub(super) struct Account {
    batch: usize,
    arrived: usize,
    /// Bytes that it may still bring.
    bytes: usize,
    /// How the broker says that it ended, and how many events it sent.
    ended: Option<(End, usize)>,
}

impl Account {
    /// For so many events, and bytes; 0 bytes is without a limit.
    pub(super) fn new(batch: usize, bytes: usize) -> Self {
        Self { batch, arrived: 0, bytes, ended: None }
    }

    /// An event of this length has arrived.
    pub(super) fn event(&mut self, length: usize) -> Next {
        self.arrived += 1;
        // As the broker counts them: with 0 left it says no more, whatever it was before.
        let all_bytes = self.bytes == length;
        self.bytes = self.bytes.saturating_sub(length);
        match self.ended {
            Some(_) => self.settle(),
            None if self.arrived >= self.batch || all_bytes => Next::Ended(End::Full),
            None => Next::Wait,
        }
    }

    /// The broker says something of this request.
    pub(super) fn status(&mut self, status: Status<'_>) -> Next {
        if status.code == StatusCode::IDLE_HEARTBEAT || self.ended.is_some() {
            return Next::Wait;
        }
        let end = match end(status.code, status.description) {
            Ok(end) => end,
            Err(reason) => return Next::BeginAgain(reason),
        };
        // One that does not say how many it sent has sent what is here.
        let sent =
            status.pending.map_or(self.arrived, |pending| self.batch.saturating_sub(pending));
        self.ended = Some((end, sent));
        self.settle()
    }

    /// Nothing came for as long as anything may take.
    pub(super) fn silence(&self) -> Next {
        match self.ended {
            None => Next::Ended(End::Silent),
            Some((_, sent)) => {
                let missing = sent.saturating_sub(self.arrived);
                Next::BeginAgain(format!("{missing} events were sent and did not arrive"))
            }
        }
    }

    fn settle(&self) -> Next {
        match self.ended {
            Some((end, sent)) if self.arrived >= sent => Next::Ended(end),
            _ => Next::Wait,
        }
    }
}

/// How a status ends its request; `Err` where the consumer is gone.
fn end(code: StatusCode, description: &str) -> Result<End, String> {
    const CONFLICT: u16 = 409;
    match (code.as_u16(), description) {
        (CONFLICT, "Batch Completed" | "Message Size Exceeds MaxBytes") => Ok(End::Full),
        (CONFLICT, "Consumer Deleted" | "Consumer is push based") => Err(description.to_owned()),
        _ if code == StatusCode::NOT_FOUND || code == StatusCode::TIMEOUT => Ok(End::Drained),
        _ => Ok(End::Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may happen to a request.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Answer {
        Event,
        Heartbeat,
        /// An end, with so many events pending.
        End(u16, &'static str, Option<usize>),
    }
    use Answer::{End as Status_, Event, Heartbeat};

    const COMPLETED: Answer = Status_(409, "Batch Completed", Some(0));

    fn after(account: &mut Account, answer: Answer) -> Next {
        let status = |code, description, pending| Status {
            code: StatusCode::from_u16(code).unwrap(),
            description,
            pending,
        };
        match answer {
            Event => account.event(10),
            Heartbeat => account.status(status(100, "Idle Heartbeat", None)),
            Status_(code, description, pending) => {
                account.status(status(code, description, pending))
            }
        }
    }

    fn orders(answers: &[Answer]) -> Vec<Vec<Answer>> {
        if answers.is_empty() {
            return vec![Vec::new()];
        }
        let mut all = Vec::new();
        for place in 0..answers.len() {
            let mut rest = answers.to_vec();
            let first = rest.remove(place);
            for mut order in orders(&rest) {
                order.insert(0, first);
                all.push(order);
            }
        }
        all
    }

    /// Plays answers to a request; gives how it went on, and how many events had arrived by then.
    fn played(account: &mut Account, answers: &[Answer]) -> (Next, usize) {
        for answer in answers {
            match after(account, *answer) {
                Next::Wait => {}
                next => return (next, account.arrived),
            }
        }
        (account.silence(), account.arrived)
    }

    /// Which answers arrive: every subset of them.
    fn arriving(answers: &[Answer]) -> impl Iterator<Item = Vec<Answer>> {
        (0..1_u32 << answers.len()).map(|these| {
            let is_there = |place: &usize| these >> place & 1 == 1;
            (0..answers.len()).filter(is_there).map(|place| answers[place]).collect()
        })
    }

    #[test]
    fn in_whatever_order_the_answers_to_a_request_arrive_it_ends_with_the_last_event() {
        let ends = [
            (COMPLETED, 3, End::Full),
            (Status_(404, "No Messages", Some(1)), 2, End::Drained),
            (Status_(408, "Request Timeout", Some(1)), 2, End::Drained),
            (Status_(409, "Message Size Exceeds MaxBytes", Some(1)), 2, End::Full),
            (Status_(409, "Leadership Change", Some(1)), 2, End::Refused),
            (Status_(409, "Server Shutdown", Some(1)), 2, End::Refused),
            (Status_(423, "Nats-Wrong-Pin-Id", Some(1)), 2, End::Refused),
        ];
        for (status, sent, end) in ends {
            let mut answers = vec![Event; sent];
            answers.extend([status, status, Heartbeat]);
            for order in orders(&answers) {
                let (next, arrived) = played(&mut Account::new(3, 1000), &order);
                assert_eq!((next, arrived), (Next::Ended(end), sent), "{order:?}");
            }
        }
    }

    #[test]
    fn whatever_is_lost_or_doubled_a_request_ends_and_never_as_a_success_without_its_events() {
        let answers = [Event, Event, Event, COMPLETED, Heartbeat, COMPLETED];
        for arriving in arriving(&answers) {
            for order in orders(&arriving) {
                let events = order.iter().filter(|answer| **answer == Event).count();
                let ended = order.contains(&COMPLETED);
                let (next, arrived) = played(&mut Account::new(3, 1000), &order);
                match (events, ended) {
                    (3, _) => assert_eq!((next, arrived), (Next::Ended(End::Full), 3), "{order:?}"),
                    (_, false) => assert_eq!(next, Next::Ended(End::Silent), "{order:?}"),
                    (_, true) => {
                        assert!(matches!(next, Next::BeginAgain(_)), "{order:?}: {next:?}")
                    }
                }
            }
        }
    }

    #[test]
    fn what_comes_late_of_a_request_that_was_given_up_stops_none_of_those_that_follow() {
        // Events do not say of which request they are. Two late ones, and two of each of two requests.
        let mine = [Event, Event, Status_(409, "Batch Completed", Some(0))];
        for late in 0..=2 {
            let answers = [&vec![Event; late][..], &mine, &[Event, Event]].concat();
            for order in orders(&answers) {
                let mut left = &order[..];
                let mut requests = 0;
                while !left.is_empty() {
                    let mut account = Account::new(2, 1000);
                    let mut taken = 0;
                    let mut next = Next::Wait;
                    while next == Next::Wait && taken < left.len() {
                        next = after(&mut account, left[taken]);
                        taken += 1;
                    }
                    assert!(!matches!(next, Next::BeginAgain(_)), "{order:?}");
                    left = &left[taken..];
                    requests += 1;
                }
                assert!(requests <= 5, "{order:?}");
            }
        }
    }

    #[test]
    fn an_end_that_does_not_say_how_many_events_it_sent_is_an_end() {
        let mut account = Account::new(3, 1000);
        assert_eq!(after(&mut account, Event), Next::Wait);
        let end = Status_(404, "No Messages", None);
        assert_eq!(after(&mut account, end), Next::Ended(End::Drained));
    }

    #[test]
    fn a_request_that_brought_all_its_bytes_is_full() {
        let mut account = Account::new(3, 20);
        assert_eq!(after(&mut account, Event), Next::Wait);
        assert_eq!(after(&mut account, Event), Next::Ended(End::Full));
    }

    #[test]
    fn only_a_consumer_that_is_gone_is_a_reason_to_begin_again() {
        for description in ["Consumer Deleted", "Consumer is push based"] {
            let next = after(&mut Account::new(3, 0), Status_(409, description, None));
            assert_eq!(next, Next::BeginAgain(description.to_owned()));
        }
        for (code, description) in [
            (400, "Bad Request"),
            (409, "Exceeded MaxWaiting"),
            (409, "something of a later version"),
            (503, "No Responders"),
        ] {
            let next = after(&mut Account::new(3, 0), Status_(code, description, None));
            assert_eq!(next, Next::Ended(End::Refused), "{code} {description}");
        }
    }
}
