//! The port for STOW-RS: HTTP/1.1 connections, a limited number at a time.

use super::Stow;
use crate::server::connection::Reception;
use anyhow::Context as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use shared::stow::StowToken;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections beside those of as many requests as there may be associations; further ones are closed. They are idle, or
/// those of requests that are refused.
const SPARE_CONNECTIONS: usize = 64;

/// What is read at a time: at least as much as the head of a request takes.
const READ_BUFFER: usize = 128 * 1024;

/// Pause after an accept that failed: out of file descriptors, mostly, and those come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The port, open and with nobody served yet.
#[derive(Debug)]
pub(crate) struct StowPort {
    listener: TcpListener,
    token: StowToken,
}

impl StowPort {
    /// Opens it, for those who have the token.
    ///
    /// # Errors
    /// When it can't be listened on.
    pub(crate) async fn bind(addr: SocketAddr, token: StowToken) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(addr).await.with_context(|| {
            format!("cannot listen on {addr} for STOW-RS; stop the other program or set STOW_ADDR")
        })?;
        Ok(Self { listener, token })
    }

    /// Where it is.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub(crate) fn addr(&self) -> anyhow::Result<SocketAddr> {
        self.listener.local_addr().context("where ingest listens for STOW-RS")
    }

    /// Serves until `close` ends, then closes the port and waits for the requests that have begun.
    pub(crate) async fn run(self, reception: Arc<Reception>, close: impl Future<Output = ()>) {
        let most = reception.settings.max_associations as usize + SPARE_CONNECTIONS;
        let head_timeout = reception.settings.artim_timeout;
        let (places, connections) = (Arc::new(Semaphore::new(most)), TaskTracker::new());
        let (stow, closing) =
            (Arc::new(Stow::new(reception, self.token)), CancellationToken::new());
        let accepted = async {
            loop {
                match self.listener.accept().await {
                    Ok((socket, from)) => {
                        let Ok(place) = places.clone().try_acquire_owned() else { continue };
                        let (stow, closing) = (stow.clone(), closing.clone());
                        let from = from.ip().to_canonical();
                        connections.spawn(async move {
                            serve(socket, from, stow, head_timeout, closing).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a STOW-RS connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accepted => {}
            () = close => {}
        }
        drop(self.listener);
        closing.cancel();
        for tasks in [&connections, &stow.requests] {
            tasks.close();
            tasks.wait().await;
        }
    }
}

/// Serves one connection, and no further request on it once it is closing.
async fn serve(
    socket: TcpStream,
    from: IpAddr,
    stow: Arc<Stow>,
    head_timeout: Duration,
    closing: CancellationToken,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let answers = service_fn(move |request| {
        let stow = stow.clone();
        async move { Ok::<_, Infallible>(stow.answer(request, from).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(READ_BUFFER)
        .serve_connection(TokioIo::new(socket), answers);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a STOW-RS connection was lost");
    }
}
