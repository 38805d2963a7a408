//! From a connection to an association, or to a caller who is turned away.

use crate::association::{Association, Service};
use crate::audit;
use crate::metrics::Outcome;
use crate::negotiation::admission::{self, Accepted, Rejection};
use crate::negotiation::certificate::Certificate;
use crate::negotiation::user_identity::{self, UserIdentity};
use crate::server::tls;
use contract::event::{AssociationIdentity, AssociationRejected};
use dicom_ul::pdu::{AssociationRQ, Pdu};
use dimse::negotiation::trimmed;
use dimse::net::{Abort, Acceptor, AssociationError, Socket};
use jiff::Timestamp;
use shared::metrics::Refused;
use shared::sources::{Caller, Fit, NotAllowed};
use shared::tls::{NoTls, Tls};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use tokio::net::TcpStream;
use tracing::{Instrument, Span};

/// A connection that was just accepted.
#[derive(Debug)]
pub struct Connection {
    /// On which nothing has been read yet.
    pub socket: TcpStream,
    /// Who is at the other end; of IPv4, never in the form of IPv6.
    pub peer: IpAddr,
    /// What to speak it with, on the port for TLS.
    pub tls: Option<Arc<Tls>>,
}

/// Somebody who has asked for an association.
struct Call {
    acceptor: Acceptor,
    request: AssociationRQ,
    identity: AssociationIdentity,
    certificate: Option<Certificate>,
    /// Whether it speaks plain DICOM on the port for TLS.
    in_plain_text: bool,
}

/// Serves one association on a connection.
pub async fn serve(service: Arc<Service>, connection: Connection) {
    let (id, peer) = (new_id(), connection.peer);
    let span = span(&id, peer);
    let served = async {
        if let Some(call) = call(&service, connection, id).await {
            negotiate_and_serve(&service, call, peer).await;
        }
    };
    served.instrument(span).await;
}

/// Turns a caller away.
pub async fn reject(service: &Service, connection: Connection, rejection: Rejection) {
    let (id, peer) = (new_id(), connection.peer);
    if is_hung_up_on(service, peer, rejection) {
        return;
    }
    let span = span(&id, peer);
    let rejected = async {
        if let Some(call) = call(service, connection, id).await {
            turn_away(service, call, peer, rejection).await;
        }
    };
    rejected.instrument(span).await;
}

fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn span(id: &str, peer: IpAddr) -> Span {
    // At the level of errors, so that whatever is logged says of which association.
    tracing::error_span!(
        "association",
        association = id,
        %peer,
        calling_ae = tracing::field::Empty,
    )
}

/// Hears what a caller asks for, in `ARTIM_TIMEOUT` for the TLS hand-shake and as long again for the
/// request.
async fn call(service: &Service, connection: Connection, id: String) -> Option<Call> {
    let (settings, peer) = (&service.settings, connection.peer);
    let limit = settings.artim_timeout;
    let (socket, certificate, in_plain_text) = match connection.tls {
        None => (Socket::Plain(connection.socket), None, false),
        Some(tls) => match tls::accept(&tls, connection.socket, limit).await {
            Ok((socket, certificate)) => (Socket::Encrypted(Box::new(socket)), certificate, false),
            Err(NoTls::PlainText(socket)) => (Socket::Plain(socket), None, true),
            Err(error) => {
                no_tls(service, peer, &error);
                return None;
            }
        },
    };
    let mut acceptor = Acceptor::new(socket, settings.max_pdu_length, settings.pdu_timeout);
    match acceptor.associate_request(limit).await {
        Ok(request) => {
            let identity = identity(service, &request, peer, id);
            Some(Call { acceptor, request, identity, certificate, in_plain_text })
        }
        Err(error) => {
            no_request(service, peer, &mut acceptor, &error).await;
            None
        }
    }
}

fn no_tls(service: &Service, peer: IpAddr, error: &NoTls) {
    let Some(cause) = tls::cause(error) else {
        tracing::debug!(%error, "no association was asked for");
        return;
    };
    service.refusals.count(Refused::Association, cause);
    audit::connection_refused(&service.auditor, peer, cause, error);
    if let Some(troubles) = service.trouble() {
        tracing::warn!(%error, troubles, "no association was asked for");
    }
}

