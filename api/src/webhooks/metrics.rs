//! Metrics of webhooks, by name: the file has a bounded number of them.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use shared::metrics::Metrics;

/// What is counted of all.
#[derive(Debug, Clone)]
pub(super) struct WebhookMetrics {
    deliveries: Family<Delivery, Counter>,
    failing: Family<Webhook, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivery {
    webhook: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Webhook {
    webhook: String,
}

/// What is counted of one webhook.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Tries that its receiver answered with 2xx.
    pub(super) taken: Counter,
    /// All other tries.
    pub(super) failed: Counter,
    /// Completions that were given up.
    pub(super) dead_letters: Counter,
    /// 1 while its latest try has failed.
    pub(super) failing: Gauge,
}

impl WebhookMetrics {
    /// With no webhook so far, to be told among `metrics`.
    pub(super) fn registered(metrics: &Metrics) -> Self {
        Self {
            deliveries: metrics
                .counters("webhook_deliveries", "Deliveries to webhooks, by outcome"),
            failing: metrics.register(
                "webhook_failing",
                "Whether the latest delivery failed",
                Family::default(),
            ),
        }
    }

    /// Those of one webhook, at nought.
    pub(super) fn of(&self, name: &str) -> Counted {
        let webhook = name.to_owned();
        let outcome = |outcome| {
            let delivery = Delivery { webhook: webhook.clone(), outcome };
            self.deliveries.get_or_create_owned(&delivery)
        };
        Counted {
            taken: outcome("taken"),
            failed: outcome("failed"),
            dead_letters: outcome("dead_letter"),
            failing: self.failing.get_or_create_owned(&Webhook { webhook: webhook.clone() }),
        }
    }
}
