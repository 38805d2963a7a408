//! `ask` of a `[[source]]`: where a source is asked how many instances it has of a series, by C-FIND or by QIDO-RS.

use super::entry::ae_title;
use crate::web_url::base_url;
use completion::MAX_FETCHED;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::num::NonZeroU16;
use std::path::PathBuf;
use url::Url;

/// Where a source is asked, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Ask {
    /// Where it answers.
    pub at: AskAt,
    /// How it is spoken to over TLS, where anything of that is set.
    pub tls: Option<AskTls>,
    /// How many instances of a series that are missing here are fetched from it at most; `None` where nothing is.
    pub fetch_limit: Option<usize>,
}

/// Instances that are fetched at most where `fetch_limit` says nothing.
const FETCH_LIMIT: usize = 200;

/// Where a source answers queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskAt {
    /// A Query/Retrieve SCP (PS3.4 annex C).
    Dimse {
        /// Its AE title, as we call it.
        ae_title: String,
        /// Name or address of its host.
        host: String,
        /// Its port.
        port: NonZeroU16,
    },
    /// A DICOMweb service (PS3.18).
    Web {
        /// Its base, without a slash at the end.
        url: String,
        /// A file with the token that it wants (RFC 6750), if it wants one.
        token_file: Option<PathBuf>,
    },
}

/// TLS to a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskTls {
    /// CAs whose certificates are accepted, PEM; without, those that the machine trusts.
    pub ca: Option<PathBuf>,
    /// Our certificate and those between it and its CA, PEM, where the source wants one.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
}

/// The keys as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default, deserialize_with = "title")]
    ae_title: Option<String>,
    #[serde(default, deserialize_with = "some_host")]
    host: Option<String>,
    #[serde(default, deserialize_with = "some_port")]
    port: Option<NonZeroU16>,
    #[serde(default, deserialize_with = "url")]
    url: Option<Url>,
    token_file: Option<PathBuf>,
    tls: Option<AskTls>,
    #[serde(default)]
    fetch_missing: bool,
    fetch_limit: Option<usize>,
}

impl TryFrom<Keys> for Ask {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let Keys { ae_title, host, port, url, token_file, tls, fetch_missing, fetch_limit } = keys;
        let at = match (url, ae_title, host, port) {
            (Some(url), None, None, None) => {
                if tls.is_some() && url.scheme() != "https" {
                    return Err("tls is for an https url".to_owned());
                }
                AskAt::Web { url: url.as_str().trim_end_matches('/').to_owned(), token_file }
            }
            (Some(_), ..) => return Err("url stands without ae_title, host and port".to_owned()),
            (None, ..) if token_file.is_some() => return Err("token_file is for a url".to_owned()),
            (None, Some(ae_title), Some(host), Some(port)) => AskAt::Dimse { ae_title, host, port },
            (None, None, ..) => return Err("missing field `ae_title`, or `url`".to_owned()),
            (None, _, None, _) => return Err("missing field `host`".to_owned()),
            (None, .., None) => return Err("missing field `port`".to_owned()),
        };
        if tls.as_ref().is_some_and(|tls| tls.certificate.is_some() != tls.key.is_some()) {
            return Err("tls: certificate and key belong together".to_owned());
        }
        let fetch_limit = match (fetch_missing, fetch_limit) {
            (true, limit) => Some(limit.unwrap_or(FETCH_LIMIT)),
            (false, None) => None,
            (false, Some(_)) => return Err("fetch_limit is for fetch_missing = true".to_owned()),
        };
        if fetch_limit.is_some_and(|limit| !(1..=MAX_FETCHED).contains(&limit)) {
            return Err(format!("fetch_limit must be from 1 to {MAX_FETCHED}"));
        }
        Ok(Self { at, tls, fetch_limit })
    }
}

fn title<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    ae_title(from).map(Some)
}

fn some_host<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    host(from).map(Some)
}

fn some_port<'de, D: Deserializer<'de>>(from: D) -> Result<Option<NonZeroU16>, D::Error> {
    port(from).map(Some)
}

pub(super) fn port<'de, D: Deserializer<'de>>(from: D) -> Result<NonZeroU16, D::Error> {
    let port = u64::deserialize(from).ok().and_then(|port| u16::try_from(port).ok());
    port.and_then(NonZeroU16::new).ok_or_else(|| D::Error::custom("port must be from 1 to 65535"))
}

pub(super) fn host<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let is_one = |it: char| it.is_ascii_alphanumeric() || ".-_:".contains(it);
    match !text.is_empty() && text.len() <= 253 && text.chars().all(is_one) {
        true => Ok(text),
        false => Err(D::Error::custom("host must be a name or an address, without a port")),
    }
}

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    base_url(&String::deserialize(from)?).map(Some).map_err(D::Error::custom)
}
