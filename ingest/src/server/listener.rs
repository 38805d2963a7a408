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
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    connections: TaskTracker,
    stop: CancellationToken,
}

/// Accepts associations until told to stop, then waits for those that are open.
pub(crate) async fn run(ports: Ports, reception: Reception, stop: CancellationToken) {
    let settings = &reception.settings;
    let listener = Listener {
        limit: ConnectionLimit::new(settings.max_associations, settings.max_associations_per_peer),
        rejections: Arc::new(Semaphore::new(MAX_REJECTIONS)),
        connections: TaskTracker::new(),
        reception: Arc::new(reception),
        stop,
    };
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
    tokio::join!(plain, tls);
    listener.connections.close();
    listener.connections.wait().await;
}

impl Listener {
    async fn accept(&self, port: TcpListener, tls: Option<Arc<Tls>>) {
        loop {
            let accepted = tokio::select! {
                accepted = port.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((socket, peer)) => {
                    let peer = peer.ip().to_canonical();
                    self.receive(Connection { socket, peer, tls: tls.clone() });
                }
                Err(error) => {
                    tracing::warn!(%error, "an association could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
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
