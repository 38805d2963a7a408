//! Events that can't be read become dead letters, and announcements that a person has to
//! decide on, or that the broker refuses for good.

use crate::consumer::Delivery;
use anyhow::Context as _;
use async_nats::Message;
use async_nats::jetstream::Context;
use catalog::Announcement;
use contract::event::INDEXER;
use contract::subject::Subject;
use shared::dead::Dead;
use shared::stream::{INSTANCES, SERIES, headers};

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
    let letter = Dead { message, stream: INSTANCES, sequence: Some(sequence), error };
    let subject = Subject::dead(reason);
    tracing::warn!(%subject, stream = INSTANCES, sequence, error, "dead letter");
    letter.bury(jetstream, &subject, &id).await
}

/// What an announcement that is held back is filed under.
pub const HELD: &str = "held";

/// What an announcement that the broker refuses for good is filed under.
pub const REFUSED_ANNOUNCEMENT: &str = "refused_announcement";

/// Publishes an announcement as a dead letter and waits until the broker has it. The id by which it was
/// to be published is among the headers.
///
/// # Errors
/// When it could not be stored; the announcement must then not be forgotten.
pub async fn bury_announcement(
    jetstream: &Context,
    announcement: &Announcement,
    reason: &'static str,
    why: &str,
) -> anyhow::Result<()> {
    let Announcement { subject, message_id, time, payload, .. } = announcement;
    let message = Message {
        subject: subject.to_string().into(),
        reply: None,
        payload: payload.clone().into(),
        headers: Some(headers(subject, INDEXER, message_id, *time)),
        status: None,
        description: None,
        length: payload.len(),
    };
    let letter = Dead { message: &message, stream: SERIES, sequence: None, error: why };
    let bytes = payload.len();
    tracing::warn!(id = message_id, bytes, reason, why, "an announcement becomes a dead letter");
    letter.bury(jetstream, &Subject::dead(reason), &format!("{reason}:{message_id}")).await
}
