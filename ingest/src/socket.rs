//! The connection under an association: plain, or encrypted.

use crate::tls::Encrypted;
use rustix::net::{RecvFlags, recv};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;

/// A connection.
#[derive(Debug)]
pub enum Socket {
    /// All is there to be read by anybody on the way.
    Plain(TcpStream),
    /// TLS.
    Encrypted(Box<Encrypted>),
}

impl Socket {
    /// Sends answers at once: they are short and awaited.
    pub fn send_at_once(&self) {
        if let Err(error) = self.tcp().set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
    }

    /// Whether the kernel can throw bytes away before anybody reads them.
    #[must_use]
    pub fn can_skip(&self) -> bool {
        cfg!(target_os = "linux") && matches!(self, Self::Plain(_))
    }

    /// Receives what has come, or waits until something has. `flags` are for one that [can
    /// skip](Self::can_skip). Can be cancelled without loss.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn receive(&mut self, room: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => receive(socket, room, flags).await,
            Self::Encrypted(socket) => socket.read(room).await,
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Encrypted(socket) => &socket.get_ref().0.get_ref().0,
        }
    }
}

/// Receives what has come, or waits until something has.
async fn receive(socket: &TcpStream, room: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    // A sender from whom there is always more must not keep the others waiting.
    consume_budget().await;
    loop {
        let received = socket.try_io(Interest::READABLE, || Ok(recv(socket, &mut *room, flags)?.1));
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => return received,
        }
        acknowledge_now(socket);
        socket.readable().await?;
    }
}

/// Has the kernel acknowledge at once what was received. Most senders leave Nagle's algorithm on and so
/// wait for that, 40 ms for each instance. The option does not stick: it is set before every wait.
fn acknowledge_now(socket: &TcpStream) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_quickack(true) {
        tracing::trace!(%error, "TCP_QUICKACK");
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

/// A socket that acknowledges at once what it received, before every wait.
#[derive(Debug)]
pub struct Prompt(pub TcpStream);

impl AsyncRead for Prompt {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = &mut self.get_mut().0;
        let read = Pin::new(&mut *socket).poll_read(context, buffer);
        if read.is_pending() {
            acknowledge_now(socket);
        }
        read
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }
}
