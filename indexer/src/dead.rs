//! Dead letters: events that can't be read, kept whole with what is wrong with them.

use crate::consumer::Delivery;
use anyhow::Context as _;
use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use shared::event::InstanceStored;
use shared::stream::INSTANCES;
use shared::subject::Subject;

/// What an event is to the indexer.
#[derive(Debug)]
pub enum Reading {
    /// A stored instance.
    Instance(Box<InstanceStored>),
    /// One that changes nothing in the catalogue.
    Other,
    /// One that can't be read.
    Dead {
        /// In one word, for the subject.
        reason: &'static str,
        /// What is wrong with it. Says where, never what: the payload may name a patient.
        error: String,
    },
}

/// Reads an event from its subject and payload.
#[must_use]
pub fn read(subject: &str, payload: &[u8]) -> Reading {
    match subject.parse() {
        Ok(Subject::InstanceStored { .. }) => match serde_json::from_slice(payload) {
            Ok(event) => Reading::Instance(Box::new(event)),
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                let what = match error.classify() {
                    serde_json::error::Category::Data => "not an instance event",
                    _ => "not JSON",
                };
                let error = format!("{what}, at line {line} column {column}");
                Reading::Dead { reason: "unreadable", error }
            }
        },
        Ok(_) => Reading::Other,
        Err(_) => Reading::Dead { reason: "unknown-subject", error: "unknown subject".to_owned() },
    }
}

/// Publishes a dead letter and waits until the broker has it.
///
/// # Errors
/// When it could not be stored; the event must then not be acknowledged.
pub async fn bury(
    jetstream: &Context,
    delivery: &Delivery,
    reason: &str,
    error: &str,
) -> anyhow::Result<()> {
    let sequence = delivery.sequence.to_string();
    tracing::warn!(sequence, reason, error, "dead letter");
    let mut headers = HeaderMap::new();
    for (name, values) in delivery.message.headers.iter().flat_map(HeaderMap::iter) {
        // The broker acts on its own headers; the letter must only tell them.
        let name = name.to_string();
        let name = match name.starts_with("Nats-") {
            true => format!("Original-{name}"),
            false => name,
        };
        for value in values {
            headers.append(name.as_str(), value.as_str());
        }
    }
    headers.insert("Nats-Msg-Id", format!("{INSTANCES}:{}:{sequence}", delivery.at).as_str());
    headers.insert("Collimator-Subject", delivery.message.subject.as_str());
    headers.insert("Collimator-Stream", INSTANCES);
    headers.insert("Collimator-Sequence", sequence.as_str());
    headers.insert("Collimator-Error", error);
    let subject = Subject::dead(reason).to_string();
    let payload = delivery.message.payload.clone();
    let stored = jetstream.publish_with_headers(subject, headers, payload).await;
    stored.context("publishing a dead letter")?.await.context("storing a dead letter")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_without_the_patients_name() {
        let payload = br#"{"PatientName": "Roe^Jane", "SeriesInstanceUID": 5}"#;
        let Reading::Dead { reason, error } = read("dicom.instance.stored.07.MR.1.2", payload)
        else {
            panic!("it was read")
        };
        assert_eq!(reason, "unreadable");
        assert!(error.starts_with("not an instance event, at line 1"), "{error}");
        assert!(!error.contains("Roe"));
    }

    #[test]
    fn events_of_other_kinds_are_read_past() {
        assert!(matches!(read("dicom.association.released.MR1", b"{}"), Reading::Other));
        assert!(matches!(
            read("dicom.instance.lost.MR1", b"{}"),
            Reading::Dead { reason: "unknown-subject", .. }
        ));
    }
}