async fn no_request(
    service: &Service,
    peer: IpAddr,
    acceptor: &mut Acceptor,
    error: &AssociationError,
) {
    // Somebody is set up for the wrong port, and has to be found.
    let troubles =
        matches!(error, AssociationError::HandShake).then(|| service.trouble()).flatten();
    match troubles {
        Some(troubles) => tracing::warn!(%error, troubles, "no association was asked for"),
        None => tracing::debug!(%error, "no association was asked for"),
    }
    if let Some(Abort { reason, cause }) = error.abort() {
        service.refusals.count(Refused::Association, cause);
        audit::connection_refused(&service.auditor, peer, cause, error);
        acceptor.abort(reason).await;
    }
}

async fn negotiate_and_serve(service: &Service, call: Call, peer: IpAddr) {
    let accepted = match admit(service, &call, peer).await {
        Ok(accepted) => accepted,
        Err(rejection) if is_hung_up_on(service, peer, rejection) => return,
        Err(rejection) => return turn_away(service, call, peer, rejection).await,
    };
    let Call { acceptor, identity, .. } = call;
    let answer = Pdu::AssociationAC(accepted.answer.clone());
    Association::new(service, acceptor, accepted, identity).run(answer).await;
}

async fn admit(service: &Service, call: &Call, address: IpAddr) -> Result<Accepted, Rejection> {
    if call.in_plain_text {
        return Err(Rejection::PlainText);
    }
    let caller = Caller {
        calling_ae_title: &call.identity.calling_ae_title,
        address,
        certificate: call.certificate.as_ref().map(Certificate::id),
    };
    let fit = service.allow.check(&caller).map_err(Rejection::NotAllowed)?;
    let settings = &service.settings;
    let called_ae = settings.check_called_ae.then_some(settings.ae_title.as_str());
    let mut accepted = admission::admit(&call.request, called_ae, settings.max_pdu_length)?;
    if let Fit::As(users) = fit {
        let unknown = Rejection::NotAllowed(NotAllowed::User);
        let user = UserIdentity::of(&call.request).ok_or(unknown)?;
        if !service.verifier.verifies(&users, &user, service.hears(address)).await {
            return Err(unknown);
        }
        if user.wants_response {
            accepted.answer.user_variables.push(user_identity::positive_response());
        }
    }
    Ok(accepted)
}

/// Counts a caller who may not send; whether it is not even told so, since it has been too often.
fn is_hung_up_on(service: &Service, peer: IpAddr, rejection: Rejection) -> bool {
    let is_told = !matches!(rejection, Rejection::NotAllowed(_)) || service.has_patience_with(peer);
    if !is_told {
        service.refusals.count(Refused::Association, "hung_up_on");
        audit::association_rejected(&service.auditor, peer, None, rejection);
    }
    !is_told
}

/// Who is calling, which from here on every log line says.
fn identity(
    service: &Service,
    request: &AssociationRQ,
    peer: IpAddr,
    id: String,
) -> AssociationIdentity {
    let calling_ae_title = trimmed(&request.calling_ae_title).to_owned();
    // What a terminal would act on is no part of a title (PS3.5 section 6.2, VR AE).
    let printed = calling_ae_title.replace(char::is_control, "\u{fffd}");
    Span::current().record("calling_ae", printed);
    AssociationIdentity {
        association_id: id,
        calling_ae_title,
        called_ae_title: trimmed(&request.called_ae_title).to_owned(),
        peer_address: peer.to_string(),
        node_name: service.node_name.clone(),
    }
}

async fn turn_away(service: &Service, call: Call, peer: IpAddr, rejection: Rejection) {
    let Call { mut acceptor, identity, certificate, .. } = call;
    service.refusals.count(Refused::Association, rejection.cause());
    service.metrics.ended(Outcome::Rejected);
    let calling_ae_title = Some(&*identity.calling_ae_title);
    audit::association_rejected(&service.auditor, peer, calling_ae_title, rejection);
    let (answer, cause) = (rejection.answer(), rejection.to_string());
    let rejections = {
        let mut all = service.rejections.lock().unwrap_or_else(PoisonError::into_inner);
        all.count(Instant::now())
    };
    if let Some(rejections) = rejections {
        let certificate = certificate.map(tracing::field::display);
        let result = &answer.result;
        tracing::warn!(?result, reason = cause, certificate, rejections, "association rejected");
    }
    if let Err(error) = acceptor.send(&Pdu::AssociationRJ(answer)).await {
        tracing::debug!(%error, "A-ASSOCIATE-RJ could not be sent");
    }
    acceptor.close().await;
    if let Some(rejections) = rejections {
        let rejected_at = Timestamp::now();
        let event = AssociationRejected { association: identity, cause, rejections, rejected_at };
        service.publisher.publish_unacknowledged(&event).await;
    }
}
