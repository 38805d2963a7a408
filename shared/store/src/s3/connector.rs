//! The HTTP client for requests to S3: the one that all of Collimator has, so that there is one idea of which certificates
//! are trusted.

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use shared::http_client::{Client, Trust, client};
use std::error::Error;
use std::io;
use std::time::Duration;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The client, made beforehand so that its errors are ours.
#[derive(Debug, Clone)]
pub(super) struct Connector(Client<HttpRequestBody>);

impl Connector {
    /// For an endpoint with TLS or without.
    pub(super) fn new(is_secure: bool) -> anyhow::Result<Self> {
        Ok(Self(client(Trust::machine_if(is_secure), Some(CONNECT_TIMEOUT))?))
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.0.request(request).await.map_err(|error| {
            let kind = match error.is_connect() {
                true => HttpErrorKind::Connect,
                false => kind(&error),
            };
            HttpError::new(kind, error)
        })?;
        let read = |error: hyper::Error| HttpError::new(kind(&error), error);
        Ok(answer.map(|body| HttpResponseBody::new(body.map_err(read))))
    }
}

/// What became of a request, by which it is tried again or not.
fn kind(error: &(dyn Error + 'static)) -> HttpErrorKind {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    let known = causes.find_map(|error| {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_closed() || error.is_incomplete_message() || error.is_body_write_aborted())
        {
            return Some(HttpErrorKind::Request);
        }
        let error = error.downcast_ref::<io::Error>()?;
        Some(match error.kind() {
            io::ErrorKind::TimedOut => HttpErrorKind::Timeout,
            _ => HttpErrorKind::Interrupted,
        })
    });
    known.unwrap_or(HttpErrorKind::Unknown)
}
