//! The deliveries of one webhook: each completion is posted until its receiver takes it, with longer
//! and longer pauses, and becomes a dead letter after the last try.

use super::post::{Post, Refusal};
use super::start_position::{keep, start_position};
use super::{TrackedHook, cloud_event, consumers, retry_delay};
use anyhow::{Context as _, anyhow};
use async_nats::client::Request;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::message::AckKind;
use async_nats::jetstream::{Context, Message};
use bytes::Bytes;
use catalog::CatalogReader;
use contract::subject::Subject;
use futures_util::StreamExt;
use futures_util::future::join_all;
use shared::dead::Dead;
use shared::election::{TRY_TIMEOUT, outlast};
use shared::stream::{SERIES, is_stream_not_found};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Deliveries of one webhook at one time. Each asks for its event when it is ready for it, so none
/// waits here while the broker counts its time.
const AT_ONCE: usize = 4;

/// How long one request for an event stands: as long as it may take to go on after the broker was
/// away, too.
const PULL_EXPIRES: Duration = Duration::from_secs(5);

/// Pause before it begins again after the broker failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What it takes to deliver to one webhook.
pub(super) struct Deliveries {
    pub(super) all: Arc<[TrackedHook]>,
    /// Which of all.
    pub(super) place: usize,
    pub(super) post: Post,
    pub(super) jetstream: Context,
    /// Keeps how far it is.
    pub(super) catalog: CatalogReader,
    pub(super) stop: CancellationToken,
}

