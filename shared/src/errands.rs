//! Errands that receivers are sent on: each kind has one durable consumer of the stream INSTANCES that all receivers
//! share, so that each errand is run once and outlives the receiver that took it. The indexer makes the consumers;
//! receivers may take from them and acknowledge, no more.

use crate::durable;
use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use std::time::Duration;

/// A kind of errand, and the consumer that hands them out.
#[derive(Debug, Clone, Copy)]
pub struct Errands {
    /// The name of the consumer.
    pub consumer: &'static str,
    /// Where a receiver takes the next one.
    pub next: &'static str,
    /// What the consumer delivers, of every source.
    subject: &'static str,
    /// Whether it begins with what came before the consumer was made.
    with_earlier: bool,
    /// After so long without a word of it an errand is given to another receiver: the one that took it is gone.
    ack_wait: Duration,
    /// Receivers that an errand is given to at most; 0: any number.
    max_deliver: i64,
    /// Errands that are with receivers, or wait to be tried again, at one time.
    max_pending: i64,
}

/// Questions to sources: `dicom.evidence.asked`. After three receivers the series of a question is long complete.
pub const QUESTIONS: Errands = Errands {
    consumer: "asker",
    next: "$JS.API.CONSUMER.MSG.NEXT.INSTANCES.asker",
    subject: "dicom.evidence.asked.*",
    with_earlier: false,
    ack_wait: Duration::from_secs(15),
    max_deliver: 3,
    max_pending: 256,
};

/// Instances to be fetched from sources: `dicom.evidence.wanted`.
pub const FETCHES: Errands = Errands {
    consumer: "fetcher",
    next: "$JS.API.CONSUMER.MSG.NEXT.INSTANCES.fetcher",
    subject: "dicom.evidence.wanted.*",
    ..QUESTIONS
};

/// Lists by storage commitment, which are reported on: `dicom.evidence.listed`. One may come before the indexer is there.
pub const COMMITMENTS: Errands = Errands {
    consumer: "committer",
    next: "$JS.API.CONSUMER.MSG.NEXT.INSTANCES.committer",
    subject: "dicom.evidence.listed.*",
    with_earlier: true,
    ack_wait: Duration::from_secs(60),
    max_deliver: 0,
    max_pending: 1000,
};

/// Makes the consumer, or brings it up to date.
///
/// # Errors
/// When the broker does not answer, or won't keep it.
pub async fn ensure(jetstream: &Context, errands: Errands) -> anyhow::Result<()> {
    let stream = jetstream.get_stream(crate::stream::INSTANCES).await?;
    let config = pull::Config {
        durable_name: Some(errands.consumer.to_owned()),
        // Not as `filter_subject`, which would be a part of the request's own subject.
        filter_subjects: vec![errands.subject.to_owned()],
        deliver_policy: if errands.with_earlier { DeliverPolicy::All } else { DeliverPolicy::New },
        ack_policy: AckPolicy::Explicit,
        ack_wait: errands.ack_wait,
        max_deliver: errands.max_deliver,
        max_ack_pending: errands.max_pending,
        ..pull::Config::default()
    };
    durable::create(&stream, config)
        .await
        .with_context(|| format!("consumer {}", errands.consumer))?;
    Ok(())
}
