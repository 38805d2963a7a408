//! What operators ask of the indexer: published on the stream that it reads, so that a request is in
//! order with everything else that decides, and on the record.

use crate::problem::Problem;
use async_nats::Client;
use async_nats::jetstream::{self, Context};
use poem::http::StatusCode;
use shared::event::Event;
use shared::stream::headers;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SetOnce;
use tokio::time::timeout;

/// How long the broker may take to store a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way to the broker, once there is one. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    jetstream: Arc<SetOnce<Context>>,
}

impl Requests {
    /// From now on requests go through this connection.
    pub fn connect(&self, nats: Client) {
        // A second connection changes nothing: the first reconnects by itself.
        let _ = self.jetstream.set(jetstream::new(nats));
    }

    /// The connection, once there is one.
    pub(crate) fn jetstream(&self) -> Option<&Context> {
        self.jetstream.get()
    }

    /// The connection, once there is one: waits for it.
    pub(crate) async fn connected(&self) -> &Context {
        self.jetstream.wait().await
    }

    /// Publishes a request, and waits until the broker has stored it.
    ///
    /// # Errors
    /// 503 when it did not.
    pub async fn publish<E: Event>(&self, request: &E) -> Result<(), Problem> {
        let stored = match self.jetstream.get() {
            Some(jetstream) => timeout(PATIENCE, store(jetstream, request)).await,
            None => return Err(away("there is no connection to NATS yet")),
        };
        match stored {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(away(&format!("{error:#}"))),
            Err(_elapsed) => Err(away("NATS did not acknowledge in time")),
        }
    }
}

fn away(reason: &str) -> Problem {
    tracing::warn!(reason, "a request could not be passed on");
    let detail = format!("the request was not stored: {reason}; see that NATS runs, and try again");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

async fn store<E: Event>(jetstream: &Context, request: &E) -> anyhow::Result<()> {
    let subject = request.subject();
    let headers = headers(&subject, E::SOURCE, &request.id(), request.time());
    let payload = serde_json::to_vec(request)?;
    let stored = jetstream.publish_with_headers(subject.to_string(), headers, payload.into());
    stored.await?.await?;
    Ok(())
}
