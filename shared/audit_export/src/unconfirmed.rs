//! Messages that the broker has delivered and that are not known to have reached the repository.

use super::metrics::{Outcome, SyslogMetrics};
use async_nats::jetstream::AckKind;
use async_nats::jetstream::message::Acker;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long the connection has to last after a message was written for the message to count as sent:
/// longer than [`UNACKNOWLEDGED`](super::connection::UNACKNOWLEDGED), after which a connection that the
/// other side acknowledges nothing of has ended. So its kernel had it, and its program was there to read it.
pub(crate) const HOLD: Duration = Duration::from_secs(8);

/// In the order in which they were delivered.
pub(crate) struct Unconfirmed {
    written: VecDeque<(Instant, Acker)>,
    unwritten: Vec<Acker>,
    /// Messages that the broker has still to deliver.
    pending: u64,
    metrics: SyslogMetrics,
}

impl Unconfirmed {
    pub(crate) fn new(metrics: &SyslogMetrics) -> Self {
        let (written, unwritten) = (VecDeque::new(), Vec::new());
        Self { written, unwritten, pending: 0, metrics: metrics.clone() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// The broker has as many messages to deliver.
    pub(crate) fn pending(&mut self, messages: u64) {
        self.pending = messages;
        self.metrics.waiting(self.pending + self.written.len() as u64);
    }

    /// One is written now.
    pub(crate) fn written(&mut self, message: Acker) {
        self.written.push_back((Instant::now() + HOLD, message));
    }

    /// One was delivered and will not be written.
    pub(crate) fn unwritten(&mut self, message: Acker) {
        self.unwritten.push(message);
    }

    /// Waits until the first of them counts as sent; without end when none was written.
    pub(crate) async fn due(&self) {
        match self.written.front() {
            Some((due, _)) => sleep_until(*due).await,
            None => std::future::pending().await,
        }
    }

    /// Acknowledges those that count as sent by now.
    pub(crate) async fn settle(&mut self) {
        self.settle_until(Instant::now()).await;
    }

    /// Acknowledges all that were written, and waits for the broker to say that it knows.
    pub(crate) async fn settle_all(&mut self) {
        let last = self.written.pop_back();
        self.settle_until(Instant::now() + HOLD).await;
        if let Some((_, last)) = last {
            // It knows of those before as well then.
            let _ = last.double_ack().await;
            self.metrics.count(Outcome::Sent);
        }
    }

    async fn settle_until(&mut self, now: Instant) {
        while let Some((_, message)) = self.written.pop_front_if(|(due, _)| *due <= now) {
            // When the broker can't be told, it delivers again: twice is better than never.
            let _ = message.ack().await;
            self.metrics.count(Outcome::Sent);
        }
        self.pending(self.pending);
    }

    /// Gives all back to the broker, in this order: so it delivers them again, before anything newer.
    pub(crate) async fn give_back(self) {
        for (_, message) in self.written {
            self.metrics.count(Outcome::Repeated);
            let _ = message.ack_with(AckKind::Nak(None)).await;
        }
        for message in self.unwritten {
            let _ = message.ack_with(AckKind::Nak(None)).await;
        }
    }
}
