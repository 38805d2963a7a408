//! What the receiver counts. All that is counted of an instance is counted once it is here whole, and
//! where is looked up when the association first uses its presentation context: a PDU costs nothing.

use dimse::Status;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use shared::metrics::{Metrics, Refused};

/// Bounds of the buckets for a C-STORE, in seconds: a small instance takes a millisecond, and one of
/// gigabytes a minute.
const STORE_SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

/// Bounds of the buckets for an acknowledgement of the broker, in seconds: up to where
/// `PUBLISH_TIMEOUT` ends it.
const ACKNOWLEDGED_SECONDS: [f64; 14] =
    [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0];

/// Causes of a refusal that are no fault of the sender's.
const OUR_CAUSES: [&str; 3] = ["nats_silent", "nats_stores_nothing", "nats_refused"];

/// What the receiver counts. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct IngestMetrics {
    associations: Family<ByOutcome, Counter>,
    open: Gauge,
    instances: Family<Stores, Counter>,
    bytes: Family<Stores, Counter>,
    /// How long C-STOREs take, from the first fragment of the command to the answer, in seconds.
    pub store_duration: Histogram,
    /// How long the broker takes to acknowledge an event, in seconds.
    pub acknowledged_after: Histogram,
    /// Heartbeats of instances that take long to arrive.
    pub heartbeats: Counter,
}

/// How an association, or the request for one, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// By A-RELEASE.
    Released,
    /// By A-ABORT of either side, or because the connection was lost.
    Aborted,
    /// It was never accepted.
    Rejected,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Released, Self::Aborted, Self::Rejected];

    fn label(self) -> ByOutcome {
        let outcome = match self {
            Self::Released => "released",
            Self::Aborted => "aborted",
            Self::Rejected => "rejected",
        };
        ByOutcome { outcome }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stores {
    sop_class: &'static str,
    status: &'static str,
}

impl IngestMetrics {
    /// Registers the metrics, at zero.
    #[must_use]
    pub(crate) fn registered(metrics: &Metrics) -> Self {
        let counted = Self {
            associations: metrics.counters(
                "associations",
                "Associations that have ended, and requests for one that were rejected",
            ),
            open: metrics.gauge("open_associations", "Associations that are open"),
            instances: metrics.counters(
                "received_instances",
                "C-STOREs that were answered, by the SOP class of their presentation context",
            ),
            bytes: metrics.counters("received_bytes", "Bytes of their data sets"),
            store_duration: metrics.histogram(
                "cstore_duration_seconds",
                "Time from the first fragment of a C-STORE's command to its answer",
                STORE_SECONDS,
            ),
            acknowledged_after: metrics.histogram(
                "acknowledgement_duration_seconds",
                "Time in which NATS acknowledged an event as stored",
                ACKNOWLEDGED_SECONDS,
            ),
            heartbeats: metrics.counter(
                "heartbeats",
                "Heartbeats of instances that took longer than a second to arrive",
            ),
        };
        metrics.refusals().begin(Refused::Message, &OUR_CAUSES);
        for outcome in Outcome::ALL {
            counted.associations.get_or_create(&outcome.label()).inc_by(0);
        }
        counted
    }

    /// Counts an association as open until the returned value is dropped.
    #[must_use]
    pub(crate) fn opened(&self) -> OpenAssociation {
        self.open.inc();
        OpenAssociation(self.open.clone())
    }

    /// An association ended.
    pub(crate) fn ended(&self, outcome: Outcome) {
        self.associations.get_or_create(&outcome.label()).inc();
    }

    /// The C-STOREs through a presentation context of this SOP class.
    #[must_use]
    pub(crate) fn of_class(&self, sop_class: &'static str) -> ClassMetrics {
        let stored = Stores { sop_class, status: word(Status::Success) };
        ClassMetrics {
            all: self.clone(),
            sop_class,
            instances: self.instances.get_or_create_owned(&stored),
            bytes: self.bytes.get_or_create_owned(&stored),
        }
    }
}

/// An association that is counted as open.
#[derive(Debug)]
pub(crate) struct OpenAssociation(Gauge);

impl Drop for OpenAssociation {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The C-STOREs of one SOP class.
#[derive(Debug)]
pub(crate) struct ClassMetrics {
    all: IngestMetrics,
    sop_class: &'static str,
    /// Those that are answered with Success: nearly all.
    instances: Counter,
    bytes: Counter,
}

impl ClassMetrics {
    /// One that brought as many bytes is answered.
    pub(crate) fn answered(&self, status: Status, bytes: u64) {
        if status == Status::Success {
            self.instances.inc();
            self.bytes.inc_by(bytes);
            return;
        }
        let refused = Stores { sop_class: self.sop_class, status: word(status) };
        self.all.instances.get_or_create(&refused).inc();
        self.all.bytes.get_or_create(&refused).inc_by(bytes);
    }
}

/// The class of a Status (PS3.4 table B.2-1), for a label.
fn word(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::UnrecognizedOperation => "unrecognized_operation",
        Status::OutOfResources => "out_of_resources",
        Status::DataSetDoesNotMatch => "data_set_does_not_match",
        Status::CannotUnderstand => "cannot_understand",
        Status::Other(_) => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::metrics::Format;

    #[test]
    fn stores_are_counted_by_class_and_status_and_associations_while_they_are_open() {
        let metrics = Metrics::default();
        let counted = IngestMetrics::registered(&metrics);
        let open = (counted.opened(), counted.opened());
        drop(open.0);
        counted.ended(Outcome::Aborted);
        let images = counted.of_class("CTImageStorage");
        images.answered(Status::Success, 1000);
        images.answered(Status::Success, 500);
        counted.of_class("CTImageStorage").answered(Status::OutOfResources, 7);
        let text = metrics.text(Format::Prometheus);
        for sample in [
            "collimator_open_associations 1",
            "collimator_associations_total{outcome=\"aborted\"} 1",
            "collimator_associations_total{outcome=\"rejected\"} 0",
            "collimator_received_instances_total{sop_class=\"CTImageStorage\",status=\"success\"} 2",
            "collimator_received_bytes_total{sop_class=\"CTImageStorage\",status=\"success\"} 1500",
            "collimator_received_bytes_total{sop_class=\"CTImageStorage\",status=\"out_of_resources\"} 7",
            "collimator_refusals_total{what=\"message\",cause=\"nats_silent\"} 0",
        ] {
            assert!(text.lines().any(|line| line == sample), "{sample} in {text}");
        }
    }
}
