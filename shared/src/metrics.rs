//! What a service counts, for Prometheus to fetch at `/metrics`. No label names a patient, and none
//! takes a value that a peer can choose.

use poem::http::header;
use poem::web::Data;
use poem::{EndpointExt, IntoResponse, Response, get, handler};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Metric, Registry};
use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The text format of OpenMetrics 1.0, which Prometheus asks for first.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All that one process counts. Clones share it.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    refusals: Refusals,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Arc::new(Mutex::new(Registry::with_prefix("collimator")));
        let metrics = Self { registry, refusals: Refusals::default() };
        metrics.register("refusals", "What was refused, by cause", metrics.refusals.0.clone());
        metrics
    }
}

impl Metrics {
    /// Adds a metric: its name without the prefix `collimator_` and the suffix of its unit.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.registry().register(name, help, metric);
    }

    /// The counter of what is refused.
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }

    /// All of them, in the text format of OpenMetrics.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry()) {
            tracing::error!(%error, "metrics");
        }
        text
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts what was refused: `collimator_refusals_total{what="instance",cause="truncated"}`.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Family<Refusal, Counter>);

impl Refusals {
    /// One more.
    pub fn count(&self, what: Refused, cause: impl Into<Cow<'static, str>>) {
        self.0.get_or_create(&Refusal { what: what.label(), cause: cause.into() }).inc();
    }
}

/// What can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A request for an association: rejected, or not answered at all.
    Association,
    /// An association that was open: aborted by us.
    Abort,
    /// A C-STORE or another message: answered with a failure Status.
    Message,
    /// An event of the stream: put into `DEAD`.
    Event,
    /// An HTTP request: answered with 400 or above.
    Request,
}

impl Refused {
    fn label(self) -> &'static str {
        match self {
            Self::Association => "association",
            Self::Abort => "abort",
            Self::Message => "message",
            Self::Event => "event",
            Self::Request => "request",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    what: &'static str,
    cause: Cow<'static, str>,
}

/// `/metrics`.
#[must_use]
pub fn route(metrics: Metrics) -> impl poem::Endpoint<Output = Response> + use<> {
    get(scrape).data(metrics).map_to_response()
}

#[handler]
fn scrape(Data(metrics): Data<&Metrics>) -> Response {
    metrics.text().with_header(header::CONTENT_TYPE, OPEN_METRICS).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_cause() {
        let metrics = Metrics::default();
        let refusals = metrics.refusals();
        refusals.count(Refused::Message, "truncated");
        refusals.count(Refused::Message, "truncated");
        refusals.count(Refused::Request, "422".to_owned());
        let text = metrics.text();
        for line in [
            "# TYPE collimator_refusals counter",
            "collimator_refusals_total{what=\"message\",cause=\"truncated\"} 2",
            "collimator_refusals_total{what=\"request\",cause=\"422\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
