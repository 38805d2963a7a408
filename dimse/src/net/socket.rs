//! The transport connection under an association: plain, or encrypted (PS3.15 section B.12).

use super::quick_ack::{QuickAck, acknowledge_now};
use rustix::net::{RecvFlags, recv};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;
use tokio_rustls::server::TlsStream;

/// Ciphertext that is read at a time: two records of the longest.
const CIPHERTEXT_LENGTH: usize = 32 * 1024;

/// A connection that is encrypted, once its hand-shake over what [`buffered`] returns has ended.
pub type Encrypted = TlsStream<BufReader<QuickAck>>;

/// What TLS is to be spoken over.
#[must_use]
pub fn buffered(socket: TcpStream) -> BufReader<QuickAck> {
    BufReader::with_capacity(CIPHERTEXT_LENGTH, QuickAck(socket))
}

/// A connection.
#[derive(Debug)]
pub enum Socket {
    /// All is there to be read by anybody on the way.
    Plain(TcpStream),
    /// TLS.
    Encrypted(Box<Encrypted>),
}

impl Socket {
    /// Turns Nagle's algorithm off: answers are short and awaited.
    pub(super) fn send_at_once(&self) {
        if let Err(error) = self.tcp().set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
    }

    /// Whether the kernel can throw bytes away before anybody reads them.
    #[must_use]
    pub(super) fn can_skip(&self) -> bool {
        cfg!(target_os = "linux") && matches!(self, Self::Plain(_))
    }

    /// Receives what has come, or waits until something has. `flags` are for one that [can
    /// skip](Self::can_skip). Can be cancelled without loss.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(super) async fn receive(
        &mut self,
        buffer: &mut [u8],
        flags: RecvFlags,
    ) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => receive(socket, buffer, flags).await,
            Self::Encrypted(socket) => socket.read(buffer).await,
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Encrypted(socket) => socket.get_ref().0.get_ref().tcp(),
        }
    }
}

/// Receives what has come, or waits until something has.
async fn receive(socket: &TcpStream, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    // A sender from whom there is always more must not keep the others waiting.
    consume_budget().await;
    loop {
        let received =
            socket.try_io(Interest::READABLE, || Ok(recv(socket, &mut *buffer, flags)?.1));
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => return received,
        }
        acknowledge_now(socket);
        socket.readable().await?;
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Encrypted(socket) => Pin::new(socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Encrypted(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Encrypted(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Encrypted(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}
