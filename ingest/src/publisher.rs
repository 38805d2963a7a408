//! Publishing to the broker, and the wait for its word that an event is on disk.

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use shared::event::{Event, InstanceStored};
use shared::stream::headers;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The broker does not vouch for the event; its sender must keep the instance.
#[derive(Debug, thiserror::Error)]
pub enum PublishRefused {
    /// Not in the time there was.
    #[error("NATS did not acknowledge within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// The event is larger than a message may be.
    #[error("the event does not fit a NATS message")]
    TooLarge,
    /// The broker had an event of this id before the first try: two events share an id.
    #[error("NATS holds another event of the same id")]
    Duplicate,
    /// The broker says no: INSTANCES is full or gone.
    #[error("NATS refused: {0}")]
    Refused(String),
}

/// Publishes events and waits until they are stored. Clones share one connection.
#[derive(Debug, Clone)]
pub struct Publisher {
    jetstream: Context,
    timeout: Duration,
}

impl Publisher {
    /// Publishes through `jetstream`; `timeout` is for all tries of one event together.
    #[must_use]
    pub fn new(mut jetstream: Context, timeout: Duration) -> Self {
        // A lost acknowledgement is noticed while there is still time for a second try.
        jetstream.set_timeout(timeout / 2);
        Self { jetstream, timeout }
    }

    /// Publishes an event. Ok means that the broker has acknowledged it as stored.
    ///
    /// # Errors
    /// When it has not. It may be stored all the same: the catalogue counts it once.
    pub async fn publish(&self, event: &InstanceStored) -> Result<(), PublishRefused> {
        let payload = match serde_json::to_vec(event) {
            Ok(payload) => payload.into(),
            Err(error) => return Err(PublishRefused::Refused(error.to_string())),
        };
        self.publish_until(event, payload, Instant::now() + self.timeout).await
    }

    async fn publish_until(
        &self,
        event: &InstanceStored,
        payload: bytes::Bytes,
        deadline: Instant,
    ) -> Result<(), PublishRefused> {
        let subject = event.subject().to_string();
        let headers = headers::<InstanceStored>(&event.id(), event.time());
        let mut first_try = true;
        loop {
            // The same id every time, so a try whose acknowledgement was lost is not stored twice.
            let attempt = self.try_once(subject.clone(), headers.clone(), payload.clone());
            match timeout_at(deadline, attempt).await {
                Err(_elapsed) => return Err(PublishRefused::TimedOut(self.timeout)),
                Ok(Ok(duplicate)) if duplicate && first_try => {
                    return Err(PublishRefused::Duplicate);
                }
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => match error.kind() {
                    PublishErrorKind::TimedOut => first_try = false,
                    PublishErrorKind::MaxPayloadExceeded => return Err(PublishRefused::TooLarge),
                    _ => return Err(PublishRefused::Refused(error.to_string())),
                },
            }
        }
    }

    async fn try_once(
        &self,
        subject: String,
        headers: async_nats::HeaderMap,
        payload: bytes::Bytes,
    ) -> Result<bool, PublishError> {
        let acknowledgement =
            self.jetstream.publish_with_headers(subject, headers, payload).await?;
        Ok(acknowledgement.await?.duplicate)
    }
}
