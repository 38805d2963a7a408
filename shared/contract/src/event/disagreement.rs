//! What the instances of a series, or of a study, disagree on.

use serde::{Deserialize, Serialize};

/// Values of an attribute that are told at most, those of most instances.
const MAX_VALUES: usize = 8;

/// An attribute that identifies the patient or the study, and in which instances differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Disagreement {
    /// DICOM keyword (PS3.6).
    pub keyword: String,
    /// Its values, that of most instances first: the first eight of them.
    pub values: Vec<DisagreeingValue>,
    /// How many instances have yet another value; 0 is not told.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub other_instances: u64,
}

/// One of the values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DisagreeingValue {
    /// The value, empty when it is absent.
    pub value: String,
    /// How many instances have it.
    pub instances: u64,
}

/// What instances say of whom and what they belong to, by [`Identity::KEYWORDS`]; how many say so; and how many
/// instances there are in all, which is more where not all identities are given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Identity(pub [String; 6], pub u64, pub u64);

impl Identity {
    /// What is said, in this order.
    pub const KEYWORDS: [&str; 6] = [
        "StudyInstanceUID",
        "PatientID",
        "IssuerOfPatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
    ];
}

impl Disagreement {
    /// What these say differently, in the order of the keywords.
    #[must_use]
    pub fn among(identities: &[Identity]) -> Vec<Self> {
        let keywords = Identity::KEYWORDS.iter().enumerate();
        keywords.filter_map(|(place, keyword)| Self::of(keyword, place, identities)).collect()
    }

    /// Whether it is on the study, and not on the patient.
    #[must_use]
    pub fn is_of_studies(&self) -> bool {
        self.keyword == "StudyInstanceUID"
    }

    /// The studies that are told among what is disagreed on.
    pub fn studies(all: &[Self]) -> impl Iterator<Item = &str> {
        let of_studies = all.iter().filter(|it| it.is_of_studies());
        of_studies.flat_map(|it| &it.values).map(|value| value.value.as_str())
    }

    /// What is disagreed on, in a sentence that says nothing of anybody.
    #[must_use]
    pub fn summary(all: &[Self]) -> String {
        let keywords: Vec<_> = all.iter().map(|it| it.keyword.as_str()).collect();
        format!("instances disagree on {}", keywords.join(", "))
    }

    fn of(keyword: &str, place: usize, identities: &[Identity]) -> Option<Self> {
        let mut values: Vec<DisagreeingValue> = Vec::new();
        for Identity(said, instances, _) in identities {
            match values.iter_mut().find(|value| value.value == said[place]) {
                Some(value) => value.instances += instances,
                None => {
                    let (value, instances) = (said[place].clone(), *instances);
                    values.push(DisagreeingValue { value, instances });
                }
            }
        }
        // Where the ID and the study are the same, it says nothing that the rest is left out.
        let counts = |value: &&DisagreeingValue| place <= 1 || !value.value.is_empty();
        if values.iter().filter(counts).count() < 2 {
            return None;
        }
        values.sort_by(|one, other| {
            (other.instances, &one.value).cmp(&(one.instances, &other.value))
        });
        values.truncate(MAX_VALUES);
        let listed: u64 = values.iter().map(|value| value.instances).sum();
        let all = identities.first().map_or(0, |Identity(.., all)| *all);
        let other_instances = all.saturating_sub(listed);
        Some(Self { keyword: keyword.to_owned(), values, other_instances })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(said: [&str; 6], instances: u64, all: u64) -> Identity {
        Identity(said.map(str::to_owned), instances, all)
    }

    #[test]
    fn what_differs_is_told_with_how_many_instances_say_so() {
        let one = identity(["1.1", "A", "", "Roe^Anna", "19800101", "F"], 3, 12);
        let other = identity(["1.1", "B", "", "Doe^Ben", "", "F"], 5, 12);
        let listed = Disagreement::among(&[
            one.clone(),
            other,
            identity(["1.1", "A", "", "", "", ""], 4, 12),
        ]);
        let json = serde_json::json!([
            {"Keyword": "PatientID", "Values": [
                {"Value": "A", "Instances": 7}, {"Value": "B", "Instances": 5}]},
            {"Keyword": "PatientName", "Values": [
                {"Value": "Doe^Ben", "Instances": 5}, {"Value": "", "Instances": 4},
                {"Value": "Roe^Anna", "Instances": 3}]},
        ]);
        assert_eq!(serde_json::to_value(listed).unwrap(), json);
        assert_eq!(Disagreement::among(&[one]), []);
    }

    #[test]
    fn however_many_values_there_are_a_few_are_told_and_all_instances_counted() {
        let many: Vec<_> = (0..1000)
            .map(|number| identity(["1.1", &number.to_string(), "", "Roe", "", ""], 2, 3000))
            .collect();
        let listed = Disagreement::among(&many);
        assert_eq!((listed.len(), listed[0].values.len()), (1, MAX_VALUES));
        assert_eq!(listed[0].other_instances, 3000 - 2 * MAX_VALUES as u64);
    }
}
