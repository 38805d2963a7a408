//! One connection to the repository, and the audit messages that go over it.

use super::connection::Connection;
use super::message::{Originator, Severity};
use super::metrics::{Outcome, SyslogMetrics};
use super::unconfirmed::Unconfirmed;
use super::xml;
use anyhow::{Context as _, anyhow};
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::Batch;
use async_nats::jetstream::consumer::{Consumer, pull};
use futures_util::StreamExt as _;
use shared::audit::{self, AuditMessage};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Messages of one request to the broker, and how long it stands. A connection that has ended waits for
/// it, so that no message is on its way to nobody.
const BATCH: usize = 100;
const PULL_EXPIRES: Duration = Duration::from_secs(2);

/// A connection that is open.
pub(crate) struct Session<'a> {
    pub(crate) consumer: Consumer<pull::Config>,
    pub(crate) connection: Connection,
    pub(crate) sender: &'a Originator,
    pub(crate) metrics: &'a SyslogMetrics,
}

/// Why no more is passed on, where nothing has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It is to stop.
    Stopped,
    /// The repository closed a connection that had lasted, when it lacked nothing.
    Closed,
}

impl Session<'_> {
    /// Passes messages on until told to stop, or until the repository closes the connection. Calls
    /// `has_lasted` once the connection has, for so long that the repository takes what it is sent.
    ///
    /// # Errors
    /// When the connection or the broker failed. What is not known to be with the repository is the
    /// broker's again then.
    pub(crate) async fn run(
        mut self,
        has_lasted: impl FnMut(),
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut unconfirmed = Unconfirmed::new(self.metrics);
        let ended = self.pass_on(&mut unconfirmed, has_lasted, stop).await;
        if let Ok(Ended::Stopped) = ended
            && self.connection.has_lasted()
            && self.connection.close().await
        {
            unconfirmed.settle_all().await;
        }
        unconfirmed.give_back().await;
        ended.map(|_| ())
    }

    async fn pass_on(
        &mut self,
        unconfirmed: &mut Unconfirmed,
        mut has_lasted: impl FnMut(),
        stop: &CancellationToken,
    ) -> anyhow::Result<Ended> {
        loop {
            let batch = self.consumer.batch().max_messages(BATCH).expires(PULL_EXPIRES);
            let mut batch = batch.messages().await.context("asking for audit messages")?;
            let ended = self.pass_on_batch(&mut batch, unconfirmed, stop).await;
            while let Some(Ok(message)) = batch.next().await {
                unconfirmed.unwritten(message.split().1);
            }
            if self.connection.has_lasted() {
                has_lasted();
            }
            if let Some(ended) = ended? {
                return Ok(ended);
            }
        }
    }

    /// Passes on what is in a batch, or comes for it, unless this ends before.
    async fn pass_on_batch(
        &mut self,
        batch: &mut Batch,
        unconfirmed: &mut Unconfirmed,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Ended>> {
        for _ in 0..BATCH {
            let next = loop {
                tokio::select! {
                    next = batch.next() => break next,
                    closed = self.connection.closed() => match closed {
                        Ok(()) if unconfirmed.is_empty() && self.connection.has_lasted() => return Ok(Some(Ended::Closed)),
                        Ok(()) => return Err(anyhow!("the repository closed the connection")),
                        Err(error) => return Err(error.into()),
                    },
                    () = unconfirmed.due() => unconfirmed.settle().await,
                    () = stop.cancelled() => return Ok(Some(Ended::Stopped)),
                }
            };
            match next {
                Some(message) => {
                    let message = message.map_err(|error| anyhow!("reading AUDIT: {error}"))?;
                    self.send(message, unconfirmed).await?;
                }
                // No more came in time.
                None => {
                    unconfirmed.pending(0);
                    break;
                }
            }
        }
        Ok(None)
    }

    async fn send(
        &mut self,
        message: Message,
        unconfirmed: &mut Unconfirmed,
    ) -> anyhow::Result<()> {
        let info = message.info().map_err(|error| anyhow!("no delivery: {error}"))?;
        let (sequence, pending) = (info.stream_sequence, info.pending);
        let frame = self.frame(&message.payload);
        let (_, message) = message.split();
        match frame {
            Ok(frame) => {
                // When it can't be written, it is given back with those before it.
                unconfirmed.written(message);
                unconfirmed.pending(pending);
                self.connection.write(frame.as_bytes()).await?;
            }
            Err(error) => {
                tracing::error!(
                    sequence,
                    "an audit message can't be read, and is passed over: {error:#}"
                );
                self.metrics.count(Outcome::Unreadable);
                let _ = message.ack().await;
            }
        }
        Ok(())
    }

    /// A message as it is sent.
    fn frame(&self, payload: &[u8]) -> anyhow::Result<String> {
        let message: AuditMessage = serde_json::from_slice(payload).map_err(|error| {
            // Its own message may repeat a value.
            anyhow!("at line {} column {}", error.line(), error.column())
        })?;
        let event = &message.event_identification;
        let severity = match event.event_outcome_indicator {
            audit::Outcome::Success => Severity::Notice,
            _ => Severity::Warning,
        };
        Ok(self.sender.frame(severity, event.event_date_time, &xml::of(&message)?))
    }
}
