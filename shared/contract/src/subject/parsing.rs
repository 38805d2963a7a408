//! Reads a subject back.

use super::{AssociationChange, AuditKind, PARTITIONS, Service, Subject, Token, UidTokens};
use std::str::FromStr;

/// The text is no subject of this pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a subject of the pipeline: {0:?}")]
pub struct UnknownSubject(String);

impl FromStr for Subject {
    type Err = UnknownSubject;

    fn from_str(text: &str) -> Result<Self, UnknownSubject> {
        read(text)
            // Only what we would build ourselves is ours: this refuses wildcards, stray
            // characters, one-digit partitions and empty tokens in one stroke.
            .filter(|subject| subject.to_string() == text)
            .ok_or_else(|| UnknownSubject(text.to_owned()))
    }
}

fn read(text: &str) -> Option<Subject> {
    let (kind, rest) = text.strip_prefix("dicom.")?.split_once('.')?;
    if kind == "dead" {
        return Some(match rest.strip_prefix("webhook.") {
            Some(hook) => Subject::Undelivered { hook: Token::read(hook) },
            None => Subject::Dead { reason: Token::read(rest) },
        });
    }
    if kind == "clock" {
        return Some(Subject::Clock { node: Token::read(rest) });
    }
    let (what, rest) = rest.split_once('.')?;
    match (kind, what) {
        ("instance", "stored" | "receiving") => {
            let (partition, rest) = rest.split_once('.')?;
            let partition = partition.parse().ok().filter(|p| u64::from(*p) < PARTITIONS)?;
            let (modality, series) = rest.split_once('.')?;
            let (modality, series) = (Token::read(modality), UidTokens::from_text(series));
            Some(if what == "stored" {
                Subject::InstanceStored { partition, modality, series }
            } else {
                Subject::InstanceReceiving { partition, modality, series }
            })
        }
        ("association", change) => {
            let named = |known: &AssociationChange| known.kind().ends_with(&format!(".{change}"));
            let change = AssociationChange::ALL.into_iter().find(named)?;
            Some(Subject::Association { change, calling_ae: Token::read(rest) })
        }
        ("ingest", "started") => Some(Subject::IngestStarted { node: Token::read(rest) }),
        ("ingest", "resumed") => Some(Subject::IngestResumed { node: Token::read(rest) }),
        ("evidence", "asked") => Some(Subject::SourceAsked { calling_ae: Token::read(rest) }),
        ("evidence", "answered") => Some(Subject::SourceAnswered { calling_ae: Token::read(rest) }),
        ("evidence", "wanted") => Some(Subject::InstancesWanted { calling_ae: Token::read(rest) }),
        ("evidence", "fetched") => {
            Some(Subject::InstancesFetched { calling_ae: Token::read(rest) })
        }
        ("evidence", "listed") => Some(Subject::InstancesListed { calling_ae: Token::read(rest) }),
        ("request", "gone") => Some(Subject::GoneRequested { node: Token::read(rest) }),
        ("request", "trust") => Some(Subject::TrustRequested { calling_ae: Token::read(rest) }),
        ("request", "release") => Some(Subject::ReleaseRequested { message_id: Token::read(rest) }),
        ("request", "register") => {
            Some(Subject::RegistrationRequested { series: UidTokens::from_text(rest) })
        }
        ("request", "complete") => {
            Some(Subject::CompletionRequested { series: UidTokens::from_text(rest) })
        }
        ("request", "delete") => {
            Some(Subject::DeletionRequested { series: UidTokens::from_text(rest) })
        }
        ("series", "completed" | "deleted" | "kept" | "purged") => {
            let (modality, series) = rest.split_once('.')?;
            let (modality, series) = (Token::read(modality), UidTokens::from_text(series));
            Some(match what {
                "completed" => Subject::SeriesCompleted { modality, series },
                "deleted" => Subject::SeriesDeleted { modality, series },
                "kept" => Subject::SeriesKept { modality, series },
                _ => Subject::SeriesPurged { modality, series },
            })
        }
        ("study", "completed") => {
            Some(Subject::StudyCompleted { study: UidTokens::from_text(rest) })
        }
        ("audit", service) => Some(Subject::Audit {
            service: Service::ALL.into_iter().find(|known| known.as_str() == service)?,
            kind: AuditKind::ALL.into_iter().find(|known| known.as_str() == rest)?,
        }),
        _ => None,
    }
}
