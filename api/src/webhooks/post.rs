//! One delivery over HTTP: the request, and what its receiver made of it.

use super::cloud_event::CLOUD_EVENT;
use super::file::Hook;
use super::retry_delay;
use super::signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER};
use anyhow::Context as _;
use http_body_util::{BodyExt, Full, Limited};
use jiff::Timestamp;
use poem::http::{Method, Request, StatusCode, header};
use shared::http_client::{AGENT, Client, Trust, chain, client};
use std::time::Duration;
use tokio::time::timeout;

/// What is read of an answer's body, so that its connection can be used again, and for how long.
/// Nothing of it is kept: it may repeat what was sent.
const MAX_BODY: usize = 64 * 1024;
const DRAIN: Duration = Duration::from_secs(1);

/// Why a receiver has not taken a delivery.
#[derive(Debug)]
pub(super) struct Refusal {
    /// In words, which repeat nothing of the delivery nor of the answer.
    pub(super) cause: String,
    /// How long it asks to be left alone.
    pub(super) asked: Option<Duration>,
}

/// Posts to receivers. Clones share connections.
#[derive(Debug, Clone)]
pub(super) struct Post {
    client: Client,
}

impl Post {
    /// Over TLS too when it `is_secure`.
    ///
    /// # Errors
    /// When this machine trusts no certificates.
    pub(super) fn new(is_secure: bool) -> anyhow::Result<Self> {
        Ok(Self { client: client(Trust::machine_if(is_secure), None).context("webhooks")? })
    }

    /// Sends an event to a webhook, signed as of now.
    ///
    /// # Errors
    /// When its receiver did not answer with 2xx in time.
    pub(super) async fn deliver(&self, hook: &Hook, event: String) -> Result<(), Refusal> {
        let (timestamp, signature) = hook.secret.sign(event.as_bytes(), Timestamp::now());
        let request = Request::builder()
            .method(Method::POST)
            .uri(&hook.url)
            .header(header::CONTENT_TYPE, CLOUD_EVENT)
            .header(header::USER_AGENT, AGENT)
            .header(TIMESTAMP_HEADER, timestamp)
            .header(SIGNATURE_HEADER, signature)
            .body(Full::from(event))
            .map_err(|error| refusal(format!("the request can't be made: {error}")))?;
        let answer = match timeout(hook.timeout, self.client.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(refusal(chain(&error))),
            Err(_elapsed) => {
                return Err(refusal(format!("no answer within {:?}", hook.timeout)));
            }
        };
        let status = answer.status();
        let asked = answer.headers().get(header::RETRY_AFTER);
        let asked =
            asked.and_then(|value| retry_delay::asked(value.to_str().ok()?, Timestamp::now()));
        // The status is the answer; how its body ends changes nothing.
        let _ = timeout(DRAIN, Limited::new(answer.into_body(), MAX_BODY).collect()).await;
        if status.is_success() {
            return Ok(());
        }
        Err(Refusal { cause: said(status), asked })
    }
}

fn refusal(cause: String) -> Refusal {
    Refusal { cause, asked: None }
}

fn said(status: StatusCode) -> String {
    let code = status.as_u16();
    match status.is_redirection() {
        true => format!("the answer was {code}, and redirects are not followed"),
        false => format!("the answer was {code}"),
    }
}
