//! Connections whose response failed in the middle: they end without the end of the response, so that no client takes a
//! part for the whole.
//!
//! hyper ends such a connection by itself. The server above it then asks the connection to end in good order, which writes the
//! end of the response after all. So the connection itself refuses to write more.

use super::peers::Peers;
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use poem::{Body, Endpoint, Request, Response};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Which connections are to be aborted. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Aborts(Peers);

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
                self.0.insert(peer);
            }
            error
        });
        Ok(Response::from_parts(parts, Body::from(BoxBody::new(watched))))
    }

    /// The one of a connection.
    pub(super) fn of(&self, peer: SocketAddr) -> Abort {
        Abort { aborts: self.clone(), peer }
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
        self.aborts.0.has(self.peer)
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        if self.is_asked_for() {
            self.aborts.0.remove(self.peer);
        }
    }
}
