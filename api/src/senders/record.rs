//! `GET /sources`: the senders, and whether their evidence is trusted.

use crate::http::example_values::SERIES_UID;
use catalog::{PauseSummary, SenderRecord};
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

/// A sender
#[derive(Debug, Clone, PartialEq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename = "Source", rename_all = "PascalCase", example)]
pub struct Sender {
    /// AE title, as it calls itself
    #[serde(rename = "CallingAETitle")]
    #[oai(rename = "CallingAETitle")]
    pub calling_ae_title: String,
    /// When its latest instance was stored, UTC
    pub last_seen_at: String,
    /// Whether the release of its associations is taken for the end of a series
    pub released: Evidence,
    /// Whether the number of instances that it announces is taken for that of a series
    pub expected: Evidence,
    /// Whether a storage commitment of its instances is taken for all that there are
    pub confirmed: Evidence,
    /// Whether a performed procedure step (MPPS) is taken for all instances of its series
    pub performed: Evidence,
    /// Whether an availability notification (IAN) is
    pub available: Evidence,
    /// The pauses inside its series, as far as there were any
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pauses: Option<Pauses>,
}

/// The longest pause of each completed series of a sender, of its latest 500 to 1,000
#[derive(Debug, Clone, PartialEq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase")]
pub struct Pauses {
    /// How many completions of series these are
    pub series_count: u32,
    /// Seconds; half of them had no longer pause. At most 1/16 too long
    pub p50: f64,
    /// Seconds; 99 of 100 had no longer pause. At most 1/16 too long
    pub p99: f64,
    /// Seconds; the longest pause of all
    pub max: f64,
    /// Seconds; the quiet period that these pauses suggest, from 20 series on
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggested_quiet_period: Option<f64>,
}

impl From<PauseSummary> for Pauses {
    fn from(summary: PauseSummary) -> Self {
        Self {
            series_count: summary.series_count,
            p50: summary.p50.as_secs_f64(),
            p99: summary.p99.as_secs_f64(),
            max: summary.max.as_secs_f64(),
            suggested_quiet_period: summary.suggested_quiet_period.map(|it| it.as_secs_f64()),
        }
    }
}

/// Whether a kind of evidence of a sender is trusted
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase")]
pub struct Evidence {
    /// Whether it is believed
    pub trusted: bool,
    /// When it proved wrong, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disproved_at: Option<String>,
    /// Series Instance UID of the series that grew again
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disproved_by: Option<String>,
}

impl From<Option<(jiff::Timestamp, String)>> for Evidence {
    fn from(disproved: Option<(jiff::Timestamp, String)>) -> Self {
        let (disproved_at, disproved_by) = disproved.unzip();
        let disproved_at = disproved_at.map(|at| at.to_string());
        Self { trusted: disproved_at.is_none(), disproved_at, disproved_by }
    }
}

impl From<SenderRecord> for Sender {
    fn from(record: SenderRecord) -> Self {
        Self {
            calling_ae_title: record.calling_ae_title,
            last_seen_at: record.last_seen_at.to_string(),
            released: record.released_disproved.into(),
            expected: record.expected_disproved.into(),
            confirmed: record.confirmed_disproved.into(),
            performed: record.performed_disproved.into(),
            available: record.available_disproved.into(),
            pauses: record.pauses.and_then(|pauses| pauses.summary()).map(Pauses::from),
        }
    }
}

impl Example for Sender {
    fn example() -> Self {
        let trusted = Evidence { trusted: true, disproved_at: None, disproved_by: None };
        Self {
            calling_ae_title: "MR1".into(),
            last_seen_at: "2026-02-03T04:05:06.5Z".into(),
            released: Evidence {
                trusted: false,
                disproved_at: Some("2026-02-01T10:00:03Z".into()),
                disproved_by: Some(SERIES_UID.into()),
            },
            expected: trusted.clone(),
            confirmed: trusted.clone(),
            performed: trusted.clone(),
            available: trusted,
            pauses: Some(Pauses {
                series_count: 412,
                p50: 1.215,
                p99: 17.407,
                max: 21.38,
                suggested_quiet_period: Some(27.0),
            }),
        }
    }
}
