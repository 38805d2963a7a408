//! Whose an instance is: what it says of its study and its patient, and what a series says of all of them.

use crate::encoding::json;
use crate::error::CatalogError;
use contract::event::{AttributeValue, Disagreement, Identity, InstanceStored};
use std::array;
use std::borrow::Cow;

/// What an instance says of the patient, in the order of the keywords.
const PATIENT: [&str; 5] =
    ["IssuerOfPatientID", "PatientBirthDate", "PatientID", "PatientName", "PatientSex"];

/// What an instance says of its study and its patient: two that differ in it disagree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Said<'a> {
    study: &'a str,
    patient: [Option<&'a AttributeValue>; 5],
}

/// The Study Instance UID of an instance, empty when absent.
pub(crate) fn study_of(event: &InstanceStored) -> &str {
    event.study_instance_uid.as_ref().map_or("", |uid| uid.as_str())
}

impl<'a> Said<'a> {
    pub(crate) fn by(event: &'a InstanceStored) -> Self {
        let mut patient = event.attributes.pick(&PATIENT);
        Self { study: study_of(event), patient: array::from_fn(|_| patient.next().flatten()) }
    }

    /// The Study Instance UID, empty when absent.
    pub(crate) fn study(self) -> &'a str {
        self.study
    }

    /// As the columns have it: the study, then the patient's ID, its issuer, the name, the birth date and the sex.
    pub(crate) fn texts(self) -> [Cow<'a, str>; 6] {
        let [issuer, birth_date, id, name, sex] = self.patient.map(|value| match value {
            None => Cow::Borrowed(""),
            Some(AttributeValue::Text(text)) => Cow::Borrowed(text.as_str()),
            Some(other) => Cow::Owned(json(other)),
        });
        [Cow::Borrowed(self.study), id, issuer, name, birth_date, sex]
    }
}

/// What the row of a series says of all its instances, as long as these agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfSeries {
    pub(crate) study: String,
    pub(crate) patient: i64,
    pub(crate) disagrees: bool,
}

/// What a list of identities disagrees on; `None` is an empty one.
pub(crate) fn disagreements(identities: Option<&str>) -> Result<Vec<Disagreement>, CatalogError> {
    let Some(identities) = identities else { return Ok(Vec::new()) };
    let identities: Vec<Identity> = serde_json::from_str(identities)
        .map_err(|error| CatalogError::Unreadable(format!("whose instances are: {error}")))?;
    Ok(Disagreement::among(&identities))
}
