//! The port: accepts connections, up to a limit, and gives each its association.

use crate::admission::Rejection;
use crate::association::{self, Service};
use crate::room::Room;
use shared::metrics::Refused;
use shared::sources::NotAllowed;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Callers that are told at one time that they get no association; any more are hung up on.
const MAX_REJECTIONS: usize = 100;

/// Pause after an accept that failed: out of file descriptors, mostly, and those come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts associations until told to stop, then waits for those that are open.
pub async fn run(listener: TcpListener, service: Arc<Service>) {
    let settings = &service.settings;
    let room = Room::new(settings.max_associations, settings.max_associations_per_peer);
    let rejections = Arc::new(Semaphore::new(MAX_REJECTIONS));
    let associations = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = service.stop.cancelled() => break,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "an association could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = peer.ip().to_canonical();
        let service = service.clone();
        // Who may not send from there whatever it calls itself must not take the room of others.
        let place = match service.allow.knows(peer) {
            true => room.take(peer),
            false => Err(Rejection::NotAllowed(NotAllowed::Address)),
        };
        match place {
            Ok(place) => {
                associations.spawn(async move {
                    association::serve(service, socket, peer).await;
                    drop(place);
                });
            }
            Err(rejection) => match rejections.clone().try_acquire_owned() {
                Ok(permit) => {
                    associations.spawn(async move {
                        association::reject(&service, socket, peer, rejection).await;
                        drop(permit);
                    });
                }
                Err(_) => service.refusals.count(Refused::Association, "hung_up_on"),
            },
        }
    }
    drop(listener);
    associations.close();
    associations.wait().await;
}
