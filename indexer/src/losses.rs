//! Acknowledged events that INSTANCES no longer has: logged, counted, and a part of readiness
//! until the next start.

use crate::metrics::IndexerMetrics;
use catalog::{Loss, LossCause};
use shared::health::Part;

/// Where losses are said.
#[derive(Debug, Clone)]
pub struct Losses {
    health: Part,
    metrics: IndexerMetrics,
}

impl Losses {
    /// Ready as long as nothing is lost.
    #[must_use]
    pub fn new(health: Part, metrics: IndexerMetrics) -> Self {
        health.ready();
        Self { health, metrics }
    }

    /// Says that events are gone. What they were of, nobody knows; the senders were told Success.
    pub fn report(&self, loss: &Loss) {
        let Loss { first, last, cause, .. } = *loss;
        let (events, cause_word) = (loss.events(), cause.as_str());
        self.metrics.lost(cause, events);
        let what = match cause {
            LossCause::Missing => "are missing in INSTANCES, unread",
            LossCause::Purged => "were removed from the start of INSTANCES, unread",
            LossCause::Replaced => {
                "are no longer in INSTANCES, which has lost its end or was put back from a copy; \
                 the catalogue keeps what it read of them"
            }
        };
        tracing::error!(first, last, events, cause = cause_word, "events {what}");
        self.health.not_ready(format!(
            "{events} events, {first} to {last}, {what}; have the senders send again what is \
             incomplete, then restart the indexer"
        ));
    }
}
