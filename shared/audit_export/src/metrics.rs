//! What is counted of the Audit Record Repository.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use shared::metrics::Metrics;
use std::ops::Deref;

/// What is counted; all of it stays at nought where there is no repository. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct SyslogMetrics {
    messages: Family<Ended, Counter>,
    connected: Gauge,
    waiting: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

/// What became of an audit message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was written, and the connection lasted.
    Sent,
    /// It was written, and the connection ended too soon after that: it will be written again.
    Repeated,
    /// It can't be read, and was passed over.
    Unreadable,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Sent, Self::Repeated, Self::Unreadable];

    fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Repeated => "repeated",
            Self::Unreadable => "unreadable",
        }
    }
}

impl SyslogMetrics {
    /// At nought, to be told among `metrics`.
    pub(crate) fn registered(metrics: &Metrics) -> Self {
        let counted = Self {
            messages: metrics.counters("syslog_messages", "Audit messages by what became of them"),
            connected: metrics
                .gauge("syslog_connected", "Whether the Audit Record Repository is connected"),
            waiting: metrics.gauge(
                "syslog_waiting_messages",
                "Audit messages that the Audit Record Repository is not known to have",
            ),
        };
        for outcome in Outcome::ALL {
            counted.of(outcome).inc_by(0);
        }
        counted
    }

    /// One more.
    pub(crate) fn count(&self, outcome: Outcome) {
        self.of(outcome).inc();
    }

    fn of(&self, outcome: Outcome) -> impl Deref<Target = Counter> {
        self.messages.get_or_create(&Ended { outcome: outcome.label() })
    }

    pub(crate) fn connected(&self, is_connected: bool) {
        self.connected.set(is_connected.into());
    }

    pub(crate) fn waiting(&self, messages: u64) {
        self.waiting.set(i64::try_from(messages).unwrap_or(i64::MAX));
    }
}
