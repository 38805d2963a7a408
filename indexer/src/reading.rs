//! What an event of INSTANCES is to the indexer.

use contract::event::{
    AssociationClosed, CompletionRequested, DeletionRequested, GoneRequested, IngestStarted,
    InstanceReceiving, InstanceStored, InstancesListed, InstancesWanted, RegistrationRequested,
    ReleaseRequested, SourceAnswered, SourceAsked, TrustRequested,
};
use contract::subject::{AssociationChange, Subject};
use serde::de::DeserializeOwned;

/// Why events are dead: all there is for [`Reading::Dead`].
pub const DEAD_REASONS: [&str; 2] = [UNKNOWN_SUBJECT, UNREADABLE];
const UNKNOWN_SUBJECT: &str = "unknown_subject";
const UNREADABLE: &str = "unreadable";

/// What an event is to the indexer.
#[derive(Debug, Clone)]
pub enum Reading {
    /// An instance was stored: it goes into the catalogue.
    Stored(Box<InstanceStored>),
    /// An instance is arriving, slowly.
    Receiving(InstanceReceiving),
    /// An association ended.
    Closed(AssociationClosed),
    /// A receiver started.
    Started(IngestStarted),
    /// A source is asked how many instances it has.
    Asked(Box<SourceAsked>),
    /// Instances are fetched from a source.
    Wanted(Box<InstancesWanted>),
    /// What came of it.
    Answered(Box<SourceAnswered>),
    /// A peer has listed instances.
    Listed(Box<InstancesListed>),
    /// Somebody vouches for a series.
    RegistrationRequested(Box<RegistrationRequested>),
    /// An operator wants a series to be complete.
    CompletionRequested(CompletionRequested),
    /// An operator wants a series out of the catalogue.
    DeletionRequested(DeletionRequested),
    /// An operator wants a sender to be believed again.
    TrustRequested(TrustRequested),
    /// An operator lets an announcement go out that was held back.
    ReleaseRequested(Box<ReleaseRequested>),
    /// An operator says that a receiver does not come back.
    GoneRequested(GoneRequested),
    /// Nothing.
    Nothing,
    /// It can't be read.
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
    let Ok(subject) = subject.parse() else {
        return Reading::Dead { reason: UNKNOWN_SUBJECT, error: "unknown subject".to_owned() };
    };
    match subject {
        Subject::InstanceStored { .. } => json(payload, |event| Reading::Stored(Box::new(event))),
        Subject::InstanceReceiving { .. } => json(payload, Reading::Receiving),
        Subject::Association {
            change: AssociationChange::Released | AssociationChange::Aborted,
            ..
        } => json(payload, Reading::Closed),
        Subject::IngestStarted { .. } => json(payload, Reading::Started),
        Subject::SourceAsked { .. } => json(payload, |event| Reading::Asked(Box::new(event))),
        Subject::InstancesWanted { .. } => json(payload, |event| Reading::Wanted(Box::new(event))),
        Subject::SourceAnswered { .. } => json(payload, |event| Reading::Answered(Box::new(event))),
        Subject::InstancesListed { .. } => json(payload, |event| Reading::Listed(Box::new(event))),
        Subject::RegistrationRequested { .. } => {
            json(payload, |event| Reading::RegistrationRequested(Box::new(event)))
        }
        Subject::CompletionRequested { .. } => json(payload, Reading::CompletionRequested),
        Subject::DeletionRequested { .. } => json(payload, Reading::DeletionRequested),
        Subject::TrustRequested { .. } => json(payload, Reading::TrustRequested),
        Subject::ReleaseRequested { .. } => {
            json(payload, |event| Reading::ReleaseRequested(Box::new(event)))
        }
        Subject::GoneRequested { .. } => json(payload, Reading::GoneRequested),
        Subject::Association { .. }
        | Subject::Clock { .. }
        | Subject::IngestResumed { .. }
        | Subject::InstancesFetched { .. }
        | Subject::SeriesCompleted { .. }
        | Subject::SeriesDeleted { .. }
        | Subject::SeriesKept { .. }
        | Subject::SeriesPurged { .. }
        | Subject::StudyCompleted { .. }
        | Subject::Undelivered { .. }
        | Subject::Audit { .. }
        | Subject::Dead { .. } => Reading::Nothing,
    }
}

fn json<E: DeserializeOwned>(payload: &[u8], reading: impl FnOnce(E) -> Reading) -> Reading {
    match serde_json::from_slice(payload) {
        Ok(event) => reading(event),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let what = match error.classify() {
                serde_json::error::Category::Data => "not an event of its subject",
                _ => "not JSON",
            };
            let error = format!("{what}, at line {line} column {column}");
            Reading::Dead { reason: UNREADABLE, error }
        }
    }
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
        assert!(error.starts_with("not an event of its subject, at line 1"), "{error}");
        assert!(!error.contains("Roe"));
    }

    #[test]
    fn what_decides_nothing_is_read_past() {
        assert!(matches!(read("dicom.association.opened.MR1", b"{}"), Reading::Nothing));
        assert!(matches!(read("dicom.association.rejected.MR1", b"?"), Reading::Nothing));
        assert!(matches!(
            read("dicom.instance.lost.MR1", b"{}"),
            Reading::Dead { reason: "unknown_subject", .. }
        ));
        assert!(matches!(
            read("dicom.association.released.MR1", b"{}"),
            Reading::Dead { reason: "unreadable", .. }
        ));
    }
}
