//! STOW-RS (PS3.18 section 10.5): requests are checked here, as all are, and passed on to the receiver, which takes their
//! instances. Nothing of a body is kept or looked at.

pub mod operations;
mod payload;
pub mod settings;

use crate::auth::caller::Caller;
use crate::http::problem::Problem;
use crate::server::uploads::Uploads;
use anyhow::Context as _;
use bytes::Bytes;
use contract::dicomweb::DicomwebUrls;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Limited};
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, Method, Request as HttpRequest, StatusCode, Uri, header};
use poem::{Body, Endpoint, IntoResponse, Request, Response};
use serde_json::Value;
use shared::http_client::{AGENT, Client, Trust, chain, client};
use shared::stow::{CLIENT_ADDRESS, CLIENT_NAME, CLIENT_TLS, RETRIEVE_FROM, STUDIES, StowToken};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection to the receiver may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest problem of the receiver's that is passed on, in bytes.
const MAX_PROBLEM: usize = 64 * 1024;

const NOT_HERE: &str = "instances are not taken here: STOW_URL names no receiver that does";

/// Passes requests on to the receiver, where there is one. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stow {
    receiver: Option<Arc<Receiver>>,
    uploads: Uploads,
}

/// Where the receiver takes them.
#[derive(Debug)]
struct Receiver {
    client: Client<BoxBody<Bytes, io::Error>>,
    /// Without a path.
    url: String,
    token: StowToken,
}

impl Stow {
    /// To the receiver at `url`, which knows the token.
    ///
    /// # Errors
    /// When the URL is none, or this machine trusts no certificates and one is needed.
    pub fn to(url: &str, token: StowToken) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().context("STOW_URL is no URL")?;
        let is_plain = uri.scheme_str() == Some("http");
        anyhow::ensure!(
            is_plain || uri.scheme_str() == Some("https"),
            "STOW_URL has to begin with http:// or https://"
        );
        let client =
            client(Trust::machine_if(!is_plain), Some(CONNECT_TIMEOUT)).context("STOW_URL")?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { receiver: Some(Arc::new(Receiver { client, url, token })), ..Self::default() })
    }

    /// The connections on which something is being stored.
    #[must_use]
    pub fn uploads(&self) -> Uploads {
        self.uploads.clone()
    }

    /// Passes a request on, and gives what the receiver answers.
    async fn pass_on(&self, request: &Request, body: Body) -> Result<Response, Problem> {
        let Some(receiver) = &self.receiver else {
            return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, NOT_HERE));
        };
        let _upload = self.uploads.begin(request.remote_addr().as_socket_addr().copied());
        let passed_on = receiver.request(request, body).map_err(|error| {
            tracing::error!(%error, "a STOW-RS request could not be passed on");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request can't be passed on")
        })?;
        let answer = receiver.client.request(passed_on).await.map_err(|error| {
            tracing::warn!(error = chain(&error), "the receiver at STOW_URL did not answer");
            let detail = "the receiver did not answer, or the request was cut off";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })?;
        let status = answer.status();
        if [StatusCode::OK, StatusCode::ACCEPTED, StatusCode::CONFLICT].contains(&status) {
            let body: BoxBody<_, _> = answer.into_body().map_err(io::Error::other).boxed();
            return Ok(Response::builder().status(status).body(Body::from(body)));
        }
        if status == StatusCode::UNAUTHORIZED {
            tracing::error!("the receiver at STOW_URL has another secret in its STOW_TOKEN_FILE");
            let detail = "the receiver does not take instances from here; see the log";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
        }
        let body = Limited::new(answer.into_body(), MAX_PROBLEM).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        Err(Problem::new(status, problem["detail"].as_str().unwrap_or("no instance is stored")))
    }
}

impl Receiver {
    /// The request as the receiver gets it.
    fn request(
        &self,
        request: &Request,
        body: Body,
    ) -> anyhow::Result<HttpRequest<BoxBody<Bytes, io::Error>>> {
        let path = request.uri().path();
        let mut passed_on = HttpRequest::post(format!("{}{path}", self.url))
            .header(header::USER_AGENT, AGENT)
            .header(header::AUTHORIZATION, self.token.authorization())
            .header(CLIENT_TLS, (*request.scheme() == Scheme::HTTPS).to_string())
            // None that the receiver is about to close.
            .header(header::CONNECTION, "close");
        for name in [header::CONTENT_TYPE, header::ACCEPT] {
            for value in request.headers().get_all(&name) {
                passed_on = passed_on.header(&name, value);
            }
        }
        if let Some(urls) = request.data::<DicomwebUrls>() {
            passed_on = passed_on.header(RETRIEVE_FROM, urls.base());
        }
        if let Some(caller) = request.data::<Caller>() {
            if let Some(peer) = caller.peer {
                passed_on = passed_on.header(CLIENT_ADDRESS, peer.ip().to_canonical().to_string());
            }
            let name = caller.name.as_deref().map(str::as_bytes).map(HeaderValue::from_bytes);
            if let Some(Ok(name)) = name {
                passed_on = passed_on.header(CLIENT_NAME, name);
            }
        }
        Ok(passed_on.body(body.into())?)
    }
}

/// Whether a request is to store instances. It is below the path of QIDO-RS, and documented as QIDO-RS is not.
fn is_to_store(request: &Request) -> bool {
    request.method() == Method::POST && stores_at(request.uri().path())
}

/// Whether instances are stored at a path.
pub(crate) fn stores_at(path: &str) -> bool {
    path.strip_prefix(STUDIES).is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('/').is_some_and(|study| !study.contains('/'))
    })
}

/// Gives requests to store instances to the documented operations, and all others to the routes. `urls` are where the
/// client of a request retrieves what is kept, if anything is.
pub(crate) async fn in_front_of<E: Endpoint, D: Endpoint<Output = Response>>(
    next: Arc<E>,
    mut request: Request,
    documented: Arc<D>,
    urls: impl FnOnce(&Request) -> Option<DicomwebUrls>,
) -> poem::Result<Response> {
    match is_to_store(&request) {
        true => {
            if let Some(urls) = urls(&request) {
                request.set_data(urls);
            }
            documented.call(request).await
        }
        false => next.call(request).await.map(IntoResponse::into_response),
    }
}
