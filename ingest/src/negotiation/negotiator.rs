//! Answers requests for associations: A-ASSOCIATE-AC, A-ASSOCIATE-RJ, or none.

use super::admission::{self, Accepted};
use super::certificate::Certificate;
use super::rejection::Rejection;
use super::rejection_limit::RejectionLimit;
use super::user_identity::{self, UserIdentity, UserVerifier};
use crate::audit;
use crate::listing::Listing;
use crate::log_limit::LogLimit;
use crate::metrics::Outcome;
use crate::publish::publisher::Publisher;
use crate::reports::Reports;
use crate::settings::Settings;
use contract::event::{AssociationIdentity, AssociationRejected};
use dicom_ul::pdu::{AssociationRQ, Pdu};
use dimse::negotiation::trimmed;
use dimse::net::{Abort, Acceptor, AssociationError, Socket};
use jiff::Timestamp;
use shared::metrics::Refused;
use shared::senders::{self, AllowList, Fit, NotAllowed};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tracing::Span;

/// Rejections a second that are logged and published.
const REJECTIONS_REPORTED: u32 = 1;

/// Decides who gets an association.
#[derive(Debug)]
pub(crate) struct Negotiator {
    settings: Arc<Settings>,
    /// The receiver's name.
    node_name: String,
    allow: AllowList,
    listing: Listing,
    users: UserVerifier,
    rejection_limit: Mutex<RejectionLimit>,
    rejections_reported: LogLimit,
    publisher: Arc<Publisher>,
    reports: Reports,
}

/// Somebody who may ask for an association.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Its connection, after the TLS hand-shake if there is one.
    pub socket: Socket,
    /// Its address.
    pub peer: IpAddr,
    /// Its certificate, if it was asked for one.
    pub certificate: Option<Certificate>,
    /// Whether it speaks plain DICOM on the port for TLS.
    pub in_plain_text: bool,
}

/// An association that was requested, and whose A-ASSOCIATE-AC is to be sent.
#[derive(Debug)]
pub(crate) struct Negotiated {
    /// Our side of it.
    pub acceptor: Acceptor,
    /// The A-ASSOCIATE-AC, and what follows from it.
    pub accepted: Accepted,
    /// Who sends, for events.
    pub identity: AssociationIdentity,
}

/// An A-ASSOCIATE-RQ, and who sent it.
struct Call {
    acceptor: Acceptor,
    request: AssociationRQ,
    identity: AssociationIdentity,
    peer: IpAddr,
    certificate: Option<Certificate>,
    in_plain_text: bool,
}

