//! Metrics of the pauses inside series, by source: what `GET /sources` has, of a bounded number of sources.

use completion::Pauses;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use shared::metrics::Metrics;
use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sources whose pauses are among the metrics: those of which a series was complete first.
const MAX_SOURCES: usize = 100;

/// A gauge of seconds.
type Seconds = Gauge<f64, AtomicU64>;

/// The pauses of sources. Clones are one.
#[derive(Debug, Clone)]
pub struct PauseMetrics {
    pauses: Family<ByPercentile, Seconds>,
    suggested: Family<BySource, Seconds>,
    sources: Arc<Mutex<HashSet<String>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySource {
    source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPercentile {
    source: String,
    percentile: &'static str,
}

impl PauseMetrics {
    /// Of no source, to be told among `metrics`.
    #[must_use]
    pub fn registered(metrics: &Metrics) -> Self {
        Self {
            pauses: metrics.register(
                "series_pause_seconds",
                "Longest pause inside a series, of the latest series of a source: half of them have \
                 none longer, 99 of 100, all",
                Family::default(),
            ),
            suggested: metrics.register(
                "suggested_quiet_period_seconds",
                "Quiet period that the pauses of a source suggest",
                Family::default(),
            ),
            sources: Arc::default(),
        }
    }

    /// These pauses were learnt before, and no others.
    pub fn resumed<'a>(&self, pauses: impl Iterator<Item = (&'a str, &'a Pauses)>) {
        self.forget();
        pauses.for_each(|(sender, pauses)| self.learnt(sender, pauses));
    }

    /// The pauses inside series of this sender, now that one more is complete.
    pub fn learnt(&self, sender: &str, pauses: &Pauses) {
        let mut sources = self.sources();
        if !sources.contains(sender) && sources.len() >= MAX_SOURCES {
            return;
        }
        let Some(summary) = pauses.summary() else { return };
        sources.insert(sender.to_owned());
        let percentiles = [("50", summary.p50), ("99", summary.p99), ("100", summary.max)];
        for (percentile, pause) in percentiles {
            let labels = ByPercentile { source: sender.to_owned(), percentile };
            self.pauses.get_or_create(&labels).set(pause.as_secs_f64());
        }
        if let Some(period) = summary.suggested_quiet_period {
            let labels = BySource { source: sender.to_owned() };
            self.suggested.get_or_create(&labels).set(period.as_secs_f64());
        }
    }

    /// Another indexer has the catalogue.
    pub fn forget(&self) {
        self.sources().clear();
        self.pauses.clear();
        self.suggested.clear();
    }

    fn sources(&self) -> MutexGuard<'_, HashSet<String>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::metrics::Format;

    #[test]
    fn the_pauses_of_a_bounded_number_of_sources_are_told() {
        let metrics = Metrics::default();
        let counted = PauseMetrics::registered(&metrics);
        let mut pauses = Pauses::default();
        pauses.add(2500);
        counted.learnt("MR1", &pauses);
        let text = metrics.text(Format::Prometheus);
        assert!(!text.contains("suggested_quiet_period_seconds{"), "{text}");
        (0..19).for_each(|_| pauses.add(1000));
        for source in 0..MAX_SOURCES {
            counted.learnt(&format!("S{source}"), &pauses);
        }
        counted.learnt("MR1", &pauses);
        let text = metrics.text(Format::Prometheus);
        for sample in [
            "collimator_series_pause_seconds{source=\"MR1\",percentile=\"50\"} 1.023",
            "collimator_series_pause_seconds{source=\"MR1\",percentile=\"100\"} 2.5",
            "collimator_suggested_quiet_period_seconds{source=\"MR1\"} 4.0",
        ] {
            assert!(text.lines().any(|line| line == sample), "{sample} in {text}");
        }
        assert!(text.contains("\"S98\"") && !text.contains("\"S99\""), "{text}");
        counted.resumed([("CT1", &pauses)].into_iter());
        let text = metrics.text(Format::Prometheus);
        assert!(text.contains("\"CT1\"") && !text.contains("\"MR1\""), "{text}");
        counted.forget();
        assert!(!metrics.text(Format::Prometheus).contains("source="));
    }
}
