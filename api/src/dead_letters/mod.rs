//! Dead letters: what could not be processed, and what an operator does with it, once what was wrong is
//! mended. A letter goes only when its message is safe elsewhere, or somebody drops it.

mod letter;
pub mod operations;

use crate::broker::{BrokerHandle, request_id};
use crate::http::problem::Problem;
use crate::webhooks::Webhooks;
use anyhow::{Context as _, anyhow};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{
    DeleteMessageError, DeleteMessageErrorKind, LastRawMessageErrorKind, Stream,
};
use contract::event::ReleaseRequested;
use contract::subject::Subject;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
pub use letter::DeadLetter;
use poem::http::StatusCode;
use shared::dead;
use shared::election::is_passing;
use shared::ephemeral;
use shared::stream::{DEAD, INSTANCES, SERIES};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long it remembers a listing that was cut off.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

/// What is wrong with a letter of which nobody knows what to do.
const NO_ORIGIN: &str = "the letter does not say where it came from; drop it";

/// The dead letters. Clones are one.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    broker: BrokerHandle,
    webhooks: Webhooks,
}

/// One page of the letters.
#[derive(Debug)]
pub struct LetterPage {
    /// Those that were asked for, the oldest first.
    letters: Vec<DeadLetter>,
    /// How many there are in all.
    total: u64,
}

impl DeadLetters {
    /// The dead letters of this broker. Completions go to these webhooks again.
    #[must_use]
    pub fn new(broker: BrokerHandle, webhooks: Webhooks) -> Self {
        Self { broker, webhooks }
    }

    /// The letters after one, at most so many.
    async fn after(&self, sequence: u64, limit: u32) -> Result<LetterPage, Problem> {
        self.ask(|| async {
            let stream = self.stream().await?;
            let state = &stream.cached_info().state;
            let letters = match state.last_sequence > sequence {
                true => read(&stream, sequence + 1, limit as usize).await?,
                false => Vec::new(),
            };
            Ok(LetterPage { letters, total: state.messages })
        })
        .await
    }

    /// Takes a letter's message back to where it came from, and the letter away.
    async fn replay(&self, sequence: u64) -> Result<(), Problem> {
        let (stream, letter) = self.find(sequence).await?;
        match letter.subject.parse() {
            Ok(Subject::Undelivered { .. }) => {
                let (subject, payload) = (letter.subject.as_str(), &letter.payload);
                self.webhooks.deliver_again(subject, payload, &letter.headers).await?;
            }
            _ if said(&letter, dead::ORIGINAL_STREAM) == Some(SERIES) => {
                self.announce(&letter).await?;
            }
            _ => self.publish_again(&letter).await?,
        }
        tracing::info!(sequence, subject = %letter.subject, "a dead letter was replayed");
        self.remove(&stream, sequence).await
    }

    /// Takes a letter away.
    async fn discard(&self, sequence: u64) -> Result<(), Problem> {
        let (stream, letter) = self.find(sequence).await?;
        self.remove(&stream, sequence).await?;
        tracing::warn!(sequence, subject = %letter.subject, "a dead letter was dropped");
        Ok(())
    }

    /// Asks the indexer to announce what was held back.
    async fn announce(&self, letter: &StreamMessage) -> Result<(), Problem> {
        is_whole(letter)?;
        let id = format!("{}Nats-Msg-Id", dead::ORIGINAL);
        let said = (said(letter, dead::ORIGINAL_SUBJECT), said(letter, &id));
        let payload = std::str::from_utf8(&letter.payload);
        let time = said_time(letter);
        let ((Some(subject), Some(message_id)), Ok(announcement), Some(decided_at)) =
            (said, payload, time)
        else {
            return Err(conflict(NO_ORIGIN));
        };
        if subject.parse::<Subject>().is_err() {
            return Err(conflict(NO_ORIGIN));
        }
        let request = ReleaseRequested {
            subject: subject.to_owned(),
            message_id: message_id.to_owned(),
            decided_at,
            announcement: announcement.to_owned(),
            request_id: request_id(),
            requested_at: Timestamp::now(),
        };
        self.broker.publish(&request).await?;
        Ok(())
    }

