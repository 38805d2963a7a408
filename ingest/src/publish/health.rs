//! Whether events are being stored: while the broker stores none, this receiver is not ready, so that
//! monitoring and load balancers notice before its senders complain.

use crate::publish::refused::PublishRefused;
use jiff::Timestamp;
use shared::acknowledgements::Acknowledgements;
use shared::health::Part;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Readiness and outages of publishing, from what became of the latest events.
#[derive(Debug)]
pub(crate) struct PublishHealth {
    health: Part,
    acknowledgements: Acknowledgements,
    refuses: AtomicBool,
    /// The first refusal that nobody has asked for yet.
    outage: Mutex<Option<Outage>>,
    refused: Notify,
}

/// Events are not stored: from when on, and what the broker said first.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    /// When the first was refused.
    pub refused_at: Timestamp,
    /// Why.
    pub cause: String,
}

impl PublishHealth {
    /// Ready until an event is refused.
    #[must_use]
    pub(crate) fn new(health: Part, acknowledgements: Acknowledgements) -> Self {
        health.ready();
        let (outage, refused) = (Mutex::default(), Notify::new());
        Self { health, acknowledgements, refuses: AtomicBool::new(false), outage, refused }
    }

    /// Records that an event is stored.
    pub(crate) fn stored(&self) {
        if self.refuses.load(Ordering::Relaxed) && self.refuses.swap(false, Ordering::Relaxed) {
            self.acknowledgements.arrived();
            self.health.ready();
        }
    }

    /// Whether the broker did not store the latest events, so that senders are being refused.
    #[must_use]
    pub(crate) fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    /// Records that an event is not stored, and why.
    pub(crate) fn refused(&self, error: &PublishRefused) {
        match error {
            PublishRefused::TimedOut(_) | PublishRefused::Nobody(_) => {
                self.acknowledgements.missed()
            }
            PublishRefused::Full | PublishRefused::Refused { .. } => {
                self.acknowledgements.arrived();
            }
            // What is wrong with one event is not wrong with the broker.
            PublishRefused::TooLarge | PublishRefused::Duplicate => return,
        }
        let detail = error.detail();
        if !self.refuses.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason = detail, "NATS stores no events; senders are refused");
        }
        self.health.not_ready(detail);
        let outage = || Outage { refused_at: Timestamp::now(), cause: error.to_string() };
        self.outage.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(outage);
        self.refused.notify_one();
    }

    /// Waits for the first refusal since the last call.
    pub(crate) async fn outage(&self) -> Outage {
        loop {
            let outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner).take();
            match outage {
                Some(outage) => return outage,
                None => self.refused.notified().await,
            }
        }
    }
}
