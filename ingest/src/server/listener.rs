//! The ports: accept connections, up to a limit in all, and give each its association.

use super::connection::{Connection, Reception};
use crate::negotiation::rejection::Rejection;
use shared::connection_limit::ConnectionLimit;
use shared::senders::NotAllowed;
use shared::tls::Tls;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Connections from proxies whose header is awaited at one time; further ones are closed. Each takes a moment, unless
/// the proxy hangs.
const MAX_HEADERS: usize = 1000;

/// Rejections that are answered at one time; the connections of further callers are closed without an answer.
const MAX_REJECTIONS: usize = 100;

/// Pause after an accept that failed: out of file descriptors, mostly, and those come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The ports, open; there is one at least.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    /// For plain DICOM.
    pub plain: Option<TcpListener>,
    /// For DICOM over TLS.
    pub tls: Option<(TcpListener, Arc<Tls>)>,
}

/// What all ports have in common.
struct Listener {
    reception: Arc<Reception>,
    limit: ConnectionLimit,
    rejections: Arc<Semaphore>,
    headers: Arc<Semaphore>,
    connections: TaskTracker,
}

/// Accepts associations until `close` ends, then closes the ports and waits for the associations that are open.
pub(crate) async fn run(ports: Ports, reception: Arc<Reception>, close: impl Future<Output = ()>) {
    let listener = Arc::new(Listener {
        limit: reception.limit.clone(),
        rejections: Arc::new(Semaphore::new(MAX_REJECTIONS)),
        headers: Arc::new(Semaphore::new(MAX_HEADERS)),
        connections: TaskTracker::new(),
        reception,
    });
    let plain = async {
        if let Some(port) = ports.plain {
            listener.accept(port, None).await;
        }
    };
    let tls = async {
        if let Some((port, tls)) = ports.tls {
            listener.accept(port, Some(tls)).await;
        }
    };
    tokio::select! {
        _ = async { tokio::join!(plain, tls) } => {}
        () = close => {}
    }
    listener.connections.close();
    listener.connections.wait().await;
}

impl Listener {
    async fn accept(self: &Arc<Self>, port: TcpListener, tls: Option<Arc<Tls>>) {
        loop {
            match port.accept().await {
                Ok((socket, peer)) => {
                    let peer = peer.ip().to_canonical();
                    let connection = Connection { socket, peer, tls: tls.clone() };
                    match self.reception.is_proxy(peer) {
                        true => self.receive_through_proxy(connection),
                        false => self.receive(connection),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "an association could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn receive_through_proxy(self: &Arc<Self>, connection: Connection) {
        let Ok(permit) = self.headers.clone().try_acquire_owned() else {
            let peer = connection.peer;
            return self.reception.negotiator.report_hung_up(peer, Rejection::NoRoomForPeer);
        };
        let listener = self.clone();
        self.connections.spawn(async move {
            if let Some(connection) = listener.reception.through_proxy(connection).await {
                listener.receive(connection);
            }
            drop(permit);
        });
    }

    fn receive(&self, connection: Connection) {
        let reception = self.reception.clone();
        // Who may not send from there whatever it calls itself must not take the room of others.
        let place = match reception.negotiator.knows(connection.peer) {
            true => self.limit.take(connection.peer).map_err(Rejection::from),
            false => Err(Rejection::NotAllowed(NotAllowed::Address)),
        };
        match place {
            Ok(place) => {
                self.connections.spawn(async move {
                    reception.serve(connection).await;
                    drop(place);
                });
            }
            Err(rejection) => match self.rejections.clone().try_acquire_owned() {
                Ok(permit) => {
                    self.connections.spawn(async move {
                        reception.reject(connection, rejection).await;
                        drop(permit);
                    });
                }
                Err(_) => reception.negotiator.report_hung_up(connection.peer, rejection),
            },
        }
    }
}
