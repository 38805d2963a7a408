//! Dead letters: events that can't be read, kept whole with what is wrong with them.

use crate::consumer::Delivery;
use anyhow::Context as _;
use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use shared::stream::INSTANCES;
use shared::subject::Subject;

/// Publishes a dead letter and waits until the broker has it.
///
/// # Errors
/// When it could not be stored; the event must then not be acknowledged.
pub async fn bury(
    jetstream: &Context,
    delivery: &Delivery,
    reason: &str,
    error: &str,
) -> anyhow::Result<()> {
    let message = delivery.dead.as_ref().context("a dead letter without its message")?;
    let sequence = delivery.sequence.to_string();
    tracing::warn!(sequence, reason, error, "dead letter");
    let mut headers = HeaderMap::new();
    for (name, values) in message.headers.iter().flat_map(HeaderMap::iter) {
        // The broker acts on its own headers; the letter must only tell them.
        let name = name.to_string();
        let name = match name.starts_with("Nats-") {
            true => format!("Original-{name}"),
            false => name,
        };
        for value in values {
            headers.append(name.as_str(), value.as_str());
        }
    }
    headers.insert("Nats-Msg-Id", format!("{INSTANCES}:{}:{sequence}", delivery.at).as_str());
    headers.insert("Collimator-Subject", message.subject.as_str());
    headers.insert("Collimator-Stream", INSTANCES);
    headers.insert("Collimator-Sequence", sequence.as_str());
    headers.insert("Collimator-Error", error);
    let subject = Subject::dead(reason).to_string();
    let payload = message.payload.clone();
    let stored = jetstream.publish_with_headers(subject, headers, payload).await;
    stored.context("publishing a dead letter")?.await.context("storing a dead letter")?;
    Ok(())
}
