//! What a service counts, for Prometheus to fetch at `/metrics`. No label names a patient, and none
//! takes a value that a peer can choose.

use crate::process::Process;
use poem::http::header;
use poem::web::Data;
use poem::{EndpointExt, IntoResponse, Request, Response, get, handler};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use std::borrow::Cow;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus, which everybody reads.
    Prometheus,
    /// The text format of OpenMetrics 1.0, which Prometheus asks for first.
    OpenMetrics,
}

impl Format {
    /// What whoever sends this `Accept` header is given.
    fn accepted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What tells the metrics of a family apart.
pub trait Labels: EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static {}

impl<L: EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static> Labels for L {}

/// All that one process counts. Clones share it.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    refusals: Refusals,
    audit: AuditMessages,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::begun_now()));
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register("collimator_build", "Version of the running program", Info::new(version));
        let registry = Arc::new(Mutex::new(registry));
        let (refusals, audit) = (Refusals::default(), AuditMessages::default());
        let metrics = Self { registry, refusals, audit };
        metrics.register("refusals", "Refusals, by cause", metrics.refusals.0.clone());
        let help = "Messages of the audit trail, by what became of them";
        metrics.register("audit_messages", help, metrics.audit.0.clone());
        metrics.audit.begin();
        metrics
    }
}

impl Metrics {
    /// A counter, at zero. All names are without the prefix `collimator_`, and those of counters without
    /// `_total`.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.register(name, help, Counter::default())
    }

    /// A counter for each set of labels, with none so far.
    #[must_use]
    pub fn counters<L: Labels>(&self, name: &str, help: &str) -> Family<L, Counter> {
        self.register(name, help, Family::default())
    }

    /// A gauge, at zero.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(name, help, Gauge::default())
    }

    /// A histogram with buckets up to these bounds.
    #[must_use]
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        bounds: impl IntoIterator<Item = f64>,
    ) -> Histogram {
        self.register(name, help, Histogram::new(bounds))
    }

    /// Any other metric. Clones of one metric count together.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.registry().register(format!("collimator_{name}"), help, metric.clone());
        metric
    }

    /// Adds what is looked at when somebody asks.
    pub fn collect(&self, collector: impl Collector) {
        self.registry().register_collector(Box::new(collector));
    }

    /// The counter of what is refused.
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }

    /// The counter of audit messages.
    #[must_use]
    pub(crate) fn audit(&self) -> AuditMessages {
        self.audit.clone()
    }

    /// All of them.
    #[must_use]
    pub fn text(&self, format: Format) -> String {
        let mut written = String::new();
        let registry = self.registry();
        let done = match format {
            Format::Prometheus => prometheus_text::encode(&mut written, &registry),
            Format::OpenMetrics => text::encode(&mut written, &registry),
        };
        if let Err(error) = done {
            tracing::error!(%error, "metrics");
        }
        written
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts what was refused: `collimator_refusals_total{what="instance",cause="truncated"}`.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Family<Refusal, Counter>);

impl Refusals {
    /// Begins with none of these. A counter that appears with its first refusal has never risen as far
    /// as Prometheus knows, and nobody is woken by that one.
    pub fn begin(&self, what: Refused, causes: &[&'static str]) {
        for cause in causes {
            let refusal = Refusal { what: what.label(), cause: (*cause).into() };
            self.0.get_or_create(&refusal).inc_by(0);
        }
    }

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

/// Counts audit messages: `collimator_audit_messages_total{outcome="stored"}`.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditMessages(Family<AuditOutcome, Counter>);

impl AuditMessages {
    /// Begins with none of each outcome.
    fn begin(&self) {
        for outcome in [AuditOutcome::STORED, AuditOutcome::LOST] {
            self.0.get_or_create(&outcome).inc_by(0);
        }
    }

    /// One more.
    pub(crate) fn count(&self, outcome: &AuditOutcome) {
        self.0.get_or_create(outcome).inc();
    }
}

/// What became of an audit message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct AuditOutcome {
    outcome: &'static str,
}

impl AuditOutcome {
    pub(crate) const STORED: Self = Self { outcome: "stored" };
    pub(crate) const LOST: Self = Self { outcome: "lost" };
}

/// `/metrics`.
#[must_use]
pub fn route(metrics: Metrics) -> impl poem::Endpoint<Output = Response> + use<> {
    get(scrape).data(metrics).map_to_response()
}

#[handler]
fn scrape(request: &Request, Data(metrics): Data<&Metrics>) -> Response {
    let format = Format::accepted(request.header(header::ACCEPT));
    metrics.text(format).with_content_type(format.media_type()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;

    fn has(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line} in {text}");
        }
    }

    #[test]
    fn refusals_are_counted_by_cause() {
        let metrics = Metrics::default();
        let refusals = metrics.refusals();
        refusals.begin(Refused::Message, &["nats_silent", "truncated"]);
        refusals.count(Refused::Message, "truncated");
        refusals.count(Refused::Message, "truncated");
        refusals.count(Refused::Request, "422".to_owned());
        let samples = [
            "collimator_refusals_total{what=\"message\",cause=\"nats_silent\"} 0",
            "collimator_refusals_total{what=\"message\",cause=\"truncated\"} 2",
            "collimator_refusals_total{what=\"request\",cause=\"422\"} 1",
        ];
        let text = metrics.text(Format::OpenMetrics);
        has(&text, &["# TYPE collimator_refusals counter", "# EOF"]);
        has(&text, &samples);
        let text = metrics.text(Format::Prometheus);
        has(&text, &["# TYPE collimator_refusals_total counter"]);
        has(&text, &samples);
    }

    #[test]
    fn parts_that_are_ready_are_told_from_those_that_are_not() {
        let (metrics, health) = (Metrics::default(), Health::default());
        metrics.collect(health.clone());
        health.part("nats").ready();
        health.part("indexer").not_ready("the disk is full");
        let text = metrics.text(Format::Prometheus);
        let samples = ["collimator_ready{part=\"indexer\"} 0", "collimator_ready{part=\"nats\"} 1"];
        has(&text, &samples);
        assert!(!text.contains("disk is full"), "a label without a bound: {text}");
    }

    #[test]
    fn who_asks_for_open_metrics_gets_them_and_everybody_else_the_format_of_prometheus() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
        assert_eq!(Format::accepted(Some("*/*")), Format::Prometheus);
        assert_eq!(Format::accepted(None), Format::Prometheus);
    }
}
