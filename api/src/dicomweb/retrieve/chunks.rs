//! What is served a chunk at a time, each when the client has taken the one before.

use super::failure::{Failure, cut_short};
use bytes::Bytes;
use futures_util::stream;
use poem::Body;
use std::io;

/// A message that is made as it is taken.
pub(crate) trait Chunks: Sized + Send + 'static {
    /// Its next bytes; nothing at its end.
    ///
    /// # Errors
    /// When they can't be read.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Failure>> + Send;

    /// The message as a body. What can't be begun is no message: then there is still a status to send.
    ///
    /// # Errors
    /// When its first bytes can't be read.
    async fn body(mut self) -> Result<Body, Failure> {
        let first = self.next().await?.unwrap_or_default();
        let step = (self, Some(first));
        Ok(Body::from_bytes_stream(stream::try_unfold(step, |(mut chunks, first)| async move {
            if let Some(first) = first {
                return Ok::<_, io::Error>(Some((first, (chunks, None))));
            }
            match chunks.next().await {
                Ok(next) => Ok(next.map(|bytes| (bytes, (chunks, None)))),
                Err(failure) => Err(cut_short(&failure)),
            }
        })))
    }
}
