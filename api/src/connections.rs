//! HTTP connections, a limited number at a time: further ones wait to be accepted until one has ended,
//! and one on which nothing happens ends soon, also when the other side is gone without a word.

use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Accepts as many connections as there may be.
pub struct Limited {
    acceptor: TcpAcceptor,
    room: Arc<Semaphore>,
    patience: Duration,
}

impl Limited {
    /// At most `most` of what `acceptor` accepts at one time, each for as long as the other side takes
    /// something of what it is sent within `patience`.
    #[must_use]
    pub fn new(acceptor: TcpAcceptor, most: u32, patience: Duration) -> Self {
        Self { acceptor, room: Arc::new(Semaphore::new(most as usize)), patience }
    }
}

impl Acceptor for Limited {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.acceptor.local_addr()
    }

    async fn accept(
        &mut self,
    ) -> io::Result<(Connection, LocalAddr, RemoteAddr, poem::http::uri::Scheme)> {
        let place = self.room.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, local, remote, scheme) = self.acceptor.accept().await?;
        end_when_stuck(&stream, self.patience);
        Ok((Connection { stream, _place: place }, local, remote, scheme))
    }
}

/// Ends a connection whose other side takes nothing of what it was sent (RFC 5482). Who listens to
/// events is written to every few seconds; without this, one that was unplugged would be written to
/// until the buffers of the operating system are full, or its tries are up, which may be hours.
fn end_when_stuck(stream: &TcpStream, patience: Duration) {
    #[cfg(target_os = "linux")]
    {
        let milliseconds = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds) {
            tracing::debug!(%error, "no time limit on what is not taken");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, patience);
}

/// A connection, and its place among them.
pub struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    #[tokio::test]
    async fn one_that_takes_nothing_more_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
        let mut limited = Limited::new(acceptor, 1, Duration::from_millis(500));
        let _deaf = TcpStream::connect(addr).await.unwrap();
        let (mut connection, ..) = limited.accept().await.unwrap();
        let told = async {
            loop {
                if let Err(error) = connection.write_all(&[b'x'; 64 * 1024]).await {
                    break error;
                }
            }
        };
        let error = timeout(Duration::from_secs(30), told).await.expect("it waits for ever");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