impl Negotiator {
    /// For the receiver `node_name`.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub(crate) fn new(
        settings: Arc<Settings>,
        node_name: String,
        allow: AllowList,
        listing: Listing,
        publisher: Arc<Publisher>,
        reports: Reports,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            settings,
            node_name,
            allow,
            listing,
            users: UserVerifier::new()?,
            rejection_limit: Mutex::default(),
            rejections_reported: LogLimit::per_second(REJECTIONS_REPORTED),
            publisher,
            reports,
        })
    }

    /// Whether anybody may send from this address.
    #[must_use]
    pub(crate) fn knows(&self, peer: IpAddr) -> bool {
        self.allow.knows(peer)
    }

    /// Reads a caller's request, within `ARTIM_TIMEOUT`, and decides on it. Returns the association unless the
    /// caller is rejected or gone; `id` is its Association ID in events.
    pub(crate) async fn negotiate(&self, caller: Caller, id: String) -> Option<Negotiated> {
        let call = self.request(caller, id).await?;
        match self.admit(&call).await {
            Ok(accepted) => {
                let Call { acceptor, identity, .. } = call;
                Some(Negotiated { acceptor, accepted, identity })
            }
            Err(rejection) => {
                if !self.hangs_up(call.peer, rejection) {
                    self.answer_rejected(call, rejection).await;
                }
                None
            }
        }
    }

    /// Reads a caller's request and rejects it.
    pub(crate) async fn reject(&self, caller: Caller, id: String, rejection: Rejection) {
        if let Some(call) = self.request(caller, id).await {
            self.answer_rejected(call, rejection).await;
        }
    }

    /// Whether a sender that shows no certificate and is no user may send, as an HTTP client is.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn admits(
        &self,
        identity: &AssociationIdentity,
        peer: IpAddr,
    ) -> Result<(), Rejection> {
        let calling_ae_title = &identity.calling_ae_title;
        let caller = senders::Caller { calling_ae_title, address: peer, certificate: None };
        match self.allow.check(&caller) {
            Ok(Fit::Freely) => Ok(()),
            Ok(Fit::As(_)) => Err(Rejection::NotAllowed(NotAllowed::User)),
            Err(why) => Err(Rejection::NotAllowed(why)),
        }
    }

    /// Counts a rejection. Returns true if the address is over the limit, so that its connection is closed without
    /// an A-ASSOCIATE-RJ.
    #[must_use]
    pub(crate) fn hangs_up(&self, peer: IpAddr, rejection: Rejection) -> bool {
        let is_answered = !matches!(rejection, Rejection::NotAllowed(_))
            || self.rejection_limit().refuse(peer, Instant::now());
        if !is_answered {
            self.report_hung_up(peer, rejection);
        }
        !is_answered
    }

    /// Reports a rejection that is not answered.
    pub(crate) fn report_hung_up(&self, peer: IpAddr, rejection: Rejection) {
        self.reports.refusals.count(Refused::Association, "hung_up_on");
        self.audit_rejected(peer, None, rejection);
    }

    fn audit_rejected(&self, peer: IpAddr, calling_ae_title: Option<&str>, rejection: Rejection) {
        let (cause, alert) = (rejection.cause(), rejection.alert());
        let auditor = &self.reports.auditor;
        audit::security_alert(auditor, peer, calling_ae_title, cause, alert, rejection);
    }

    async fn request(&self, caller: Caller, id: String) -> Option<Call> {
        let Caller { socket, peer, certificate, in_plain_text } = caller;
        let settings = &self.settings;
        let is_encrypted = matches!(socket, Socket::Encrypted(_));
        let mut acceptor = Acceptor::new(socket, settings.max_pdu_length, settings.pdu_timeout);
        match acceptor.associate_request(settings.artim_timeout).await {
            Ok(request) => {
                let identity = self.identity(&request, peer, is_encrypted, id);
                Some(Call { acceptor, request, identity, peer, certificate, in_plain_text })
            }
            Err(error) => {
                self.report_no_request(peer, &mut acceptor, &error).await;
                None
            }
        }
    }

    async fn report_no_request(
        &self,
        peer: IpAddr,
        acceptor: &mut Acceptor,
        error: &AssociationError,
    ) {
        // Somebody is set up for the wrong port, and has to be found.
        let is_set_up_wrong = matches!(error, AssociationError::HandShake);
        match is_set_up_wrong.then(|| self.reports.fault()).flatten() {
            Some(troubles) => tracing::warn!(%error, troubles, "no association was asked for"),
            None => tracing::debug!(%error, "no association was asked for"),
        }
        if let Some(Abort { reason, cause }) = error.abort() {
            self.reports.connection_refused(peer, cause, error);
            acceptor.abort(reason).await;
        }
    }

    async fn admit(&self, call: &Call) -> Result<Accepted, Rejection> {
        if call.in_plain_text {
            return Err(Rejection::PlainText);
        }
        let caller = senders::Caller {
            calling_ae_title: &call.identity.calling_ae_title,
            address: call.peer,
            certificate: call.certificate.as_ref().map(Certificate::id),
        };
        let fit = self.allow.check(&caller).map_err(Rejection::NotAllowed)?;
        let settings = &self.settings;
        let called_ae = settings.check_called_ae.then_some(settings.ae_title.as_str());
        let services = self.listing.services(&call.identity.calling_ae_title);
        let mut accepted =
            admission::admit(&call.request, called_ae, settings.max_pdu_length, services)?;
        if let Fit::As(users) = fit {
            let unknown = Rejection::NotAllowed(NotAllowed::User);
            let user = UserIdentity::of(&call.request).ok_or(unknown)?;
            let may_guess = !self.rejection_limit().is_over(call.peer, Instant::now());
            if !self.users.verifies(&users, &user, may_guess).await {
                return Err(unknown);
            }
            if user.wants_response {
                accepted.answer.user_variables.push(user_identity::positive_response());
            }
        }
        Ok(accepted)
    }

    /// Who is calling, which from here on every log line says.
    fn identity(
        &self,
        request: &AssociationRQ,
        peer: IpAddr,
        is_encrypted: bool,
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
            node_name: self.node_name.clone(),
            tls: Some(is_encrypted),
        }
    }

    /// Who sends by STOW-RS under this AE title.
    pub(crate) fn stow_identity(
        &self,
        calling_ae_title: &str,
        peer: IpAddr,
        is_encrypted: Option<bool>,
        id: String,
    ) -> AssociationIdentity {
        Span::current().record("calling_ae", calling_ae_title);
        AssociationIdentity {
            association_id: id,
            calling_ae_title: calling_ae_title.to_owned(),
            called_ae_title: self.settings.ae_title.clone(),
            peer_address: peer.to_string(),
            node_name: self.node_name.clone(),
            tls: is_encrypted,
        }
    }

    /// Answers with A-ASSOCIATE-RJ, and reports it.
    async fn answer_rejected(&self, call: Call, rejection: Rejection) {
        let Call { mut acceptor, identity, peer, certificate, .. } = call;
        let rejections = self.report_rejected(&identity, peer, rejection, certificate.as_ref());
        if let Err(error) = acceptor.send(&Pdu::AssociationRJ(rejection.answer())).await {
            tracing::debug!(%error, "A-ASSOCIATE-RJ could not be sent");
        }
        acceptor.close().await;
        self.publish_rejected(identity, rejection, rejections).await;
    }

    /// Reports a rejection that was answered in another way.
    pub(crate) async fn rejected(
        &self,
        identity: AssociationIdentity,
        peer: IpAddr,
        rejection: Rejection,
    ) {
        let rejections = self.report_rejected(&identity, peer, rejection, None);
        self.publish_rejected(identity, rejection, rejections).await;
    }

    /// Counts, audits and logs a rejection. If it may be published, returns how many there were since the last one that
    /// was.
    fn report_rejected(
        &self,
        identity: &AssociationIdentity,
        peer: IpAddr,
        rejection: Rejection,
        certificate: Option<&Certificate>,
    ) -> Option<u64> {
        self.reports.refusals.count(Refused::Association, rejection.cause());
        self.reports.metrics.ended(Outcome::Rejected);
        self.audit_rejected(peer, Some(&identity.calling_ae_title), rejection);
        let rejections = self.rejections_reported.count(Instant::now())?;
        let certificate = certificate.map(tracing::field::display);
        tracing::warn!(
            result = ?rejection.answer().result,
            reason = %rejection,
            certificate,
            rejections,
            "association rejected"
        );
        Some(rejections)
    }

    async fn publish_rejected(
        &self,
        association: AssociationIdentity,
        rejection: Rejection,
        rejections: Option<u64>,
    ) {
        if let Some(rejections) = rejections {
            let (cause, rejected_at) = (rejection.to_string(), Timestamp::now());
            let event = AssociationRejected { association, cause, rejections, rejected_at };
            self.publisher.publish_unacknowledged(&event).await;
        }
    }

    fn rejection_limit(&self) -> MutexGuard<'_, RejectionLimit> {
        self.rejection_limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