impl Deliveries {
    /// Delivers until told to stop.
    pub(super) async fn run(self) {
        let hook = self.tracked().hook.name.as_str();
        // A stream that comes only now has nothing older than a new webhook, and what is in it first must
        // not be missed.
        let mut is_first_start = false;
        let mut is_known = false;
        while !self.stop.is_cancelled() {
            let failed = match self.open(is_first_start).await {
                Ok(consumer) => {
                    (is_known, is_first_start) = (false, false);
                    tracing::info!(hook, "the webhook is served");
                    let lanes = join_all((0..AT_ONCE).map(|_| self.deliver_from(&consumer)));
                    tokio::select! {
                        ended = lanes => ended.into_iter().find_map(Result::err),
                        () = keep(&self.jetstream, &self.catalog, hook, &consumer) => None,
                    }
                }
                Err(error) => {
                    let is_missing = error.downcast_ref().is_some_and(is_stream_not_found);
                    is_first_start |= is_missing;
                    Some(error).filter(|_| !is_missing)
                }
            };
            if let Some(error) = failed
                && !std::mem::replace(&mut is_known, true)
            {
                tracing::warn!(hook, "the webhook waits for the broker: {error:#}");
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    fn tracked(&self) -> &TrackedHook {
        &self.all[self.place]
    }

    async fn open(&self, is_first_start: bool) -> anyhow::Result<Consumer<pull::Config>> {
        let hook = &self.tracked().hook;
        let from = async || {
            start_position(&self.jetstream, &self.catalog, &hook.name, is_first_start).await
        };
        tokio::select! {
            consumer = consumers::open(&self.jetstream, hook, from) => consumer,
            () = self.stop.cancelled() => Err(anyhow!("it is to stop")),
        }
    }

    /// Delivers one after the other.
    async fn deliver_from(&self, consumer: &Consumer<pull::Config>) -> anyhow::Result<()> {
        let mut is_known = false;
        while !self.stop.is_cancelled() {
            let next = tokio::select! {
                next = next(consumer) => next,
                () = self.stop.cancelled() => return Ok(()),
            };
            let delivered = match next {
                Ok(Some(message)) => self.deliver(&message).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            let Err(error) = delivered else {
                is_known = false;
                continue;
            };
            // While there is an election, the consumer is there all the same: the other lanes go on, too.
            if consumer.get_info().await.is_err() {
                return Err(error);
            }
            let hook = self.tracked().hook.name.as_str();
            if !std::mem::replace(&mut is_known, true) {
                tracing::warn!(hook, "the delivery failed and will be tried again: {error:#}");
            }
            self.stop.run_until_cancelled(sleep(PAUSE)).await;
        }
        Ok(())
    }

    /// Tries once, and tells the broker what came of it.
    async fn deliver(&self, message: &Message) -> anyhow::Result<()> {
        let tracked = self.tracked();
        let hook = &tracked.hook;
        let info = message.info().map_err(|error| anyhow!("no delivery: {error}"))?;
        let (sequence, tries) = (info.stream_sequence, info.delivered.unsigned_abs());
        let tries = u32::try_from(tries).unwrap_or(u32::MAX);
        let name = hook.name.as_str();
        let refusal = match cloud_event::of(hook, &message.payload, message.headers.as_ref()) {
            Ok(None) => return self.acknowledge(message, AckKind::Ack).await,
            Ok(Some(event)) => {
                let posted = tokio::select! {
                    posted = self.post.deliver(hook, event) => posted,
                    // Whoever comes next tries at once, and needs not wait for our silence to end.
                    () = self.stop.cancelled() => {
                        return self.acknowledge(message, AckKind::Nak(None)).await;
                    }
                };
                match posted {
                    Ok(()) => {
                        tracked.succeeded();
                        tracing::debug!(hook = name, sequence, tries, "delivered");
                        return self.acknowledge(message, AckKind::Ack).await;
                    }
                    Err(refusal) => refusal,
                }
            }
            // No later try can succeed.
            Err(cause) => {
                return self.bury(message, &cause).await;
            }
        };
        let Refusal { cause, asked } = refusal;
        tracked.failed(&cause);
        tracing::debug!(hook = name, sequence, tries, cause, "not delivered");
        if tries >= hook.attempts {
            return self.bury(message, &format!("{cause}; tried {tries} times")).await;
        }
        let pause = retry_delay::after(tries, asked, fastrand::f64());
        self.acknowledge(message, AckKind::Nak(Some(pause))).await
    }

    async fn bury(&self, message: &Message, error: &str) -> anyhow::Result<()> {
        let name = &self.tracked().hook.name;
        let info = message.info().map_err(|error| anyhow!("no delivery: {error}"))?;
        let (sequence, at) = (info.stream_sequence, info.published.unix_timestamp_nanos());
        let id = format!("{SERIES}:{at}:{sequence}:{name}");
        let letter =
            Dead { message: &message.message, stream: SERIES, sequence: Some(sequence), error };
        let subject = Subject::undelivered(name);
        let buried = letter.bury(&self.jetstream, &subject, &id);
        match self.stop.run_until_cancelled(buried).await {
            Some(buried) => buried?,
            None => return self.acknowledge(message, AckKind::Nak(None)).await,
        }
        self.tracked().gave_up(sequence, error);
        self.acknowledge(message, AckKind::Ack).await
    }

    /// Has the broker confirm what became of a delivery, so that an election does not make it forget that. What is
    /// not confirmed is delivered again.
    async fn acknowledge(&self, message: &Message, kind: AckKind) -> anyhow::Result<()> {
        let reply = message.reply.clone().context("a message without a delivery")?;
        let (client, kind) = (message.context.client(), Bytes::from(kind));
        let confirm = || async {
            let request = Request::new().payload(kind.clone()).timeout(Some(TRY_TIMEOUT));
            let confirmed = client.send_request(reply.clone(), request).await;
            confirmed.context("acknowledging").map(drop)
        };
        match self.stop.run_until_cancelled(outlast(&client, confirm)).await {
            Some(confirmed) => confirmed,
            // There is no time for an election, only for one try.
            None => confirm().await,
        }
    }
}

/// The next message, if one comes in time.
async fn next(consumer: &Consumer<pull::Config>) -> anyhow::Result<Option<Message>> {
    let batch = consumer.batch().max_messages(1).expires(PULL_EXPIRES).messages().await;
    let message = batch.context("asking for a completion")?.next().await.transpose();
    message.map_err(|error| anyhow!("reading {SERIES}: {error}"))
}
