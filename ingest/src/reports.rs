//! Where the receiver reports what senders did: its metrics, the audit trail, and how much of it goes into the log.

use crate::audit;
use crate::log_limit::LogLimit;
use crate::metrics::IngestMetrics;
use shared::audit::{Auditor, code};
use shared::metrics::{Metrics, Refusals, Refused};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Warnings a second about what peers do wrong.
const FAULTS_LOGGED: u32 = 20;

/// The metrics, the audit trail and the limit on the log. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    /// Counts what is received.
    pub metrics: IngestMetrics,
    /// Counts what is refused.
    pub refusals: Refusals,
    /// Records who sent what, and who was refused.
    pub auditor: Auditor,
    faults: Arc<LogLimit>,
}

impl Reports {
    /// Registers the receiver's metrics.
    #[must_use]
    pub(crate) fn new(metrics: &Metrics, auditor: Auditor) -> Self {
        Self {
            metrics: IngestMetrics::registered(metrics),
            refusals: metrics.refusals(),
            auditor,
            faults: Arc::new(LogLimit::per_second(FAULTS_LOGGED)),
        }
    }

    /// Counts a fault of a peer. If it may be logged, returns how many there were since the last one that was.
    #[must_use]
    pub(crate) fn fault(&self) -> Option<u64> {
        self.faults.count(Instant::now())
    }

    /// Counts and audits a connection that is refused before its caller has asked for an association.
    pub(crate) fn connection_refused(&self, peer: IpAddr, cause: &'static str, why: impl ToString) {
        self.refusals.count(Refused::Association, cause);
        audit::security_alert(&self.auditor, peer, None, cause, code::NODE_AUTHENTICATION, why);
    }
}
