//! STOW-RS (PS3.18 section 10.5) as its user agent: a batch of files in one request, streamed as they are.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use dimse::Status;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use indicatif::ProgressBar;
use serde_json::Value;
use shared::{http_client::Trust, pem};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};
use url::Url;

use super::{SendSettings, files::Instance};
use crate::http_client::{Answer, NoAnswer, Uploads, body};

/// Instances of one request at most. A request is an association to the rules of completeness, and what is lost with one is
/// sent again.
const MAX_INSTANCES: usize = 500;
/// Bytes of one request at most, unless one instance has more.
const MAX_BYTES: u64 = 512 << 20;
/// What is read of a file at a time.
const PIECE: usize = 128 << 10;
/// The longest answer that is shown of a server that says no more than its status.
const MAX_DETAIL: usize = 300;

/// A DICOMweb service that instances are sent to.
pub(super) struct Stow {
    uploads: Uploads,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
}

/// What became of an instance, as the answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored,
    /// With its Failure Reason (0008,1197).
    Failed(Status),
}

/// Whether `to` is a URL rather than the address of a C-STORE SCP.
pub(super) fn is_url(to: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        to.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

/// As many of the first instances as are sent in one request.
pub(super) fn next_batch(instances: &[Instance]) -> &[Instance] {
    let mut bytes = 0;
    for (index, instance) in instances.iter().enumerate() {
        bytes += instance.data_set_offset + instance.data_set_length;
        if index > 0 && (index == MAX_INSTANCES || bytes > MAX_BYTES) {
            return &instances[..index];
        }
    }
    instances
}

/// Where a service stores instances. A URL without a path is of Collimator's API.
fn resource(to: &str) -> anyhow::Result<Url> {
    let mut url = Url::parse(to).context("--to")?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty();
    }
    let root = if url.path() == "/" { contract::dicomweb::ROOT } else { url.path() };
    let path = format!("{root}/studies");
    url.set_path(&path);
    Ok(url)
}

impl Stow {
    /// To the service that the settings name.
    pub(super) fn new(settings: &SendSettings) -> anyhow::Result<Self> {
        let url = resource(&settings.to)?;
        let trust = match (url.scheme(), &settings.ca) {
            ("https", Some(ca)) => {
                Trust::Authorities(pem::authorities(ca).with_context(|| ca.display().to_string())?)
            }
            ("https", None) => Trust::Machine,
            _ => Trust::Nobody,
        };
        let accept = HeaderValue::from_static("application/dicom+json");
        let mut headers = HeaderMap::from_iter([(ACCEPT, accept)]);
        if let Some(token) = &settings.token {
            let mut token = HeaderValue::try_from(format!("Bearer {token}"))
                .context("COLLIMATOR_TOKEN is no token")?;
            token.set_sensitive(true);
            headers.insert(AUTHORIZATION, token);
        }
        let uploads = Uploads::new(trust).context("--ca or COLLIMATOR_CA")?;
        Ok(Self { uploads, url, headers, timeout: settings.timeout })
    }

    /// Sends a batch, and gives what became of each instance, in order. Moves `bar` by the bytes that went out.
    ///
    /// # Errors
    /// When there is no answer about the instances: each of them may be sent again.
    pub(super) async fn store(
        &self,
        batch: &[Instance],
        bar: &ProgressBar,
    ) -> anyhow::Result<Vec<Option<Outcome>>> {
        let boundary = uuid::Uuid::new_v4().simple().to_string();
        let kind =
            format!("multipart/related; type=\"application/dicom\"; boundary=\"{boundary}\"");
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::try_from(kind)?);
        let sent = Arc::new(AtomicU64::new(0));
        let paths: Vec<_> = batch.iter().map(|instance| instance.path.clone()).collect();
        let (mut to, body) = body(PIECE);
        let (counted, moved) = (sent.clone(), bar.clone());
        let writing = async move {
            for path in &paths {
                let part = format!("\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n");
                to.write_all(part.as_bytes()).await?;
                copy(path, &mut to, |bytes| {
                    counted.fetch_add(bytes, Ordering::Relaxed);
                    moved.inc(bytes);
                })
                .await?;
            }
            to.write_all(format!("\r\n--{boundary}--\r\n").as_bytes()).await?;
            to.shutdown().await?;
            anyhow::Ok(())
        };
        let answering = async {
            let request = self.uploads.post(&self.url, headers, body);
            tokio::pin!(request);
            loop {
                let before = sent.load(Ordering::Relaxed);
                match tokio::time::timeout(self.timeout, &mut request).await {
                    Ok(answer) => return answer,
                    Err(_) if sent.load(Ordering::Relaxed) != before => {}
                    Err(_) => return Err(NoAnswer::Late),
                }
            }
        };
        tokio::pin!(writing, answering);
        // The answer may come before all is sent: a refusal does not wait for the body.
        let answer = tokio::select! {
            answer = &mut answering => answer,
            written = &mut writing => match written {
                // Where the server hung up, its answer says more.
                Err(error) if error.downcast_ref::<Unreadable>().is_some() => return Err(error),
                _ => answering.await,
            },
        };
        let answer = answer.map_err(|error| self.no_answer(&error))?;
        self.outcomes(answer, batch).await
    }

    fn no_answer(&self, error: &NoAnswer) -> anyhow::Error {
        let url = &self.url;
        match error {
            NoAnswer::Untrusted(cause) => anyhow::anyhow!(
                "{url} is not trusted: {cause}; name the certificate of its CA with --ca or COLLIMATOR_CA"
            ),
            NoAnswer::Late => anyhow::anyhow!(
                "{url} did not answer within {:?}: check that a DICOMweb service is there, or allow more \
                 time with --timeout",
                self.timeout
            ),
            NoAnswer::Lost(cause) => anyhow::anyhow!(
                "no answer of {url} ({cause}): check that a DICOMweb service is there, or name another \
                 one with --to"
            ),
        }
    }

    async fn outcomes(
        &self,
        answer: Answer,
        batch: &[Instance],
    ) -> anyhow::Result<Vec<Option<Outcome>>> {
        let status = answer.status();
        let body = answer.whole().await.map_err(|error| self.no_answer(&error))?;
        match status {
            StatusCode::OK | StatusCode::ACCEPTED | StatusCode::CONFLICT => {
                let said = serde_json::from_slice(&body)
                    .with_context(|| format!("{} answers {status} without DICOM JSON", self.url))?;
                Ok(read(&said, batch))
            }
            StatusCode::UNAUTHORIZED => bail!(
                "{} needs a token of the scope `store`: set COLLIMATOR_TOKEN (`collimator token create` \
                 makes one)",
                self.url
            ),
            _ => {
                let said: Value = serde_json::from_slice(&body).unwrap_or_default();
                let detail = said["detail"].as_str().map_or_else(
                    || "is that a DICOMweb service?".to_owned(),
                    |detail| detail.chars().take(MAX_DETAIL).collect(),
                );
                bail!("{} answers {status}: {detail}", self.url)
            }
        }
    }
}

