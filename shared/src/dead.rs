//! Dead letters: messages that can't be processed, kept with what is wrong with them, and whole unless they
//! are as long as a message may be.

use crate::election::outlast;
use crate::message::Message;
use anyhow::Context as _;
use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use async_nats::jetstream::Context;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use contract::bounded::bounded;
use contract::subject::Subject;

/// Header of a letter: the subject of its message.
pub const ORIGINAL_SUBJECT: &str = "Collimator-Subject";
/// Header of a letter: the stream of its message.
pub const ORIGINAL_STREAM: &str = "Collimator-Stream";
/// Header of a letter: the sequence of its message there.
pub const ORIGINAL_SEQUENCE: &str = "Collimator-Sequence";
/// Header of a letter: what is wrong.
pub const ERROR: &str = "Collimator-Error";
/// Header of a letter that has not all of its message: how long that was.
pub const TRUNCATED_FROM: &str = "Collimator-Truncated-From";
/// Header of such a letter: BLAKE3 of the whole message, in hex.
pub const DIGEST: &str = "Collimator-Digest";
/// What stands in a letter before the names of its message's headers for the broker, which acts on
/// its own headers; the letter must only tell them.
pub const ORIGINAL: &str = "Original-";

/// Bytes of a message's own headers, beyond which a letter goes without them; ours take less than that.
/// As much has to be left of what a NATS message may have, or a letter could never be stored.
const MAX_HEADERS: usize = 4 * 1024;

/// Characters of its subject that a letter tells: those of older versions had no bound.
const MAX_SUBJECT: usize = 1024;

/// A message that can't be processed.
#[derive(Debug, Clone, Copy)]
pub struct Dead<'a> {
    /// The message as it came.
    pub message: &'a async_nats::Message,
    /// Where it came from.
    pub stream: &'static str,
    /// Its sequence there, if it was stored.
    pub sequence: Option<u64>,
    /// What is wrong. Says where, never what: the payload may name a patient.
    pub error: &'a str,
}

impl Dead<'_> {
    /// Publishes the letter and waits until the broker has it. The `id` is the same when it is
    /// published again.
    ///
    /// # Errors
    /// When it could not be stored; the message must then not be acknowledged.
    pub async fn bury(
        &self,
        jetstream: &Context,
        subject: &Subject,
        id: &str,
    ) -> anyhow::Result<()> {
        let mut headers = HeaderMap::new();
        let theirs = self.message.headers.iter().filter(|it| length(it) <= MAX_HEADERS);
        for (name, values) in theirs.flat_map(HeaderMap::iter) {
            let name = name.to_string();
            let name = match name.starts_with("Nats-") {
                true => format!("{ORIGINAL}{name}"),
                false => name,
            };
            for value in values {
                headers.append(name.as_str(), value.as_str());
            }
        }
        headers.insert("Nats-Msg-Id", id);
        headers.insert(ORIGINAL_SUBJECT, &*bounded(self.message.subject.as_str(), MAX_SUBJECT));
        headers.insert(ORIGINAL_STREAM, self.stream);
        if let Some(sequence) = self.sequence {
            headers.insert(ORIGINAL_SEQUENCE, sequence.to_string().as_str());
        }
        headers.insert(ERROR, self.error);
        let longest = jetstream.client().server_info().max_payload.saturating_sub(2 * MAX_HEADERS);
        let whole = &self.message.payload;
        let payload = whole.slice(..whole.len().min(longest));
        if payload.len() < whole.len() {
            headers.insert(TRUNCATED_FROM, whole.len().to_string().as_str());
            headers.insert(DIGEST, blake3::hash(whole).to_hex().as_str());
        }
        let letter = Message { subject: subject.to_string(), headers, payload };
        outlast(&jetstream.client(), || async {
            letter.clone().store(jetstream).await.context("storing a dead letter").map(drop)
        })
        .await
    }
}

/// The headers of the message of a letter, as far as they are not for the broker.
#[must_use]
pub fn original_headers(letter: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in letter.iter() {
        let text: &str = name.as_ref();
        let is_ours = [ORIGINAL, "Nats-", "Collimator-"].iter().any(|ours| text.starts_with(ours));
        for value in values.iter().filter(|_| !is_ours) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Publishes the message of a letter again, where it came from, and waits until the broker has it.
///
/// # Errors
/// When it could not be stored in `stream`.
pub async fn send_again(
    jetstream: &Context,
    stream: &str,
    subject: &str,
    id: &str,
    letter: (&HeaderMap, Bytes),
) -> anyhow::Result<()> {
    let message = PublishMessage::build().payload(letter.1).headers(original_headers(letter.0));
    let message = message.message_id(id).expected_stream(stream);
    let stored = jetstream.send_publish(subject.to_owned(), message).await;
    stored.context("publishing it again")?.await.context("storing it again")?;
    Ok(())
}

fn length(headers: &HeaderMap) -> usize {
    let values = |(name, values): (&HeaderName, &Vec<HeaderValue>)| {
        let name: &str = name.as_ref();
        values.iter().map(|value| name.len() + value.as_str().len() + 4).sum::<usize>()
    };
    headers.iter().map(values).sum()
}
