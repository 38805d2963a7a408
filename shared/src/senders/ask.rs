//! `ask` of a `[[source]]`: where a source is asked how many instances it has of a series, by C-FIND. What it takes to
//! ask over TLS, or by QIDO-RS, would be more keys here.

use super::entry::ae_title;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::num::NonZeroU16;

/// A Query/Retrieve SCP (PS3.4 annex C).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
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

fn port<'de, D: Deserializer<'de>>(from: D) -> Result<NonZeroU16, D::Error> {
    let port = u64::deserialize(from).ok().and_then(|port| u16::try_from(port).ok());
    port.and_then(NonZeroU16::new).ok_or_else(|| D::Error::custom("port must be from 1 to 65535"))
}

fn host<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let is_one = |it: char| it.is_ascii_alphanumeric() || ".-_:".contains(it);
    match !text.is_empty() && text.len() <= 253 && text.chars().all(is_one) {
        true => Ok(text),
        false => Err(D::Error::custom("host must be a name or an address, without a port")),
    }
}
