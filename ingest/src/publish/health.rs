//! Whether events are being stored: while the broker stores none, this receiver is not ready, so that
//! monitoring and load balancers notice before its senders complain.

use crate::publish::refused::PublishRefused;
use jiff::Timestamp;
use shared::acknowledgements::Acknowledgements;
use shared::health::Part;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Readiness and outages of publishing, from what became of the latest events.
#[derive(Debug)]
pub(crate) struct PublishHealth {
    health: Part,
    acknowledgements: Acknowledgements,
    /// Why the latest event is not stored; none while events are.
    refusal: Mutex<Option<PublishRefused>>,
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
        let (refusal, outage, refused) = (Mutex::default(), Mutex::default(), Notify::new());
        Self { health, acknowledgements, refusal, outage, refused }
    }

    /// Records that an event is stored.
    pub(crate) fn stored(&self) {
        if locked(&self.refusal).take().is_some() {
            self.acknowledgements.arrived();
            self.health.ready();
        }
    }

    /// Why the broker did not store the latest events, while senders are being refused for that.
    #[must_use]
    pub(crate) fn refusal(&self) -> Option<PublishRefused> {
        locked(&self.refusal).clone()
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
        if locked(&self.refusal).replace(error.clone()).is_none() {
            tracing::warn!(reason = detail, "NATS stores no events; senders are refused");
        }
        self.health.not_ready(detail);
        let outage = || Outage { refused_at: Timestamp::now(), cause: error.to_string() };
        locked(&self.outage).get_or_insert_with(outage);
        self.refused.notify_one();
    }

    /// Waits for the first refusal since the last call.
    pub(crate) async fn outage(&self) -> Outage {
        loop {
            let outage = locked(&self.outage).take();
            match outage {
                Some(outage) => return outage,
                None => self.refused.notified().await,
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
