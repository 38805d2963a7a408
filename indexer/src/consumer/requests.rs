//! Requests for events. The broker holds no event back while a request stands, and one by one they cost
//! it and us several times as much as together: so it is asked for what is there, now and then, and a
//! request is left standing only where there is nothing.

use super::BATCH;
use super::account::{End, Next, Status};
use super::deliveries::Deliveries;
use super::exchange::Exchange;
use super::order::Order;
use anyhow::{Context as _, bail, ensure};
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::jetstream::{self, Message};
use async_nats::{StatusCode, Subject, Subscriber};
use futures_util::StreamExt as _;
use shared::election::{ELECTION_TIMEOUT, is_cluster, is_passing};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

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

/// How often in a row, and after what pause each, the broker may end requests without a single event
/// before it is asked whether the consumer is still there, and in a cluster for how long in all: until then a
/// new leader is there.
const REFUSALS: u32 = 30;
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// How many events a request asked for that were not sent, in the status that ends it.
const PENDING_MESSAGES: &str = "Nats-Pending-Messages";

/// Asks for the events of the consumer, one request after the other.
pub(super) struct Requests {
    jetstream: jetstream::Context,
    consumer: PullConsumer,
    /// Where answers come: what ends a request under a subject of its own, events whatever request they
    /// are of.
    answers: Subscriber,
    inbox: String,
    exchange: Exchange,
    /// Bytes in one at the most.
    bytes: usize,
    /// What the broker said last as it ended the one that stood.
    refusal: String,
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
        let refusal = String::new();
        let bytes = BYTES.max(client.server_info().max_payload + AROUND);
        Ok(Self {
            jetstream: jetstream.clone(),
            consumer,
            answers,
            inbox,
            exchange: Exchange::new(),
            bytes,
            refusal,
        })
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
        let (mut end, mut silences, mut refusals) = (looked, 0, 0);
        let mut election_ends = Instant::now() + ELECTION_TIMEOUT;
        while deliveries.are_empty() {
            silences = if end == End::Silent { silences + 1 } else { 0 };
            ensure!(silences < SILENCES, "the broker is silent");
            if end == End::Refused {
                refusals += 1;
                if refusals >= REFUSALS {
                    let is_election = Instant::now() < election_ends && self.is_there().await;
                    ensure!(is_election, "the broker refuses to be asked: {}", self.refusal);
                    refusals = 0;
                }
                sleep(REFUSED_PAUSE).await;
            } else {
                refusals = 0;
                election_ends = Instant::now() + ELECTION_TIMEOUT;
            }
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

    /// Whether nobody leads the consumer for the moment, but it exists.
    async fn is_there(&self) -> bool {
        if !is_cluster(&self.jetstream.client()) {
            return false;
        }
        match self.consumer.get_info().await {
            Ok(_) => true,
            Err(error) => is_passing(&error.into()),
        }
    }

    /// Makes one request and takes what comes until it ends.
    async fn ask(
        &mut self,
        request: BatchConfig,
        deliveries: &mut Deliveries,
        order: &mut Order,
    ) -> anyhow::Result<End> {
        let number = self.exchange.begin(request.batch, request.max_bytes);
        let answers_to = Subject::from(format!("{}.{number}", self.inbox));
        self.consumer.request_batch(request, answers_to).await.context("asking")?;
        loop {
            let next = match timeout(SILENCE, self.answers.next()).await {
                Err(_elapsed) => self.exchange.silence(),
                Ok(answer) => {
                    let message = answer.context("the connection to NATS is closed")?;
                    match message.status {
                        None | Some(StatusCode::OK) => {
                            let next = self.exchange.event(message.length);
                            let context = self.jetstream.clone();
                            deliveries.take(Message { message, context }, order)?;
                            next
                        }
                        Some(code) => {
                            let request = message.subject.rsplit('.').next();
                            let request = request.and_then(|number| number.parse().ok());
                            let status = said(code, &message);
                            if request == Some(number) && code != StatusCode::IDLE_HEARTBEAT {
                                self.refusal = format!("{code} {}", status.description);
                            }
                            self.exchange.status(request.unwrap_or(0), status)
                        }
                    }
                }
            };
            match next {
                Next::Wait => {}
                Next::Ended(end) => return Ok(end),
                Next::BeginAgain(reason) => bail!("reading INSTANCES: {reason}"),
            }
        }
    }
}

fn said(code: StatusCode, message: &async_nats::Message) -> Status<'_> {
    let description = message.description.as_deref().unwrap_or_default();
    let headers = message.headers.as_ref();
    let pending = headers.and_then(|h| h.get(PENDING_MESSAGES)?.as_str().parse().ok());
    Status { code, description, pending }
}
