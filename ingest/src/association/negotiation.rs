//! From a connection to an association, or to a caller who is turned away.

use super::{Association, Service};
use crate::admission::{self, Rejection, trimmed};
use crate::ledger::Ledger;
use crate::wire::{Abort, Wire};
use dicom_ul::pdu::{AssociationRQ, Pdu};
use jiff::Timestamp;
use shared::event::{AssociationIdentity, AssociationRejected};
use shared::metrics::Refused;
use shared::sources::Caller;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use tokio::net::TcpStream;
use tracing::{Instrument, Span};

/// Serves one association on a socket that was just accepted.
pub async fn serve(service: Arc<Service>, socket: TcpStream, peer: IpAddr) {
    let id = new_id();
    let span = span(&id, peer);
    negotiate_and_serve(&service, socket, peer, id).instrument(span).await;
}

/// Turns a caller away.
pub async fn reject(service: &Service, socket: TcpStream, peer: IpAddr, rejection: Rejection) {
    if is_hung_up_on(service, peer, rejection) {
        return;
    }
    let id = new_id();
    let span = span(&id, peer);
    let rejected = async {
        let mut wire = wire(service, socket);
        if let Ok(request) = wire.associate_request(service.settings.artim_timeout).await {
            let caller = identity(service, &request, peer, id);
            turn_away(service, wire, caller, rejection).await;
        }
    };
    rejected.instrument(span).await;
}

fn wire(service: &Service, socket: TcpStream) -> Wire {
    Wire::new(socket, service.settings.max_pdu_length, service.settings.pdu_timeout)
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

async fn negotiate_and_serve(service: &Service, socket: TcpStream, peer: IpAddr, id: String) {
    let mut wire = wire(service, socket);
    let request = match wire.associate_request(service.settings.artim_timeout).await {
        Ok(request) => request,
        Err(error) => {
            tracing::debug!(%error, "no association was asked for");
            if let Some(Abort { reason, cause }) = error.abort() {
                service.refusals.count(Refused::Association, cause);
                wire.abort(reason).await;
            }
            return;
        }
    };
    let identity = identity(service, &request, peer, id);
    let settings = &service.settings;
    let called_ae = settings.check_called_ae.then_some(settings.ae_title.as_str());
    let caller = Caller { calling_ae_title: &identity.calling_ae_title, address: peer };
    let allowed = service.allow.check(&caller).map_err(Rejection::NotAllowed);
    let accepted =
        allowed.and_then(|()| admission::admit(&request, called_ae, settings.max_pdu_length));
    let accepted = match accepted {
        Ok(accepted) => accepted,
        Err(rejection) if is_hung_up_on(service, peer, rejection) => return,
        Err(rejection) => return turn_away(service, wire, identity, rejection).await,
    };
    let answer = Pdu::AssociationAC(accepted.answer.clone());
    let ledger = Ledger::default();
    Association { service, wire, accepted, identity, ledger, opened: false }.run(answer).await;
}

/// Counts a caller who may not send; whether it is not even told so, since it has been too often.
fn is_hung_up_on(service: &Service, peer: IpAddr, rejection: Rejection) -> bool {
    let is_told = !matches!(rejection, Rejection::NotAllowed(_)) || service.has_patience_with(peer);
    if !is_told {
        service.refusals.count(Refused::Association, "hung_up_on");
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
    Span::current().record("calling_ae", &calling_ae_title);
    AssociationIdentity {
        association_id: id,
        calling_ae_title,
        called_ae_title: trimmed(&request.called_ae_title).to_owned(),
        peer_address: peer.to_string(),
        node_name: service.node_name.clone(),
    }
}

async fn turn_away(
    service: &Service,
    mut wire: Wire,
    caller: AssociationIdentity,
    rejection: Rejection,
) {
    service.refusals.count(Refused::Association, rejection.cause());
    let (answer, cause) = (rejection.answer(), rejection.to_string());
    let rejections = {
        let mut all = service.rejections.lock().unwrap_or_else(PoisonError::into_inner);
        all.count(Instant::now())
    };
    if let Some(rejections) = rejections {
        tracing::warn!(result = ?answer.result, reason = cause, rejections, "association rejected");
    }
    if let Err(error) = wire.send(&Pdu::AssociationRJ(answer)).await {
        tracing::debug!(%error, "A-ASSOCIATE-RJ could not be sent");
    }
    wire.close().await;
    if let Some(rejections) = rejections {
        let rejected_at = Timestamp::now();
        let event = AssociationRejected { association: caller, cause, rejections, rejected_at };
        service.publisher.say(&event).await;
    }
}