    async fn publish_again(&self, letter: &StreamMessage) -> Result<(), Problem> {
        is_whole(letter)?;
        let said = |name| said(letter, name);
        let subject = match (said(dead::ORIGINAL_STREAM), said(dead::ORIGINAL_SUBJECT)) {
            (Some(INSTANCES), Some(subject)) => subject,
            _ => return Err(conflict(NO_ORIGIN)),
        };
        // The broker takes it once, however often somebody asks.
        let id = format!("{DEAD}:{}:{}", letter.time.unix_timestamp_nanos(), letter.sequence);
        self.ask(|| async {
            let message = (&letter.headers, letter.payload.clone());
            dead::send_again(self.broker.connection()?, INSTANCES, subject, &id, message).await
        })
        .await
    }

    async fn find(&self, sequence: u64) -> Result<(Stream, StreamMessage), Problem> {
        let found = self.ask(|| async {
            let stream = self.stream().await?;
            match stream.get_raw_message(sequence).await {
                Ok(letter) => Ok(Some((stream, letter))),
                Err(error) => match error.kind() {
                    LastRawMessageErrorKind::NoMessageFound => Ok(None),
                    _ => Err(error.into()),
                },
            }
        });
        found.await?.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such letter"))
    }

    async fn remove(&self, stream: &Stream, sequence: u64) -> Result<(), Problem> {
        let is_tried = AtomicBool::new(false);
        self.ask(|| async {
            match stream.delete_message(sequence).await {
                // A try whose answer was lost has removed it.
                Err(error) if is_tried.load(Ordering::Relaxed) && is_gone(&error) => Ok(()),
                removed => {
                    is_tried.store(true, Ordering::Relaxed);
                    removed.context("removing the letter").map(drop)
                }
            }
        })
        .await
    }

    /// What came of asking the broker, or 503.
    async fn ask<T, F: Future<Output = anyhow::Result<T>>>(
        &self,
        ask: impl FnMut() -> F,
    ) -> Result<T, Problem> {
        self.broker.ask("the dead letters can't be reached", ask).await
    }

    async fn stream(&self) -> anyhow::Result<Stream> {
        self.broker.connection()?.get_stream(DEAD).await.context(DEAD)
    }
}

/// What a header of a letter says.
fn said<'a>(letter: &'a StreamMessage, name: &str) -> Option<&'a str> {
    letter.headers.get(name).map(|value| value.as_str())
}

/// When what was held back was decided.
fn said_time(letter: &StreamMessage) -> Option<Timestamp> {
    said(letter, "ce-time")?.parse().ok()
}

fn is_whole(letter: &StreamMessage) -> Result<(), Problem> {
    match said(letter, dead::TRUNCATED_FROM) {
        Some(_) => Err(conflict("the letter has only the beginning of its message; drop it")),
        None => Ok(()),
    }
}

/// Whether the stream does not have the message that was to be removed.
fn is_gone(error: &DeleteMessageError) -> bool {
    match error.kind() {
        DeleteMessageErrorKind::JetStream(error) => !is_passing(&error.into()),
        _ => false,
    }
}

/// Letters from `sequence` on, without their messages.
async fn read(stream: &Stream, sequence: u64, limit: usize) -> anyhow::Result<Vec<DeadLetter>> {
    let config = pull::Config {
        name: Some(ephemeral::name("dead-letters")),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: sequence },
        ack_policy: AckPolicy::None,
        headers_only: true,
        inactive_threshold: FORGOTTEN_AFTER,
        memory_storage: true,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.context("a consumer")?;
    let messages = consumer.fetch().max_messages(limit).messages().await?;
    let letters = messages
        .map_err(|error| anyhow!("reading {DEAD}: {error}"))
        .and_then(async |message| DeadLetter::of(&message))
        .try_collect()
        .await?;
    stream.delete_consumer(&consumer.cached_info().name).await.context("removing the consumer")?;
    Ok(letters)
}

fn conflict(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, detail)
}
