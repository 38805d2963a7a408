//! Asking the API, in plain text or over TLS: for the commands that are its clients.

mod pinned;
mod uploads;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
pub(crate) use pinned::Pinned;
use shared::http_client::{self, AGENT, Client, Trust};
use std::error::Error;
use std::io;
use std::time::Duration;
use tokio::time::{error::Elapsed, timeout};
pub(crate) use uploads::{Uploads, body};
use url::Url;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may pause. `GET /events` says every few seconds that it still stands.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest body that is read whole. A page of 500 series is some hundred times shorter.
const MAX_WHOLE: usize = 64 << 20;

/// Asks by GET.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient {
    client: Client,
}

/// Why there is no answer, or no whole one. Nothing that was asked is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("it takes too long")]
    Late,
    /// Somebody answers whose certificate is not good.
    #[error("{0}")]
    Untrusted(String),
    #[error("{0}")]
    Lost(String),
}

impl From<Elapsed> for NoAnswer {
    fn from(_: Elapsed) -> Self {
        Self::Late
    }
}

impl HttpClient {
    /// With the certificates that are good.
    ///
    /// # Errors
    /// As [`http_client::client`].
    pub(crate) fn new(trust: Trust) -> anyhow::Result<Self> {
        Ok(Self { client: http_client::client(trust, Some(CONNECT_TIMEOUT))? })
    }

    /// Asks for what is at a URL.
    pub(crate) async fn get(&self, url: &Url, headers: HeaderMap) -> Result<Answer, NoAnswer> {
        let mut request = Request::get(url.as_str())
            .body(Full::default())
            .map_err(|error| NoAnswer::Lost(error.to_string()))?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let answer = timeout(READ_TIMEOUT, self.client.request(request)).await?;
        answer.map(Answer).map_err(|error| no_answer(&error))
    }
}

/// An answer, whose body comes piece by piece.
#[derive(Debug)]
pub(crate) struct Answer(Response<Incoming>);

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The next piece of the body; nothing at its end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, NoAnswer> {
        while let Some(frame) = timeout(READ_TIMEOUT, self.0.body_mut().frame()).await? {
            // What is no data are trailers, which say nothing to us.
            if let Ok(data) = frame.map_err(|error| no_answer(&error))?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The whole body.
    pub(crate) async fn whole(mut self) -> Result<Vec<u8>, NoAnswer> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await? {
            if whole.len() + piece.len() > MAX_WHOLE {
                return Err(NoAnswer::Lost("the answer is too long".to_owned()));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

/// What lies under an error: what is above it says nothing new, and may name what was asked for.
fn no_answer(error: &(dyn Error + 'static)) -> NoAnswer {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match of_tls(cause) {
        Some(rustls::Error::InvalidCertificate(_)) => NoAnswer::Untrusted(cause.to_string()),
        Some(rustls::Error::InvalidMessage(_)) => NoAnswer::Lost("it speaks no TLS".to_owned()),
        _ => NoAnswer::Lost(cause.to_string()),
    }
}

/// An error of I/O says what it was made of, but not as its source.
fn of_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => of_tls(error.get_ref()?),
        None => error.downcast_ref(),
    }
}
