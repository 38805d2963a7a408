//! Requests for events. The broker holds no event back while a request stands, and one by one they cost
//! it and us several times as much as together: so it is asked for what is there, now and then, and a
//! request is left standing only where there is nothing.

use super::BATCH;
use super::deliveries::Deliveries;
use super::order::Order;
use anyhow::{Context as _, bail};
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

/// How long a request stands while there is nothing, and how often the broker says that it still does.
const EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(1);

/// After how long without a word a request was lost, with the connection that it was made on.
const SILENCE: Duration = Duration::from_secs(3);

/// What the broker says where there is no room in the request for the next event.
const NO_ROOM: &str = "Message Size Exceeds MaxBytes";

/// What it says after the last event of a request that had room for more bytes.
const FULL: &str = "Batch Completed";

/// Whether there is more in the stream than a request brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    /// It brought as much as it asked for.
    Maybe,
    /// It brought all that was there.
    NotYet,
}

/// Asks for the events of the consumer, one request after the other.
pub(super) struct Requests {
    jetstream: jetstream::Context,
    consumer: PullConsumer,
    /// Where answers come, and under which subject.
    answers: Subscriber,
    inbox: Subject,
    /// In one request at most.
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
        let inbox = Subject::from(client.new_inbox());
        let answers = client.subscribe(inbox.clone()).await?;
        let bytes = BYTES.max(2 * client.server_info().max_payload);
        Ok(Self { jetstream: jetstream.clone(), consumer, answers, inbox, bytes })
    }

    /// Reads what is there, up to one batch; where nothing is, waits until something comes.
    ///
    /// # Errors
    /// When the broker refuses, or events came out of order. What came before is taken.
    pub(super) async fn next(
        &mut self,
        deliveries: &mut Deliveries,
        order: &mut Order,
    ) -> anyhow::Result<More> {
        let what_is_there = BatchConfig {
            batch: BATCH,
            max_bytes: self.bytes,
            no_wait: true,
            ..Default::default()
        };
        let more = self.ask(what_is_there, deliveries, order).await?;
        while deliveries.are_empty() {
            let one = BatchConfig {
                batch: 1,
                expires: Some(EXPIRES),
                idle_heartbeat: HEARTBEAT,
                ..Default::default()
            };
            self.ask(one, deliveries, order).await?;
        }
        Ok(more)
    }

    /// Makes one request and takes what it brings. One that was lost brings nothing; what comes of it
    /// late is taken with what comes of the next.
    async fn ask(
        &mut self,
        request: BatchConfig,
        deliveries: &mut Deliveries,
        order: &mut Order,
    ) -> anyhow::Result<More> {
        let mut left = request.batch;
        self.consumer.request_batch(request, self.inbox.clone()).await.context("asking")?;
        while left > 0 {
            let Ok(answer) = timeout(SILENCE, self.answers.next()).await else {
                return Ok(More::NotYet);
            };
            let message = answer.context("the connection to NATS is closed")?;
            match message.status {
                None | Some(StatusCode::OK) => {
                    let context = self.jetstream.clone();
                    deliveries.take(Message { message, context }, order)?;
                    left -= 1;
                }
                Some(StatusCode::IDLE_HEARTBEAT) => {}
                Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => return Ok(More::NotYet),
                Some(status) => match message.description.as_deref().unwrap_or_default() {
                    NO_ROOM => return Ok(More::Maybe),
                    // Of the request before this one, which ended with its last event.
                    FULL => {}
                    said => bail!("the broker refuses: {status} {said}"),
                },
            }
        }
        Ok(More::Maybe)
    }
}
