//! The messages of a consumer that the indexer has made, one after the other: questions to sources, requests for
//! commitment. The receiver knows the one subject on which it may ask for the next, and acknowledges on the one that
//! comes with it: it can do nothing else to the stream.

use async_nats::client::Request;
use async_nats::jetstream::Context;
use async_nats::{Client, Message, StatusCode};
use contract::event::Event;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use serde_json::json;
use shared::errands::Errands;
use shared::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a question is waited for before it is asked for anew. While the consumer is not made yet, or a leader of it is
/// elected, nobody answers at all; a question that comes then has to be taken before its source counts as silent.
const WAIT: Duration = Duration::from_secs(2);

/// How much longer the broker may take to say that there is none.
const GRACE: Duration = Duration::from_millis(500);

/// Pause after a failure: the broker is away.
const PAUSE: Duration = Duration::from_millis(500);

/// Counts errands by what came of them. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Outcomes(Family<ByOutcome, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

impl Outcomes {
    /// A metric, with each of these outcomes from 0 on.
    pub(crate) fn new(
        metrics: &Metrics,
        name: &str,
        help: &str,
        outcomes: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let family: Family<ByOutcome, Counter> = metrics.counters(name, help);
        for outcome in outcomes {
            family.get_or_create(&ByOutcome { outcome }).inc_by(0);
        }
        Self(family)
    }

    pub(crate) fn count(&self, outcome: &'static str) {
        self.0.get_or_create(&ByOutcome { outcome }).inc();
    }
}

/// Runs these errands, so many at one time, until told to stop. One that is cut off by that is given to another receiver, or
/// to this one when it starts again.
pub(crate) async fn run<F>(
    nats: &Client,
    errands: Errands,
    at_once: usize,
    stop: &CancellationToken,
    errand: impl Fn(Message) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(at_once));
    let mut running = JoinSet::new();
    let taking = async {
        while let Ok(place) = places.clone().acquire_owned().await {
            let errand = errand(next(nats, errands).await);
            running.spawn(async move {
                errand.await;
                drop(place);
            });
            while running.try_join_next().is_some() {}
        }
    };
    stop.run_until_cancelled(taking).await;
}

/// Takes the next message of these errands, however long that takes.
async fn next(nats: &Client, errands: Errands) -> Message {
    loop {
        match try_next(nats, errands).await {
            Ok(Some(message)) => return message,
            Ok(None) => {}
            Err(error) => {
                tracing::trace!("nothing can be taken by {}: {error}", errands.next);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn try_next(nats: &Client, errands: Errands) -> Result<Option<Message>, async_nats::Error> {
    let expires = u64::try_from(WAIT.as_nanos())?;
    let one = json!({ "batch": 1, "expires": expires }).to_string();
    // A question comes under its own subject, and only a subscription of the request's own takes it all the same.
    let request =
        Request::new().payload(one.into()).inbox(nats.new_inbox()).timeout(Some(WAIT + GRACE));
    let message = nats.send_request(errands.next, request).await?;
    match message.status {
        None => Ok(Some(message)),
        // 404: none, 408: none in time.
        Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => Ok(None),
        Some(status) => Err(format!("NATS answered with {status}").into()),
    }
}

/// Publishes what came of an errand, and waits until the broker has stored it.
///
/// # Errors
/// When it has not. The event may be stored all the same.
pub(crate) async fn publish<E: Event>(jetstream: &Context, event: &E) -> anyhow::Result<()> {
    shared::message::Message::of(event)?.store(jetstream).await?;
    Ok(())
}

/// Says that a message is done with; it is given to nobody else.
pub(crate) async fn acknowledge(nats: &Client, message: &Message) {
    reply(nats, message, "+ACK".to_owned()).await;
}

/// Says that somebody is at it still.
pub(crate) async fn in_progress(nats: &Client, message: &Message) {
    reply(nats, message, "+WPI".to_owned()).await;
}

/// Leaves a message to whoever takes it after this time.
pub(crate) async fn leave(nats: &Client, message: &Message, delay: Duration) {
    reply(nats, message, format!("-NAK {{\"delay\": {}}}", delay.as_nanos())).await;
}

async fn reply(nats: &Client, message: &Message, what: String) {
    let Some(reply) = message.reply.clone() else { return };
    if let Err(error) = nats.publish(reply, what.into()).await {
        tracing::debug!("message not answered for: {error}");
    }
}
