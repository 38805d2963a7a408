//! Dead letters: events that can't be read, kept with what is wrong with them, and whole unless they are as
//! long as a message may be.

use crate::consumer::Delivery;
use anyhow::Context as _;
use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use async_nats::jetstream::Context;
use shared::stream::INSTANCES;
use shared::subject::Subject;

/// Bytes of a message's own headers, beyond which a letter goes without them; ours take less than that.
/// As much has to be left of what a NATS message may have, or a letter could never be stored.
const MAX_HEADERS: usize = 4 * 1024;

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
    let theirs = message.headers.iter().filter(|headers| length(headers) <= MAX_HEADERS);
    for (name, values) in theirs.flat_map(HeaderMap::iter) {
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
    let longest = jetstream.client().server_info().max_payload.saturating_sub(2 * MAX_HEADERS);
    let payload = message.payload.slice(..message.payload.len().min(longest));
    if payload.len() < message.payload.len() {
        headers.insert("Collimator-Truncated-From", message.payload.len().to_string().as_str());
    }
    let stored = jetstream.publish_with_headers(subject, headers, payload).await;
    stored.context("publishing a dead letter")?.await.context("storing a dead letter")?;
    Ok(())
}

fn length(headers: &HeaderMap) -> usize {
    let values = |(name, values): (&HeaderName, &Vec<HeaderValue>)| {
        let name: &str = name.as_ref();
        values.iter().map(|value| name.len() + value.as_str().len() + 4).sum::<usize>()
    };
    headers.iter().map(values).sum()
}
