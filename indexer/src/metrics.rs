//! Metrics of the indexer, and how far it is behind the stream.

use crate::consumer::BATCH;
use crate::dead::REFUSED_ANNOUNCEMENT;
use crate::pause_metrics::PauseMetrics;
use crate::reading::DEAD_REASONS;
use catalog::LossCause;
use completion::Completion;
use contract::event::Reason;
use jiff::{SignedDuration, Timestamp};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use shared::metrics::{Metrics, Refused};
use shared::stream::Position;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bounds of the buckets for a commit, in seconds: up to where a lock of somebody else ends it.
const COMMIT_SECONDS: [f64; 11] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Bounds of the buckets for a series, in seconds: from the settle period to `MAX_OPEN`.
const SERIES_SECONDS: [f64; 11] =
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

/// A gauge of seconds.
type Seconds = Gauge<f64, AtomicU64>;

/// What the indexer counts. Clones count together.
#[derive(Debug, Clone)]
pub struct IndexerMetrics {
    /// Whether it has the lease on the catalogue.
    pub active: Gauge,
    unread: Gauge,
    watermark_delay: Seconds,
    stream_bytes: Gauge,
    /// The size of INSTANCES at which senders are refused.
    pub stream_max_bytes: Gauge,
    batch_events: Histogram,
    batch_bytes: Histogram,
    commit_duration: Histogram,
    /// Series that are open.
    pub open_series: Gauge,
    completions: Family<ByReason, Counter>,
    disagreeing: Counter,
    incomplete: Counter,
    series_duration: Histogram,
    lost: Family<ByCause, Counter>,
    /// The pauses inside series, by source.
    pub pauses: PauseMetrics,
    /// Announcements that wait for the broker.
    pub outbox: Gauge,
    /// Messages in DEAD.
    pub dead_letters: Gauge,
    /// Bytes that are free where the catalogue is.
    pub disk_free: Gauge,
    /// Bytes of the file system where the catalogue is.
    pub disk_size: Gauge,
    progress: Arc<Mutex<Progress>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCause {
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

impl IndexerMetrics {
    /// At nought, to be told among `metrics`.
    #[must_use]
    pub fn registered(metrics: &Metrics) -> Self {
        let counted = Self {
            active: metrics.gauge(
                "indexer_active",
                "Whether this indexer has the catalogue (1) or stands by (0)",
            ),
            unread: metrics.gauge("unread_events", "Events of INSTANCES that are not indexed yet"),
            watermark_delay: metrics.register(
                "watermark_delay_seconds",
                "How long ago, by the clock of NATS, everything was indexed",
                Seconds::default(),
            ),
            stream_bytes: metrics.gauge("instances_stream_bytes", "Size of INSTANCES"),
            stream_max_bytes: metrics.gauge(
                "instances_stream_max_bytes",
                "Size of INSTANCES at which senders are refused",
            ),
            batch_events: metrics.histogram(
                "batch_events",
                "Events in a batch",
                [1.0, 2.0, 5.0, 10.0, 50.0, 200.0, 1000.0, BATCH as f64],
            ),
            // From 1 KiB, one event, to 4 MiB, where a batch ends.
            batch_bytes: metrics.histogram(
                "batch_bytes",
                "Bytes in a batch",
                exponential_buckets(1024.0, 4.0, 7),
            ),
            commit_duration: metrics.histogram(
                "commit_duration_seconds",
                "Time in which a batch was committed",
                COMMIT_SECONDS,
            ),
            open_series: metrics.gauge("open_series", "Series that are not complete"),
            completions: metrics
                .counters("completions", "Series that were complete, by the rule that decided it"),
            disagreeing: metrics.counter(
                "disagreeing_completions",
                "Series that were complete with instances of several patients or studies",
            ),
            incomplete: metrics.counter(
                "incomplete_completions",
                "Series that were complete without instances that INSTANCES has lost",
            ),
            series_duration: metrics.histogram(
                "series_duration_seconds",
                "Time from the first event of a series, or of a revision of it, to its completion",
                SERIES_SECONDS,
            ),
            lost: metrics.counters(
                "indexer_events_lost",
                "Acknowledged events that INSTANCES lost before they were indexed, or the end of \
                 which it has lost since",
            ),
            pauses: PauseMetrics::registered(metrics),
            outbox: metrics.gauge("outbox_announcements", "Announcements that NATS has not stored"),
            dead_letters: metrics.gauge("dead_letters", "Messages in DEAD"),
            disk_free: metrics
                .gauge("disk_free_bytes", "Free space on the file system of the catalogue"),
            disk_size: metrics.gauge("disk_size_bytes", "Size of the file system of the catalogue"),
            progress: Arc::default(),
        };
        metrics.refusals().begin(Refused::Event, &DEAD_REASONS);
        metrics.refusals().begin(Refused::Event, &[REFUSED_ANNOUNCEMENT]);
        for reason in Reason::ALL {
            counted.completions.get_or_create(&ByReason { reason: reason.as_str() }).inc_by(0);
        }
        for cause in LossCause::ALL {
            counted.lost(cause, 0);
        }
        counted
    }

    /// Another indexer has the catalogue: what is behind is shown there.
    pub fn stands_by(&self) {
        self.progress(|progress| *progress = Progress::default());
        for gauge in [&self.active, &self.unread, &self.open_series, &self.outbox] {
            gauge.set(0);
        }
        self.watermark_delay.set(0.0);
        self.pauses.forget();
    }

    /// Everything up to this sequence was indexed before: `open` series are still open.
    pub fn resumed(&self, after: u64, open: usize) {
        self.progress(|progress| progress.read = Some(after));
        self.open_series.set(open as i64);
    }

    /// A batch is committed, the last event of which has this sequence and was stored then.
    pub fn committed(&self, batch: &BatchSize, took: Duration, sequence: u64, at: Timestamp) {
        self.batch_events.observe(batch.events as f64);
        self.batch_bytes.observe(batch.bytes as f64);
        self.commit_duration.observe(took.as_secs_f64());
        self.progress(|progress| progress.committed(sequence, at));
    }

    /// Everything that was stored before this time is indexed.
    pub fn watermark_advanced(&self, watermark: Timestamp) {
        self.progress(|progress| progress.reached(watermark));
    }

    /// This is where INSTANCES stands.
    pub fn observed_stream(&self, position: &Position) {
        let behind = self.progress(|progress| progress.behind(position));
        self.stream_bytes.set(position.bytes as i64);
        if let Some((unread, delay)) = behind {
            self.unread.set(unread as i64);
            self.watermark_delay.set(delay.as_secs_f64());
        }
    }

    /// A series is complete.
    pub fn completed(&self, completion: &Completion) {
        self.completions.get_or_create(&ByReason { reason: completion.reason.as_str() }).inc();
        let took = completion.decided_at.duration_since(completion.opened_at);
        self.series_duration.observe(took.as_secs_f64());
        let is_incomplete = completion.missing > 0 || completion.at_source.is_some();
        self.incomplete.inc_by(u64::from(is_incomplete));
    }

    /// Its instances disagree on their patient or study.
    pub fn disagreed(&self) {
        self.disagreeing.inc();
    }

    /// So many events of INSTANCES are gone.
    pub fn lost(&self, cause: LossCause, events: u64) {
        self.lost.get_or_create(&ByCause { cause: cause.as_str() }).inc_by(events);
    }

    /// A series was registered by `POST /store`, and so was complete at once.
    pub fn series_registered(&self) {
        self.completions.get_or_create(&ByReason { reason: Reason::Stored.as_str() }).inc();
    }

    fn progress<T>(&self, with: impl FnOnce(&mut Progress) -> T) -> T {
        with(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How large a batch is.
#[derive(Debug, Clone, Copy)]
pub struct BatchSize {
    /// Its events.
    pub events: usize,
    /// Their payloads, together.
    pub bytes: usize,
}

/// How far everything is indexed.
#[derive(Debug, Default)]
struct Progress {
    /// Up to this sequence; `None` until that is known.
    read: Option<u64>,
    /// Up to this time of the broker's.
    until: Option<Timestamp>,
}

impl Progress {
    fn committed(&mut self, sequence: u64, at: Timestamp) {
        self.read = Some(sequence);
        self.reached(at);
    }

    fn reached(&mut self, time: Timestamp) {
        self.until = self.until.max(Some(time));
    }

    /// How many events are not indexed, and how long ago there were none.
    fn behind(&mut self, position: &Position) -> Option<(u64, SignedDuration)> {
        let unread = position.unread(self.read?);
        // What is ahead of the broker's clock is from before it was set back.
        self.until = self.until.map(|until| until.min(position.now));
        // Before the first batch nothing tells how old the backlog is: it is counted from now on.
        if unread == 0 || self.until.is_none() {
            self.reached(position.now);
        }
        let delay = position.now.duration_since(self.until?);
        Some((unread, delay.max(SignedDuration::ZERO)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::uid::SeriesInstanceUid;
    use shared::metrics::Format;

    fn second(number: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number)
    }

    fn at(first: u64, last: u64, now: i64) -> Position {
        Position { created: second(0), first, last, bytes: 0, replicas: 1, now: second(now) }
    }

    fn seconds(number: i64) -> SignedDuration {
        SignedDuration::from_secs(number)
    }

    #[test]
    fn the_delay_grows_while_something_waits_unread_and_not_while_nothing_comes() {
        let mut progress = Progress::default();
        assert_eq!(progress.behind(&at(1, 9, 90)), None, "nothing is known yet");
        progress.read = Some(7);
        assert_eq!(progress.behind(&at(1, 7, 100)), Some((0, seconds(0))));
        assert_eq!(progress.behind(&at(1, 7, 5000)), Some((0, seconds(0))), "nothing came");
        assert_eq!(progress.behind(&at(1, 9, 5010)), Some((2, seconds(10))));
        assert_eq!(progress.behind(&at(1, 9, 5070)), Some((2, seconds(70))), "it stands still");
        progress.committed(8, second(5004));
        assert_eq!(progress.behind(&at(1, 9, 5071)), Some((1, seconds(67))));
        progress.committed(9, second(5005));
        assert_eq!(progress.behind(&at(1, 9, 5072)), Some((0, seconds(0))));
    }

    #[test]
    fn a_backlog_is_as_old_as_what_was_read_of_it_last() {
        let mut progress = Progress { read: Some(0), until: None };
        assert_eq!(progress.behind(&at(1, 1000, 9000)), Some((1000, seconds(0))), "unknown");
        let mut progress = Progress { read: Some(0), until: None };
        progress.committed(500, second(4000));
        assert_eq!(progress.behind(&at(1, 1000, 9000)), Some((500, seconds(5000))));
    }

    #[test]
    fn what_was_purged_unread_is_not_waited_for() {
        let mut progress = Progress { read: Some(3), until: Some(second(1)) };
        assert_eq!(progress.behind(&at(8, 7, 9)), Some((0, seconds(0))));
    }

    #[test]
    fn every_rule_is_counted_from_the_beginning() {
        let metrics = Metrics::default();
        let counted = IndexerMetrics::registered(&metrics);
        counted.completed(&Completion {
            series: SeriesInstanceUid::parse("2.25.1").unwrap(),
            reason: Reason::Quiet,
            opened_at: second(10),
            decided_at: second(35),
            expected: None,
            at_source: None,
            listed: None,
            evidence: Vec::new(),
            absent: Vec::new(),
            fetched: Vec::new(),
            missing: 0,
            retrieve_from: None,
            hold_disagreeing: false,
        });
        counted.series_registered();
        let text = metrics.text(Format::Prometheus);
        for sample in [
            "collimator_completions_total{reason=\"quiet\"} 1",
            "collimator_completions_total{reason=\"overdue\"} 0",
            "collimator_indexer_events_lost_total{cause=\"missing\"} 0",
            "collimator_incomplete_completions_total 0",
            "collimator_completions_total{reason=\"stored\"} 1",
            "collimator_series_duration_seconds_bucket{le=\"15\"} 0",
            "collimator_series_duration_seconds_bucket{le=\"30\"} 1",
            "collimator_refusals_total{what=\"event\",cause=\"unreadable\"} 0",
        ] {
            assert!(text.lines().any(|line| line == sample), "{sample} in {text}");
        }
    }
}
