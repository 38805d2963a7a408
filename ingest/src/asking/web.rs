//! The question by QIDO-RS (PS3.18 section 10.6): the number that a source says of a series, and where it says none its
//! instances, one by one.

use super::no_answer::NoAnswer;
use super::query::{Counted, LIMIT, MAX_COUNT};
use anyhow::{Context as _, anyhow, ensure};
use bytes::Bytes;
use contract::event::{SourceAnswered, SourceAsked};
use contract::uid::SopInstanceUid;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use serde_json::Value;
use shared::client_tls;
use shared::http_client::{AGENT, Client, Trust, chain, client};
use shared::senders::AskTls;
use std::error::Error;
use std::path::Path;
use tokio::time::timeout;

/// Longest answer that is taken, in bytes. Some sources say a kilobyte of each instance.
const MAX_BODY: usize = 8 << 20;

/// The attributes of an answer (PS3.18 annex F).
const SERIES_INSTANCE_UID: &str = "0020000E";
const SOP_INSTANCE_UID: &str = "00080018";
const NUMBER_OF_SERIES_RELATED_INSTANCES: &str = "00201209";

/// A DICOMweb service.
#[derive(Debug)]
pub(super) struct WebSource {
    client: Client,
    /// Its base, without a slash at the end.
    base: String,
    authorization: Option<HeaderValue>,
}

impl WebSource {
    /// At this base, with the token in a file.
    ///
    /// # Errors
    /// When a file can't be read or holds something else.
    pub(super) fn new(
        base: String,
        token_file: Option<&Path>,
        tls: Option<&AskTls>,
    ) -> anyhow::Result<Self> {
        let trust = match tls {
            Some(tls) => Trust::Config(Box::new(config(tls)?)),
            None => Trust::machine_if(base.starts_with("https:")),
        };
        let authorization = token_file.map(bearer).transpose()?;
        Ok(Self { client: client(trust, Some(LIMIT))?, base, authorization })
    }

    /// Whether what it sends is encrypted.
    #[must_use]
    pub(super) fn is_encrypted(&self) -> bool {
        self.base.starts_with("https:")
    }

    /// Asks how many instances it has.
    pub(super) async fn count(&self, question: &SourceAsked) -> Result<Counted, NoAnswer> {
        timeout(LIMIT, self.counted(question)).await.map_err(|_| NoAnswer::Silent)?
    }

    async fn counted(&self, question: &SourceAsked) -> Result<Counted, NoAnswer> {
        let series = question.series_instance_uid.as_str();
        if question.names {
            return self.instances(question).await;
        }
        let query = format!(
            "series?SeriesInstanceUID={series}&includefield={NUMBER_OF_SERIES_RELATED_INSTANCES}"
        );
        let matches = self.query(&query).await?;
        let (mut highest, mut is_empty) = (0, false);
        for found in matches.iter().filter(|it| is_of(it, series)) {
            match number(found)? {
                Some(count) => highest = highest.max(count),
                None => is_empty = true,
            }
        }
        match is_empty {
            true => self.instances(question).await,
            false => Ok(Counted { count: highest, instances: Vec::new() }),
        }
    }

    /// Counts the instances, one by one.
    async fn instances(&self, question: &SourceAsked) -> Result<Counted, NoAnswer> {
        let series = question.series_instance_uid.as_str();
        let query = match &question.study_instance_uid {
            Some(study) => format!("studies/{study}/series/{series}/instances"),
            None => format!("instances?SeriesInstanceUID={series}"),
        };
        let matches = self.query(&query).await?;
        let named = matches.iter().filter(|it| is_of(it, series)).map(|found| {
            let uid = text(found, SOP_INSTANCE_UID).unwrap_or_default();
            SopInstanceUid::parse(uid).map_err(|_| NoAnswer::Unreadable)
        });
        let mut instances = named.collect::<Result<Vec<_>, _>>()?;
        instances.sort_unstable();
        instances.dedup();
        let count = instances.len() as u64;
        if instances.len() > SourceAnswered::MAX_INSTANCES {
            instances = Vec::new();
        }
        Ok(Counted { count, instances })
    }

