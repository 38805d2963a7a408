//! What is counted of audit messages.

use crate::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// What became of audit messages. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct AuditMetrics(Family<ByOutcome, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByOutcome {
    outcome: &'static str,
}

pub(super) const STORED: ByOutcome = ByOutcome { outcome: "stored" };
pub(super) const LOST: ByOutcome = ByOutcome { outcome: "lost" };

impl AuditMetrics {
    /// To be told among `metrics`, from nought on.
    pub(crate) fn register(&self, metrics: &Metrics) {
        let help = "Messages of the audit trail, by what became of them";
        metrics.register("audit_messages", help, self.0.clone());
        for outcome in [STORED, LOST] {
            self.0.get_or_create(&outcome).inc_by(0);
        }
    }

    /// One more.
    pub(super) fn count(&self, outcome: &ByOutcome) {
        self.0.get_or_create(outcome).inc();
    }
}
