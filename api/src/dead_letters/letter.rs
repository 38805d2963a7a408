//! A dead letter as the API returns it: without its message, which may be of any length and content.

use anyhow::{Context as _, anyhow};
use async_nats::jetstream::Message;
use jiff::Timestamp;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;
use shared::dead;

/// Something that could not be processed
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct DeadLetter {
    /// Its sequence in the stream `DEAD`
    pub sequence: u64,
    /// When it was given up, UTC
    pub dead_at: String,
    /// What it is filed under: `unreadable`, `unknown_subject`, `held` for a completion that waits for
    /// a person, or `webhook.` and the name of one
    pub reason: String,
    /// The error, without any part of the message
    pub error: String,
    /// The subject of the message
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_subject: Option<String>,
    /// The stream of the message
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_stream: Option<String>,
    /// Its sequence there
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_sequence: Option<u64>,
    /// Length of the message in bytes, as far as the letter has it
    pub bytes: u64,
    /// How long it was, if the letter has only its beginning: then it can't be replayed
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated_from: Option<u64>,
}

impl DeadLetter {
    /// A letter out of its headers.
    ///
    /// # Errors
    /// When it is none out of a stream.
    pub(super) fn of(message: &Message) -> anyhow::Result<Self> {
        let info =
            message.info().map_err(|error| anyhow!("a letter without its place: {error}"))?;
        let dead_at = Timestamp::from_nanosecond(info.published.unix_timestamp_nanos());
        let said = |name: &str| {
            let value = message.headers.as_ref().and_then(|headers| headers.get(name));
            value.map(|value| value.as_str().to_owned())
        };
        let number = |name: &str| said(name).and_then(|text| text.parse().ok());
        let subject = message.subject.as_str();
        Ok(Self {
            sequence: info.stream_sequence,
            dead_at: dead_at.context("when it was given up")?.to_string(),
            reason: subject.strip_prefix("dicom.dead.").unwrap_or(subject).to_owned(),
            error: said(dead::ERROR).unwrap_or_default(),
            original_subject: said(dead::ORIGINAL_SUBJECT),
            original_stream: said(dead::ORIGINAL_STREAM),
            original_sequence: number(dead::ORIGINAL_SEQUENCE),
            // What the broker says of a message whose headers alone it gives.
            bytes: number("Nats-Msg-Size").unwrap_or_default(),
            truncated_from: number(dead::TRUNCATED_FROM),
        })
    }
}

impl Example for DeadLetter {
    fn example() -> Self {
        Self {
            sequence: 3,
            dead_at: "2026-02-03T04:05:16.5Z".into(),
            reason: "unreadable".into(),
            error: "not JSON, at line 1 column 29".into(),
            original_subject: Some("dicom.instance.stored.07.MR.1.2.3".into()),
            original_stream: Some("INSTANCES".into()),
            original_sequence: Some(4711),
            bytes: 29,
            truncated_from: None,
        }
    }
}