/// What an answer (PS3.18 section I.2) says of each instance, in order; nothing of one that it does not name.
fn read(said: &Value, batch: &[Instance]) -> Vec<Option<Outcome>> {
    let items = |tag: &str| said[tag]["Value"].as_array().into_iter().flatten();
    let sop = |item: &Value| item["00081155"]["Value"][0].as_str().unwrap_or_default().to_owned();
    let mut outcomes: HashMap<String, Vec<Outcome>> = HashMap::new();
    for item in items("00081199") {
        outcomes.entry(sop(item)).or_default().push(Outcome::Stored);
    }
    for item in items("00081198") {
        let code = item["00081197"]["Value"][0].as_u64().and_then(|code| code.try_into().ok());
        let failed = Outcome::Failed(code.map_or(Status::OutOfResources, Status::of));
        outcomes.entry(sop(item)).or_default().push(failed);
    }
    let of = |instance: &Instance| outcomes.get_mut(&instance.sop_instance_uid)?.pop();
    batch.iter().map(of).collect()
}

/// A file that can't be read any more.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: {cause}", path.display())]
pub(super) struct Unreadable {
    pub(super) path: PathBuf,
    pub(super) cause: std::io::Error,
}

async fn copy(
    path: &Path,
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    sent: impl Fn(u64),
) -> anyhow::Result<()> {
    let unreadable = |cause| Unreadable { path: path.to_owned(), cause };
    let mut file = File::open(path).await.map_err(unreadable)?;
    let mut piece = BytesMut::with_capacity(PIECE);
    while file.read_buf(&mut piece).await.map_err(unreadable)? > 0 {
        let bytes: Bytes = piece.split().freeze();
        to.write_all(&bytes).await?;
        sent(bytes.len() as u64);
        piece.reserve(PIECE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::files::Context;

    fn instance(sop: &str, length: u64) -> Instance {
        Instance {
            path: sop.into(),
            context: Context {
                sop_class_uid: "2.25.1".into(),
                transfer_syntax_uid: "2.25.2".into(),
            },
            sop_instance_uid: sop.to_owned(),
            data_set_offset: 0,
            data_set_length: length,
        }
    }

    #[test]
    fn a_request_is_bounded_and_has_one_instance_at_least() {
        let of = |count: usize, length| vec![instance("2.25.3", length); count];
        assert_eq!(next_batch(&of(3, MAX_BYTES)).len(), 1);
        assert_eq!(next_batch(&of(9, MAX_BYTES / 4)).len(), 4);
        assert_eq!(next_batch(&of(501, 1)).len(), MAX_INSTANCES);
        assert_eq!(next_batch(&of(500, 1)).len(), 500);
        assert_eq!(next_batch(&of(1, MAX_BYTES + 1)).len(), 1);
    }

    #[test]
    fn a_url_without_a_path_is_of_the_api_and_another_is_of_a_service() {
        for (to, url) in [
            ("https://a.example", "https://a.example/dicom-web/studies"),
            ("http://a:8000/", "http://a:8000/dicom-web/studies"),
            ("http://a/orthanc/dicom-web/", "http://a/orthanc/dicom-web/studies"),
        ] {
            assert_eq!(resource(to).unwrap().as_str(), url);
        }
        assert!(is_url("HTTPS://a") && !is_url("https") && !is_url("httphost:104"));
    }

    #[test]
    fn an_answer_says_what_became_of_each_instance() {
        let item = |sop: &str, code: Option<u16>| serde_json::json!({"00081155": {"vr": "UI", "Value": [sop]}, "00081197": {"Value": [code]}});
        let said = serde_json::json!({
            "00081198": {"vr": "SQ", "Value": [item("2.25.4", Some(0xc000))]},
            "00081199": {"vr": "SQ", "Value": [item("2.25.3", None), item("2.25.3", None)]},
        });
        let batch = ["2.25.3", "2.25.4", "2.25.5", "2.25.3"].map(|sop| instance(sop, 1));
        let failed = Some(Outcome::Failed(Status::of(0xc000)));
        let stored = Some(Outcome::Stored);
        assert_eq!(read(&said, &batch), [stored, failed, None, stored]);
    }
}
