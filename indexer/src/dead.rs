//! Events that can't be read become dead letters.

use crate::consumer::Delivery;
use anyhow::Context as _;
use async_nats::jetstream::Context;
use shared::dead::Dead;
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
    let sequence = delivery.sequence;
    let id = format!("{INSTANCES}:{}:{sequence}", delivery.mark.at);
    let letter = Dead { message, stream: INSTANCES, sequence, error };
    let subject = Subject::dead(reason);
    tracing::warn!(%subject, stream = INSTANCES, sequence, error, "dead letter");
    letter.bury(jetstream, &subject, &id).await
}
