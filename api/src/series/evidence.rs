//! `GET /series/{SeriesInstanceUID}/evidence`: what was known of a series at each of its completions, as they were announced.

use contract::event::{EvidenceKind, SeriesCompleted};
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

/// What was known of a series when a completion was decided
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct CompletionEvidence {
    /// Which of its completions it was
    pub revision: u32,
    /// The rule that decided it: {rules ..4},
    /// {rules 4..}, or `stored`
    pub reason: String,
    /// When it was complete, UTC
    pub completed_at: String,
    /// Instances of the series then
    pub instances_count: u64,
    /// The expected number of instances, if it was known
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_count: Option<u64>,
    /// Of the instances, how many were fetched from its source
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched: Option<u64>,
    /// All that was known, whatever rule decided it, the strongest first
    pub evidence: Vec<KnownEvidence>,
    /// SOP Instance UIDs of instances that its source has or a list names and that were not there: 100 at most
    pub missing_instances: Vec<String>,
}

/// Evidence that a series is complete, or is not
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase")]
pub struct KnownEvidence {
    /// `commitment`, `mpps` or `ian` for a list, `expected` for the number that the sender announced, `counted` for that of its
    /// source, `released` where all associations that brought it were
    pub kind: String,
    /// AE title of who gave it
    #[serde(rename = "CallingAETitle", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "CallingAETitle")]
    pub calling_ae_title: Option<String>,
    /// How many instances it names or counts of the series
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances_count: Option<u64>,
    /// How many of those that a list names were not there
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_count: Option<u64>,
    /// Whether the procedure step was discontinued
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discontinued: Option<bool>,
}

impl From<contract::event::Evidence> for KnownEvidence {
    fn from(evidence: contract::event::Evidence) -> Self {
        Self {
            kind: word(evidence.kind).to_owned(),
            calling_ae_title: evidence.calling_ae_title,
            instances_count: evidence.instances_count,
            missing_count: Some(evidence.missing_count).filter(|count| *count > 0),
            discontinued: Some(evidence.discontinued).filter(|is| *is),
        }
    }
}

fn word(kind: EvidenceKind) -> &'static str {
    match kind {
        EvidenceKind::Commitment => "commitment",
        EvidenceKind::Mpps => "mpps",
        EvidenceKind::Ian => "ian",
        EvidenceKind::Expected => "expected",
        EvidenceKind::Counted => "counted",
        EvidenceKind::Released => "released",
    }
}

impl From<SeriesCompleted> for CompletionEvidence {
    fn from(event: SeriesCompleted) -> Self {
        Self {
            revision: event.revision,
            reason: event.reason.as_str().to_owned(),
            completed_at: event.completed_at.to_string(),
            instances_count: event.instances_count,
            expected_count: event.expected_count,
            fetched: Some(event.fetched).filter(|count| *count > 0),
            evidence: event.evidence.into_iter().map(KnownEvidence::from).collect(),
            missing_instances: event.missing_instances,
        }
    }
}

impl Example for CompletionEvidence {
    fn example() -> Self {
        let counted = KnownEvidence {
            kind: "counted".into(),
            calling_ae_title: Some("MR1".into()),
            instances_count: Some(18),
            missing_count: None,
            discontinued: None,
        };
        let released = KnownEvidence {
            kind: "released".into(),
            calling_ae_title: None,
            instances_count: None,
            ..counted.clone()
        };
        Self {
            revision: 1,
            reason: "released".into(),
            completed_at: "2026-02-03T04:05:16.5Z".into(),
            instances_count: 17,
            expected_count: Some(18),
            fetched: None,
            evidence: vec![counted, released],
            missing_instances: vec!["2.25.195279363403791191586079347607892107644".into()],
        }
    }
}
