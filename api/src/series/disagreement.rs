//! Disagreements between the instances of a series, as the API returns them.

use contract::event;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::{Deserialize, Serialize};

/// An attribute in which the instances of one series, or of one study, differ
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Disagreement {
    /// DICOM keyword: `StudyInstanceUID`, `PatientID`, `IssuerOfPatientID`, `PatientName`,
    /// `PatientBirthDate` or `PatientSex`
    pub keyword: String,
    /// Its values, that of most instances first: the first eight of them
    pub values: Vec<DisagreeingValue>,
    /// How many instances have yet another value
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_instances: Option<u64>,
}

/// One of the values
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase")]
pub struct DisagreeingValue {
    /// The value; empty when it is absent
    pub value: String,
    /// How many instances have it
    pub instances: u64,
}

impl Disagreement {
    /// What there is to tell, if there is anything.
    #[must_use]
    pub fn listed(all: Vec<event::Disagreement>) -> Option<Vec<Self>> {
        let all: Vec<Self> = all.into_iter().map(Self::from).collect();
        (!all.is_empty()).then_some(all)
    }
}

impl From<event::Disagreement> for Disagreement {
    fn from(disagreement: event::Disagreement) -> Self {
        let value = |it: event::DisagreeingValue| DisagreeingValue {
            value: it.value,
            instances: it.instances,
        };
        Self {
            keyword: disagreement.keyword,
            values: disagreement.values.into_iter().map(value).collect(),
            other_instances: Some(disagreement.other_instances).filter(|instances| *instances > 0),
        }
    }
}

impl Example for Disagreement {
    fn example() -> Self {
        let value =
            |value: &str, instances| DisagreeingValue { value: value.to_owned(), instances };
        Self {
            keyword: "PatientID".to_owned(),
            values: vec![value("1", 9), value("2", 8)],
            other_instances: None,
        }
    }
}