    /// The matches of a query.
    async fn query(&self, query: &str) -> Result<Vec<Value>, NoAnswer> {
        let answer = self.get(query, "application/dicom+json").await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(Vec::new());
        }
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(_) => NoAnswer::ConnectionLost,
            Err(_) => NoAnswer::Unreadable,
        })?;
        serde_json::from_slice(&body.to_bytes()).map_err(|_| NoAnswer::Unreadable)
    }

    /// The answer to a GET below the base, once its head is here.
    pub(super) async fn get(
        &self,
        path: &str,
        accept: &'static str,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let mut request = Request::get(format!("{}/{path}", self.base))
            .header(ACCEPT, accept)
            .header(USER_AGENT, AGENT);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::<Bytes>::default()).map_err(|_| NoAnswer::Unreadable)?;
        let answer = self.client.request(request).await.map_err(|error| {
            tracing::debug!(cause = chain(&error), "source not reached");
            match (is_tls(&error), error.is_connect()) {
                (true, _) => NoAnswer::Tls,
                (false, true) => NoAnswer::Unreachable,
                (false, false) => NoAnswer::ConnectionLost,
            }
        })?;
        match answer.status() {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(answer),
            status => {
                tracing::debug!(%status, "source refuses");
                Err(NoAnswer::Refused)
            }
        }
    }
}

/// What `tls` of a source says.
///
/// # Errors
/// As [`client_tls::config`].
pub(super) fn config(tls: &AskTls) -> anyhow::Result<tokio_rustls::rustls::ClientConfig> {
    let AskTls { ca, certificate, key } = tls;
    client_tls::config(ca.as_deref(), certificate.as_deref().zip(key.as_deref()))
}

/// The token in a file, as a header.
fn bearer(path: &Path) -> anyhow::Result<HeaderValue> {
    let what = || format!("token_file {}", path.display());
    let token = std::fs::read_to_string(path).with_context(what)?;
    ensure!(!token.trim().is_empty(), "{}: it is empty", what());
    let header = HeaderValue::try_from(format!("Bearer {}", token.trim()));
    let mut header = header.map_err(|_| anyhow!("{}: it is no token", what()))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Whether a request failed in the hand-shake of TLS.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let of_io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<tokio_rustls::rustls::Error>()
            || of_io.is_some_and(|error| error.is::<tokio_rustls::rustls::Error>())
        {
            return true;
        }
        next = error.source();
    }
    false
}

/// Whether a match is of a series: some answer with more than they are asked for.
fn is_of(found: &Value, series: &str) -> bool {
    text(found, SERIES_INSTANCE_UID).is_none_or(|it| it == series)
}

/// The first value of an attribute, where that is a text.
fn text<'a>(found: &'a Value, tag: &str) -> Option<&'a str> {
    found.get(tag)?.get("Value")?.get(0)?.as_str()
}

/// The number of instances that a match says, if it says one. VR IS is a number in JSON, and a text of some sources.
fn number(found: &Value) -> Result<Option<u64>, NoAnswer> {
    let value = found.get(NUMBER_OF_SERIES_RELATED_INSTANCES).and_then(|it| it.get("Value"));
    let number = match value.and_then(|values| values.get(0)) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    number.filter(|number| *number <= MAX_COUNT).map(Some).ok_or(NoAnswer::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_number_is_a_number_or_a_text_or_absent() {
        for (value, read) in [
            (json!([17]), Ok(Some(17))),
            (json!(["17 "]), Ok(Some(17))),
            (json!([""]), Ok(None)),
            (json!([]), Ok(None)),
            (json!([2_147_483_648_u64]), Err(NoAnswer::Unreadable)),
            (json!([-1]), Err(NoAnswer::Unreadable)),
            (json!([{}]), Err(NoAnswer::Unreadable)),
        ] {
            let found =
                json!({ NUMBER_OF_SERIES_RELATED_INSTANCES: { "vr": "IS", "Value": value } });
            assert_eq!(number(&found), read, "{found}");
        }
        assert_eq!(number(&json!({})), Ok(None));
    }
}
