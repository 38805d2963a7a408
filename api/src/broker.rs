//! The handle to NATS, for all of the API. What operators ask of the indexer is published on the stream that it
//! reads, so that a request is in order with everything else that decides, and on the record.

use crate::http::problem::Problem;
use anyhow::Context as _;
use async_nats::Client;
use async_nats::jetstream::{self, Context};
use contract::event::Event;
use poem::http::StatusCode;
use shared::election::{self, ELECTION_TIMEOUT, TRY_TIMEOUT, is_cluster};
use shared::message::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SetOnce;
use tokio::time::Instant;

/// How long NATS may take, where it is one server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What it comes to when a request is not published.
const NOT_STORED: &str = "the request was not stored";

/// The connection to NATS, once there is one. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct BrokerHandle {
    jetstream: Arc<SetOnce<Context>>,
}

impl BrokerHandle {
    /// From now on requests go through this connection.
    pub fn connect(&self, nats: Client) {
        let mut jetstream = jetstream::new(nats);
        // Of one server too something is asked again, until `timeout`.
        jetstream.set_timeout(TRY_TIMEOUT);
        // A second connection changes nothing: the first reconnects by itself.
        let _ = self.jetstream.set(jetstream);
    }

    /// The connection, once there is one.
    pub(crate) fn jetstream(&self) -> Option<&Context> {
        self.jetstream.get()
    }

    /// The connection.
    ///
    /// # Errors
    /// When there is none yet.
    pub(crate) fn connection(&self) -> anyhow::Result<&Context> {
        self.jetstream.get().context("there is no connection to NATS yet")
    }

    /// The connection, once there is one: waits for it.
    pub(crate) async fn connected(&self) -> &Context {
        self.jetstream.wait().await
    }

    /// How long NATS may take: in a cluster the election of a leader too.
    pub(crate) fn timeout(&self) -> Duration {
        match self.jetstream.get().is_some_and(|it| is_cluster(&it.client())) {
            true => ELECTION_TIMEOUT,
            false => ANSWER_TIMEOUT,
        }
    }

    /// Asks NATS for something, and again while there is an election; `trouble` is what it comes to if there is no
    /// answer. `ask` may be called several times, and has to have the same effect then.
    ///
    /// # Errors
    /// 503 when NATS does not answer in time, or not with that.
    pub(crate) async fn ask<T, F: Future<Output = anyhow::Result<T>>>(
        &self,
        trouble: &str,
        ask: impl FnMut() -> F,
    ) -> Result<T, Problem> {
        let answered = election::until(Instant::now() + self.timeout(), ask).await;
        answered.map_err(|error| unavailable(trouble, &error))
    }

    /// Publishes a request, and waits until the broker has stored it. Gives its sequence in INSTANCES.
    ///
    /// # Errors
    /// 503 when it did not.
    pub async fn publish<E: Event>(&self, request: &E) -> Result<u64, Problem> {
        self.ask(NOT_STORED, || async { store(self.connection()?, request).await }).await
    }

    /// The same, and waits for the first connection too.
    ///
    /// # Errors
    /// 503 when the broker did not store it in time.
    pub async fn publish_once_connected<E: Event>(&self, request: &E) -> Result<u64, Problem> {
        self.ask(NOT_STORED, || async { store(self.connected().await, request).await }).await
    }
}

/// 503: what could not be done, and why.
pub(crate) fn unavailable(trouble: &str, error: &anyhow::Error) -> Problem {
    tracing::warn!("{trouble}: {error:#}");
    // Who has no right to ask gets no answer from NATS either.
    let detail = format!(
        "{trouble}: {error:#}; see that NATS and an indexer run, and that NATS lets this user do it, and try \
         again"
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

/// An id for a request to the indexer.
pub(crate) fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The event has the same `Nats-Msg-Id` each time, so it is stored once.
async fn store<E: Event>(jetstream: &Context, request: &E) -> anyhow::Result<u64> {
    Ok(Message::of(request)?.store(jetstream).await?.sequence)
}
