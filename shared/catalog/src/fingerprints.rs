//! 64-bit fingerprints of what an instance says of its study and its series, so that rows that would not change are
//! not written again. All instances of a series mostly say the same.

use crate::encoding::json;
use crate::identities::study_of;
use contract::attributes::{ATTRIBUTES, Attribute, Level, describing_in};
use contract::event::{AttributeValue, InstanceStored};

/// What an instance says, or what was last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Fingerprints {
    /// Of its study and the patient.
    pub(crate) study: i64,
    /// Of its series, and to which study and patient that belongs.
    pub(crate) series: i64,
}

impl Fingerprints {
    pub(crate) fn of(event: &InstanceStored) -> Self {
        Self::by(ATTRIBUTES, event)
    }

    /// By another table of attributes.
    pub(crate) fn by(attributes: &'static [Attribute], event: &InstanceStored) -> Self {
        let mut hasher = blake3::Hasher::new();
        for attribute in describing_in(attributes, Level::Patient) {
            update(&mut hasher, attribute.keyword, event);
        }
        let mut of_series = hasher.clone();
        for attribute in describing_in(attributes, Level::Study) {
            update(&mut hasher, attribute.keyword, event);
        }
        for text in [study_of(event), &event.calling_ae_title] {
            of_series.update(text.as_bytes()).update(b"\0");
        }
        for attribute in describing_in(attributes, Level::Series) {
            update(&mut of_series, attribute.keyword, event);
        }
        Self { study: number(&hasher), series: number(&of_series) }
    }
}

/// The keyword is part of it: where a later version keeps more, nothing is what it was.
fn update(hasher: &mut blake3::Hasher, keyword: &str, event: &InstanceStored) {
    hasher.update(keyword.as_bytes()).update(b"\0");
    match event.attributes.get(keyword) {
        None => {}
        Some(AttributeValue::Text(text)) => {
            hasher.update(b"t").update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        Some(AttributeValue::Number(number)) => {
            hasher.update(b"n").update(&number.to_le_bytes());
        }
        Some(other) => {
            hasher.update(b"j").update(json(other).as_bytes());
        }
    }
    hasher.update(b"\0");
}

fn number(hasher: &blake3::Hasher) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}
