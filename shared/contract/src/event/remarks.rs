//! What there is to remark on attributes that are not as they were sent. Most events have none of it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Texts by DICOM keyword.
pub type Texts = BTreeMap<String, String>;

/// Where attributes of an event are not as they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Remarks {
    /// The character set in which text was read that the declared one left in doubt, as the Encoding
    /// Standard calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_decoded_as: Option<String>,
    /// Of such text the bytes as they were sent, by keyword, in base64: the first 1,024 of each value. A
    /// value in an item is `RequestAttributesSequence.1.RequestedProcedureID`, and counted from 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub undecoded_values: Texts,
    /// Dates and times that were sent in the form of ACR-NEMA, by keyword, as they were sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub original_values: Texts,
    /// Items of sequences that are not in the event, by keyword of the sequence: it has the first 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub items_left_out: BTreeMap<String, u64>,
}

impl Remarks {
    /// Takes away what is remarked on one attribute.
    pub fn forget(&mut self, keyword: &str) {
        self.undecoded_values.remove(keyword);
        self.original_values.remove(keyword);
    }
}
