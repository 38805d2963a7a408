//! One connection, from its acceptance to the end of its association or its rejection.

use super::proxy::{self, NoHeader, Origin};
use super::tls;
use crate::association;
use crate::intake::Intake;
use crate::negotiation::negotiator::{Caller, Negotiator};
use crate::negotiation::rejection::Rejection;
use crate::reports::Reports;
use crate::settings::Settings;
use dimse::net::Socket;
use shared::connection_limit::ConnectionLimit;
use shared::tls::{NoTls, Tls};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// A connection that was just accepted.
#[derive(Debug)]
pub(crate) struct Connection {
    /// On which nothing has been read yet.
    pub socket: TcpStream,
    /// The address of the sender, or of the proxy that it comes through and whose header is not read yet; of IPv4, never
    /// in the form of IPv6.
    pub peer: IpAddr,
    /// What to speak it with, on the port for TLS.
    pub tls: Option<Arc<Tls>>,
}

/// What a connection goes through: the hand-shake, the negotiation, the association.
#[derive(Debug)]
pub(crate) struct Reception {
    /// The settings of the receiver.
    pub settings: Arc<Settings>,
    /// Where refused connections are reported.
    pub reports: Reports,
    /// Answers the request for an association.
    pub negotiator: Negotiator,
    /// Takes what comes through it.
    pub intake: Intake,
    /// How many there may be at one time.
    pub limit: ConnectionLimit,
}

impl Reception {
    /// Whether this is the address of a proxy, whose connections begin with a header.
    #[must_use]
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.settings.proxy_from.iter().any(|network| network.contains(peer))
    }

    /// Reads the header of a connection from a proxy, within `ARTIM_TIMEOUT`, and gives it the address of its sender.
    /// Returns nothing of a health check, and of what is refused; nor once told to stop.
    pub(crate) async fn through_proxy(&self, connection: Connection) -> Option<Connection> {
        self.intake.stop.run_until_cancelled(self.read_proxy_header(connection)).await?
    }

    async fn read_proxy_header(&self, mut connection: Connection) -> Option<Connection> {
        let limit = self.settings.artim_timeout;
        let deadline = Instant::now() + limit;
        match proxy::read_header(&mut connection.socket, limit).await {
            Ok(Origin::Sender(peer)) => Some(Connection { peer, ..connection }),
            Ok(Origin::Proxy) => {
                let is_used = proxy::is_used(&connection.socket, deadline).await;
                is_used.then_some(connection)
            }
            Err(error) => {
                self.report_no_header(connection.peer, &error);
                None
            }
        }
    }

    fn report_no_header(&self, peer: IpAddr, error: &NoHeader) {
        let Some(cause) = error.cause() else {
            tracing::debug!(%peer, %error, "no association was asked for");
            return;
        };
        self.reports.connection_refused(peer, cause, error);
        if let Some(troubles) = self.reports.fault() {
            tracing::warn!(%peer, %error, troubles, "no association was asked for");
        }
    }

    /// Serves one association on a connection.
    pub(crate) async fn serve(&self, connection: Connection) {
        let (id, peer) = (new_id(), connection.peer);
        let span = span(&id, peer);
        let served = async {
            let Some(caller) = self.shake_hands(connection).await else { return };
            if let Some(negotiated) = self.negotiator.negotiate(caller, id).await {
                association::serve(&self.intake, negotiated).await;
            }
        };
        served.instrument(span).await;
    }

    /// Rejects the association that a connection is opened for.
    pub(crate) async fn reject(&self, connection: Connection, rejection: Rejection) {
        let (id, peer) = (new_id(), connection.peer);
        if self.negotiator.hangs_up(peer, rejection) {
            return;
        }
        let span = span(&id, peer);
        let rejected = async {
            if let Some(caller) = self.shake_hands(connection).await {
                self.negotiator.reject(caller, id, rejection).await;
            }
        };
        rejected.instrument(span).await;
    }

    /// The TLS hand-shake, on the port that has it, within `ARTIM_TIMEOUT`.
    async fn shake_hands(&self, connection: Connection) -> Option<Caller> {
        let Connection { socket, peer, tls } = connection;
        let caller = |socket, certificate, in_plain_text| {
            Some(Caller { socket, peer, certificate, in_plain_text })
        };
        let Some(tls) = tls else { return caller(Socket::Plain(socket), None, false) };
        match tls::accept(&tls, socket, self.settings.artim_timeout).await {
            Ok((socket, certificate)) => {
                caller(Socket::Encrypted(Box::new(socket)), certificate, false)
            }
            Err(NoTls::PlainText(socket)) => caller(Socket::Plain(socket), None, true),
            Err(error) => {
                self.report_failed_hand_shake(peer, &error);
                None
            }
        }
    }

    fn report_failed_hand_shake(&self, peer: IpAddr, error: &NoTls) {
        let Some(cause) = tls::cause(error) else {
            tracing::debug!(%error, "no association was asked for");
            return;
        };
        self.reports.connection_refused(peer, cause, error);
        if let Some(troubles) = self.reports.fault() {
            tracing::warn!(%error, troubles, "no association was asked for");
        }
    }
}

/// A new Association ID.
pub(crate) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The span of an association.
pub(crate) fn span(id: &str, peer: IpAddr) -> Span {
    // At the level of errors, so that whatever is logged says of which association.
    tracing::error_span!(
        "association",
        association = id,
        %peer,
        calling_ae = tracing::field::Empty,
    )
}
