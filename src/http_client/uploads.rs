//! Requests by POST, with bodies that are written while they are sent.

use super::{Answer, CONNECT_TIMEOUT, NoAnswer, no_answer};
use bytes::{Bytes, BytesMut};
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Request};
use hyper::body::{Body, Frame};
use shared::http_client::{self, AGENT, Client, Trust};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead as _, AsyncWrite, DuplexStream, ReadBuf, duplex};
use url::Url;

/// Asks by POST.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    client: Client<Written>,
}

impl Uploads {
    /// With the certificates that are good.
    ///
    /// # Errors
    /// As [`http_client::client`].
    pub(crate) fn new(trust: Trust) -> anyhow::Result<Self> {
        Ok(Self { client: http_client::client(trust, Some(CONNECT_TIMEOUT))? })
    }

    /// Sends a body to a URL. How long that may take is for the caller to say.
    pub(crate) async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Written,
    ) -> Result<Answer, NoAnswer> {
        let mut request = Request::post(url.as_str())
            .body(body)
            .map_err(|error| NoAnswer::Lost(error.to_string()))?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        self.client.request(request).await.map(Answer).map_err(|error| no_answer(&error))
    }
}

/// A body, and where it is written: at most so many bytes wait to be sent. It ends when the writer does.
pub(crate) fn body(waiting: usize) -> (impl AsyncWrite + Send + Unpin, Written) {
    let (to, from) = duplex(waiting);
    (to, Written { from, piece: BytesMut::zeroed(waiting) })
}

/// A body that is being written.
#[derive(Debug)]
pub(crate) struct Written {
    from: DuplexStream,
    piece: BytesMut,
}

impl Body for Written {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Self { from, piece } = &mut *self;
        let mut read = ReadBuf::new(piece);
        ready!(Pin::new(from).poll_read(context, &mut read))?;
        match read.filled() {
            [] => Poll::Ready(None),
            filled => Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(filled))))),
        }
    }
}
