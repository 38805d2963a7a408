//! `report_to` of a `[[source]]`: where a source takes reports on storage commitment.

use super::ask::{host, port};
use super::entry::ae_title;
use serde::Deserialize;
use std::num::NonZeroU16;

/// An SCU of storage commitment that takes associations (PS3.4 section J.3.3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportTo {
    /// Its AE title, as we call it.
    #[serde(deserialize_with = "ae_title")]
    pub ae_title: String,
    /// Name or address of its host.
    #[serde(deserialize_with = "host")]
    pub host: String,
    /// Its port.
    #[serde(deserialize_with = "port")]
    pub port: NonZeroU16,
}
