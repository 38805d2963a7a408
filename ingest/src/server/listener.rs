//! The ports: accept connections, up to a limit in all, and give each its association.

use crate::association::Service;
use crate::audit;
use crate::negotiation::admission::Rejection;
use crate::negotiation::negotiator::{self, Connection};
use shared::connection_limit::ConnectionLimit;
use shared::metrics::Refused;
use shared::sources::NotAllowed;
use shared::tls::Tls;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Callers that are told at one time that they get no association; any more are hung up on.
const MAX_REJECTIONS: usize = 100;

/// Pause after an accept that failed: out of file descriptors, mostly, and those come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The ports, open; there is one at least.
#[derive(Debug, Default)]
pub struct Ports {
    /// For plain DICOM.
    pub plain: Option<TcpListener>,
    /// For DICOM over TLS.
    pub tls: Option<(TcpListener, Arc<Tls>)>,
}

/// What all ports have in common.
struct Reception {
    service: Arc<Service>,
    limit: ConnectionLimit,
    rejections: Arc<Semaphore>,
    associations: TaskTracker,
}

/// Accepts associations until told to stop, then waits for those that are open.
pub async fn run(ports: Ports, service: Arc<Service>) {
    let settings = &service.settings;
    let reception = Reception {
        limit: ConnectionLimit::new(settings.max_associations, settings.max_associations_per_peer),
        rejections: Arc::new(Semaphore::new(MAX_REJECTIONS)),
        associations: TaskTracker::new(),
        service,
    };
    let plain = async {
        if let Some(listener) = ports.plain {
            reception.accept(listener, None).await;
        }
    };
    let tls = async {
        if let Some((listener, tls)) = ports.tls {
            reception.accept(listener, Some(tls)).await;
        }
    };
    tokio::join!(plain, tls);
    reception.associations.close();
    reception.associations.wait().await;
}

impl Reception {
    async fn accept(&self, listener: TcpListener, tls: Option<Arc<Tls>>) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.service.stop.cancelled() => return,
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
        let service = self.service.clone();
        // Who may not send from there whatever it calls itself must not take the room of others.
        let place = match service.allow.knows(connection.peer) {
            true => self.limit.take(connection.peer).map_err(Rejection::from),
            false => Err(Rejection::NotAllowed(NotAllowed::Address)),
        };
        match place {
            Ok(place) => {
                self.associations.spawn(async move {
                    negotiator::serve(service, connection).await;
                    drop(place);
                });
            }
            Err(rejection) => match self.rejections.clone().try_acquire_owned() {
                Ok(permit) => {
                    self.associations.spawn(async move {
                        negotiator::reject(&service, connection, rejection).await;
                        drop(permit);
                    });
                }
                Err(_) => {
                    service.refusals.count(Refused::Association, "hung_up_on");
                    audit::association_rejected(&service.auditor, connection.peer, None, rejection);
                }
            },
        }
    }
}
