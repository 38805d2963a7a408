//! Requests for events. The broker holds no event back while a request stands, and one by one they cost
//! it and us several times as much as together: so it is asked for what is there, now and then, and a
//! request is left standing only where there is nothing.

use super::BATCH;
use super::deliveries::Deliveries;
use super::order::Order;
use anyhow::{Context as _, bail, ensure};
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::jetstream::{self, Message};
use async_nats::{StatusCode, Subject, Subscriber};
use futures_util::StreamExt as _;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of events in one request, if a message may not be longer: ordinary events have 1 or 2 KiB. The
/// broker cuts the connection of a client that has 64 MiB before it.
const BYTES: usize = 4 * 1024 * 1024;

/// What an event has besides its payload at the most.
const AROUND: usize = 64 * 1024;

/// How long a request stands while there is nothing, and how often the broker says that it still does.
const EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(1);

/// After how long without a word a request was lost, with the connection that it was made on; and after how
/// many of them in a row nobody answers.
const SILENCE: Duration = Duration::from_secs(3);
const SILENCES: u32 = 3;

/// What the broker says where there is no room in the request for the next event.
const NO_ROOM: &str = "Message Size Exceeds MaxBytes";

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It brought as much as it asked for, and there may be more.
    Full,
    /// It brought all that was there.
    Drained,
    /// Nothing was heard of it.
    Silent,
}

/// Asks for the events of the consumer, one request after the other.
pub(super) struct Requests {
    jetstream: jetstream::Context,
    consumer: PullConsumer,
    /// Where answers come: what ends a request under a subject of its own, events whatever request they
    /// are of.
    answers: Subscriber,
    inbox: String,
    /// How many were made.
    number: u64,
    /// Bytes in one at the most.
    bytes: usize,
}

impl Requests {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// When the connection is gone for good.
    pub(super) async fn start(
        jetstream: &jetstream::Context,
        consumer: PullConsumer,
    ) -> anyhow::Result<Self> {
        let client = jetstream.client();
        let inbox = client.new_inbox();
        let answers = client.subscribe(format!("{inbox}.*")).await?;
        let bytes = BYTES.max(client.server_info().max_payload + AROUND);
        Ok(Self { jetstream: jetstream.clone(), consumer, answers, inbox, number: 0, bytes })
    }

    /// Reads what is there, up to one batch; where nothing is, waits until something comes. Gives how the
    /// request for what is there ended.
    ///
    /// # Errors
    /// When the broker refuses or is silent, or events came out of order. What came before is taken.
    pub(super) async fn next(
        &mut self,
        deliveries: &mut Deliveries,
        order: &mut Order,
    ) -> anyhow::Result<End> {
        let what_is_there = BatchConfig {
            batch: BATCH,
            max_bytes: self.bytes,
            no_wait: true,
            ..Default::default()
        };
        let looked = self.ask(what_is_there, deliveries, order).await?;
        let (mut end, mut silences) = (looked, 0);
        while deliveries.are_empty() {
            silences = if end == End::Silent { silences + 1 } else { 0 };
            ensure!(silences < SILENCES, "the broker is silent");
            let one = BatchConfig {
                batch: 1,
                expires: Some(EXPIRES),
                idle_heartbeat: HEARTBEAT,
                ..Default::default()
            };
            end = self.ask(one, deliveries, order).await?;
        }
        Ok(looked)
    }

    /// Makes one request and takes what comes until it ends.
    async fn ask(
        &mut self,
        request: BatchConfig,
        deliveries: &mut Deliveries,
        order: &mut Order,
    ) -> anyhow::Result<End> {
        self.number += 1;
        let this = Subject::from(format!("{}.{}", self.inbox, self.number));
        let (mut events, mut bytes) = (request.batch, request.max_bytes);
        self.consumer.request_batch(request, this.clone()).await.context("asking")?;
        loop {
            let Ok(answer) = timeout(SILENCE, self.answers.next()).await else {
                return Ok(End::Silent);
            };
            let message = answer.context("the connection to NATS is closed")?;
            match message.status {
                None | Some(StatusCode::OK) => {
                    // As the broker counts them: with 0 left it says no more, whatever it was before.
                    let all_bytes = bytes == message.length;
                    bytes = bytes.saturating_sub(message.length);
                    events -= 1;
                    let context = self.jetstream.clone();
                    deliveries.take(Message { message, context }, order)?;
                    if events == 0 || all_bytes {
                        return Ok(End::Full);
                    }
                }
                // Of a request that was given up, or one that ended with its last event.
                Some(_) if message.subject != this => {}
                Some(StatusCode::IDLE_HEARTBEAT) => {}
                Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => return Ok(End::Drained),
                Some(status) => match message.description.as_deref().unwrap_or_default() {
                    NO_ROOM => return Ok(End::Full),
                    said => bail!("the broker refuses: {status} {said}"),
                },
            }
        }
    }
}
