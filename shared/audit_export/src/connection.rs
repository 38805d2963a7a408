//! A TLS connection to an Audit Record Repository.

use super::settings::Repository;
use super::tls::Tls;
use super::unconfirmed::HOLD;
use anyhow::Context as _;
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long it may take until there is a connection: the name, TCP and the TLS hand-shake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the other side's kernel may acknowledge nothing of what was written (RFC 5482); then the
/// connection has ended. Elsewhere than on Linux that is for the operating system to say.
pub(crate) const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// How long the other side may take to answer our close_notify.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// An open connection, since when.
pub(crate) struct Connection(TlsStream<TcpStream>, Instant);

impl Connection {
    /// Connects to a repository whose certificate is good and of its name.
    ///
    /// # Errors
    /// When that takes too long, or there is no such repository.
    pub(crate) async fn open(repository: &Repository, tls: &Tls) -> anyhow::Result<Self> {
        let tls = tls.clone();
        let connector = TlsConnector::from(spawn_blocking(move || tls.read()).await??);
        let opened = async {
            let socket = TcpStream::connect(repository.addr()).await?;
            socket.set_nodelay(true)?;
            end_when_unacknowledged(&socket)?;
            connector.connect(repository.name(), socket).await
        };
        let opened = timeout(CONNECT_TIMEOUT, opened).await.context("no connection in time")?;
        Ok(Self(opened?, Instant::now()))
    }

    /// Whether it has been open for so long that the repository must want it. One that does not like our
    /// certificate closes the connection only after the hand-shake, and with TLS 1.3 we hear of it later.
    pub(crate) fn has_lasted(&self) -> bool {
        self.1.elapsed() > HOLD
    }

    /// Writes a frame, and sees that it is with the operating system.
    ///
    /// # Errors
    /// When the connection has ended, or nobody takes anything at its other end.
    pub(crate) async fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let written = async {
            self.0.write_all(frame).await?;
            self.0.flush().await
        };
        timeout(UNACKNOWLEDGED, written).await?
    }

    /// Waits until the repository closes the connection. What it says otherwise means nothing.
    ///
    /// # Errors
    /// When it ends in another way.
    pub(crate) async fn closed(&mut self) -> io::Result<()> {
        let mut said = [0; 512];
        loop {
            match self.0.read(&mut said).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // rsyslog says no close_notify, as RFC 5425 section 4.4 wants it. With bytes that its
                // program has not read, an operating system would reset the connection.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes it in order (RFC 5425 section 4.4). Whether the repository did so as well, and so has read
    /// all that was written.
    pub(crate) async fn close(mut self) -> bool {
        let closed = async {
            self.0.shutdown().await?;
            self.closed().await
        };
        matches!(timeout(CLOSE_TIMEOUT, closed).await, Ok(Ok(())))
    }
}

fn end_when_unacknowledged(socket: &TcpStream) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::net::sockopt::set_tcp_user_timeout(socket, UNACKNOWLEDGED.as_millis() as u32)?;
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
    Ok(())
}
