//! A message as NATS takes it, and its publish.

use crate::stream::headers;
use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishAckFuture, PublishError};
use async_nats::jetstream::publish::PublishAck;
use bytes::Bytes;
use contract::event::Event;

/// A message as NATS takes it. To publish it again is to publish the same: it keeps its `Nats-Msg-Id`.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where it is published.
    pub subject: String,
    /// CloudEvents 1.0, and the id by which JetStream recognises a second publish.
    pub headers: HeaderMap,
    /// The event as JSON.
    pub payload: Bytes,
}

impl Message {
    /// The message of an event.
    ///
    /// # Errors
    /// When the event is no JSON.
    pub fn of<E: Event>(event: &E) -> serde_json::Result<Self> {
        let subject = event.subject();
        Ok(Self {
            headers: headers(&subject, E::SOURCE, &event.id(), event.time()),
            subject: subject.to_string(),
            payload: serde_json::to_vec(event)?.into(),
        })
    }

    /// Publishes it to a stream; what it gives ends with the acknowledgement.
    ///
    /// # Errors
    /// When it can't be published, for example since it is too long.
    pub async fn publish(self, jetstream: &Context) -> Result<PublishAckFuture, PublishError> {
        jetstream.publish_with_headers(self.subject, self.headers, self.payload).await
    }

    /// Publishes it, and waits until the broker has acknowledged it as stored.
    ///
    /// # Errors
    /// When it has not. The message may be stored all the same.
    pub async fn store(self, jetstream: &Context) -> Result<PublishAck, PublishError> {
        self.publish(jetstream).await?.await
    }
}
