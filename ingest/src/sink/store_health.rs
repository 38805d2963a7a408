//! Whether instances can be kept: while they can't, this receiver is not ready, so that monitoring and load balancers
//! notice.

use bytesize::ByteSize;
use prometheus_client::metrics::gauge::Gauge;
use shared::health::{Health, Part};
use shared::metrics::Metrics;
use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::{Spool, StoreError};
use tokio::sync::Notify;

/// How often the free space is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often a store that failed is tried.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Readiness and free space of the store.
#[derive(Debug)]
pub(super) struct StoreHealth {
    spool: Spool,
    reserve: ByteSize,
    part: Part,
    /// Where it is known.
    free: Option<Gauge>,
    fails: AtomicBool,
    failed: Notify,
}

impl StoreHealth {
    /// Ready until something fails.
    pub(super) fn new(spool: Spool, reserve: ByteSize, health: &Health, metrics: &Metrics) -> Self {
        let part = health.part("store");
        part.ready();
        let help = "What is free on the file system of the instance store, in bytes";
        let free = spool.has_free_space().then(|| metrics.gauge("store_free_bytes", help));
        let (fails, failed) = (AtomicBool::new(false), Notify::new());
        Self { spool, reserve, part, free, fails, failed }
    }

    /// Records that an instance can't be kept, and why.
    pub(super) fn failed(&self, error: &StoreError) {
        let detail = match error.source() {
            Some(source) => format!("{error} ({source})"),
            None => error.to_string(),
        };
        if !self.fails.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason = detail, "instances can't be kept; senders are refused");
        }
        self.part.not_ready(detail);
        self.failed.notify_one();
    }

    fn works(&self) {
        if self.fails.swap(false, Ordering::Relaxed) {
            tracing::info!("instances are kept again");
            self.part.ready();
        }
    }

    /// Looks at the free space now and then, and after a failure when the store works again. Without end.
    pub(super) async fn watch(&self) {
        loop {
            match self.look().await {
                Ok(()) => self.works(),
                Err(error) => self.failed(&error),
            }
            match self.fails.load(Ordering::Relaxed) {
                true => tokio::time::sleep(TRY_EVERY).await,
                false => tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = self.failed.notified() => {}
                },
            }
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        if let Some(free) = self.spool.free().await? {
            if let Some(gauge) = &self.free {
                gauge.set(i64::try_from(free.0).unwrap_or(i64::MAX));
            }
            if free < self.reserve {
                return Err(StoreError::Reserved { free });
            }
        }
        match self.fails.load(Ordering::Relaxed) {
            true => self.spool.probe().await,
            false => Ok(()),
        }
    }
}
