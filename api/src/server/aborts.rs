//! Connections whose response failed in the middle: they end without the end of the response, so that no client takes a
//! part for the whole.
//!
//! hyper ends such a connection by itself. The server above it then asks the connection to end in good order, which writes the
//! end of the response after all. So the connection itself refuses to write more.

use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use poem::{Body, Endpoint, Request, Response};
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Which connections are to be aborted, by the address of the other side: all are to one port of ours. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Aborts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    failed: Mutex<HashSet<SocketAddr>>,
    /// How many those are, which is hardly ever any.
    count: AtomicUsize,
}

impl Aborts {
    /// Notes whose response fails while it is being sent.
    ///
    /// # Errors
    /// Those of the routes.
    pub async fn watch<E: Endpoint<Output = Response>>(
        self,
        next: Arc<E>,
        request: Request,
    ) -> poem::Result<Response> {
        let peer = request.remote_addr().as_socket_addr().copied();
        let response = next.call(request).await?;
        let (parts, body) = response.into_parts();
        let body: BoxBody<_, io::Error> = body.into();
        let watched = body.map_err(move |error| {
            if let Some(peer) = peer {
                self.change(|failed| failed.insert(peer));
            }
            error
        });
        Ok(Response::from_parts(parts, Body::from(BoxBody::new(watched))))
    }

    /// The one of a connection.
    pub(super) fn of(&self, peer: SocketAddr) -> Abort {
        Abort { aborts: self.clone(), peer }
    }

    fn change(&self, how: impl FnOnce(&mut HashSet<SocketAddr>) -> bool) {
        let mut failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
        how(&mut failed);
        self.0.count.store(failed.len(), Ordering::Release);
    }
}

/// Whether a connection is to be aborted.
pub(super) struct Abort {
    aborts: Aborts,
    peer: SocketAddr,
}

impl Abort {
    /// Whether it is.
    pub(super) fn is_asked_for(&self) -> bool {
        let shared = &self.aborts.0;
        shared.count.load(Ordering::Acquire) > 0
            && shared.failed.lock().unwrap_or_else(PoisonError::into_inner).contains(&self.peer)
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        if self.is_asked_for() {
            self.aborts.change(|failed| failed.remove(&self.peer));
        }
    }
}
