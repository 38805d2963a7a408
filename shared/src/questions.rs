//! Questions to sources on their way from the indexer to the receivers: one durable consumer that all receivers share,
//! so that each question is asked once. The indexer makes it; receivers may take from it and acknowledge, no more.

use crate::durable;
use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use std::time::Duration;

/// A kind of errand that a receiver is sent on, and the consumer of the stream INSTANCES that hands them out.
#[derive(Debug, Clone, Copy)]
pub struct Errands {
    /// The name of the consumer.
    pub consumer: &'static str,
    /// Where a receiver takes the next one.
    pub next: &'static str,
    /// What the consumer delivers, of every source.
    subject: &'static str,
}

/// Questions to sources: `dicom.evidence.asked`.
pub const QUESTIONS: Errands = Errands {
    consumer: "asker",
    next: "$JS.API.CONSUMER.MSG.NEXT.INSTANCES.asker",
    subject: "dicom.evidence.asked.*",
};

/// Instances to be fetched from sources: `dicom.evidence.wanted`.
pub const FETCHES: Errands = Errands {
    consumer: "fetcher",
    next: "$JS.API.CONSUMER.MSG.NEXT.INSTANCES.fetcher",
    subject: "dicom.evidence.wanted.*",
};

/// After so long without a word of it a question is given to another receiver: the one that took it is gone.
const ACK_WAIT: Duration = Duration::from_secs(15);

/// Receivers that a question is given to. By then its series is long complete.
const MAX_DELIVER: i64 = 3;

/// Questions that are with receivers at one time.
const MAX_PENDING: i64 = 256;

/// Makes the consumer, or brings it up to date. It begins with what comes from now on.
///
/// # Errors
/// When the broker does not answer, or won't keep it.
pub async fn ensure(jetstream: &Context, errands: Errands) -> anyhow::Result<()> {
    let stream = jetstream.get_stream(crate::stream::INSTANCES).await?;
    let config = pull::Config {
        durable_name: Some(errands.consumer.to_owned()),
        // Not as `filter_subject`, which would be a part of the request's own subject.
        filter_subjects: vec![errands.subject.to_owned()],
        deliver_policy: DeliverPolicy::New,
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_deliver: MAX_DELIVER,
        max_ack_pending: MAX_PENDING,
        ..pull::Config::default()
    };
    durable::create(&stream, config).await.context("consumer of questions to sources")?;
    Ok(())
}
