//! One association, from its request to its end: messages are taken one by one, and an instance is
//! answered with Success only once the broker has acknowledged its event.

pub mod heartbeat;
mod messages;
mod progress;
pub mod series_shares;
mod store;
pub mod tally;

use crate::association::tally::Tally;
use crate::audit::transfers::Transfers;
use crate::audit::{self, AssociationEnd};
use crate::instance::event::Refusal;
use crate::instance::pseudonyms::Pseudonyms;
use crate::log_limit::LogLimit;
use crate::metrics::{ClassMetrics, IngestMetrics, OpenAssociation, Outcome};
use crate::negotiation::admission::Accepted;
use crate::negotiation::rejection_limit::RejectionLimit;
use crate::negotiation::user_identity::UserVerifier;
use crate::publish::publisher::Publisher;
use crate::settings::Settings;
use crate::sink::Sink;
use contract::event::{AssociationIdentity, Ending};
use dicom_ul::pdu::{AbortRQServiceProviderReason, Pdu};
use dimse::Status;
use dimse::command::{Operation, Request, read_request, write_response};
use dimse::net::{Abort, Acceptor, AssociationError};
use jiff::Timestamp;
use shared::audit::Auditor;
use shared::metrics::{Refusals, Refused};
use shared::sources::AllowList;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// What all associations have in common.
#[derive(Debug)]
pub struct Service {
    /// What the receiver was told.
    pub settings: Settings,
    /// Who may send.
    pub allow: AllowList,
    /// Whether those are who they say.
    pub verifier: UserVerifier,
    /// What patients are called by in events, where that is not as their instances say.
    pub pseudonyms: Option<Pseudonyms>,
    /// The receiver's name.
    pub node_name: String,
    /// Where events go.
    pub publisher: Publisher,
    /// Where the bytes of instances go.
    pub sink: Sink,
    /// Callers that were turned away.
    pub rejections: Mutex<LogLimit>,
    /// With those of them who may not send.
    pub rejection_limit: Mutex<RejectionLimit>,
    /// Counts whatever is refused.
    pub refusals: Refusals,
    /// Counts what is received.
    pub metrics: IngestMetrics,
    /// Says who sent what, and who was refused.
    pub auditor: Auditor,
    /// What peers did wrong, as far as it is worth a warning.
    pub troubles: Mutex<LogLimit>,
    /// Cancelled when the receiver is to stop.
    pub stop: CancellationToken,
}

impl Service {
    /// Counts a caller who may not send; whether it is told so.
    pub(crate) fn has_patience_with(&self, peer: IpAddr) -> bool {
        let mut rejection_limit =
            self.rejection_limit.lock().unwrap_or_else(PoisonError::into_inner);
        rejection_limit.refuse(peer, Instant::now())
    }

    /// Whether a caller who might not be allowed is still heard.
    pub(crate) fn hears(&self, peer: IpAddr) -> bool {
        let rejection_limit = self.rejection_limit.lock().unwrap_or_else(PoisonError::into_inner);
        !rejection_limit.is_over(peer, Instant::now())
    }

    /// Counts something that a peer did wrong; how many there were since one was said last, if this
    /// one may be said.
    pub(crate) fn trouble(&self) -> Option<u64> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).count(Instant::now())
    }
}

/// How an association ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Released,
    AbortedByPeer,
    Stopped,
}

pub(crate) struct Association<'a> {
    service: &'a Service,
    acceptor: Acceptor,
    accepted: Accepted,
    identity: AssociationIdentity,
    tally: Tally,
    transfers: Transfers,
    /// Whether it was published that instances come through it.
    opened: bool,
    /// When the first fragment of the latest command came.
    asked_at: Instant,
    /// What is counted of the presentation contexts that instances came through, by their ids.
    classes: BTreeMap<u8, ClassMetrics>,
    is_open: OpenAssociation,
}

impl<'a> Association<'a> {
    pub(crate) fn new(
        service: &'a Service,
        acceptor: Acceptor,
        accepted: Accepted,
        identity: AssociationIdentity,
    ) -> Self {
        Self {
            service,
            acceptor,
            accepted,
            identity,
            tally: Tally::default(),
            transfers: Transfers::default(),
            opened: false,
            asked_at: Instant::now(),
            classes: BTreeMap::new(),
            is_open: service.metrics.opened(),
        }
    }

    pub(crate) async fn run(mut self, answer: Pdu) {
        let ended = match self.acceptor.send(&answer).await {
            Ok(()) => self.serve_messages().await,
            Err(error) => Err(error),
        };
        let closed_at = Timestamp::now();
        let (ending, cause) = self.end(ended).await;
        self.service.metrics.ended(match ending {
            Ending::Released => Outcome::Released,
            Ending::Aborted => Outcome::Aborted,
        });
        for study in self.transfers.close() {
            let end = Some(AssociationEnd { ending, cause: cause.as_deref() });
            audit::instances_transferred(&self.service.auditor, &self.identity, &study, end);
        }
        // The peer's connection is not kept waiting for the broker.
        drop((self.acceptor, self.is_open));
        let Some(event) = self.tally.close(self.identity, ending, cause, closed_at) else {
            return;
        };
        if let Err(error) = self.service.publisher.publish(&event).await {
            tracing::warn!(
                %error,
                "the end of this association is not published; the series that it brought will be \
                 complete by quiet period"
            );
        }
    }

    /// Ends the association for the peer. Gives how it ended, and why unless it was released.
    async fn end(&mut self, ended: Result<End, AssociationError>) -> (Ending, Option<String>) {
        let tally = &self.tally;
        let (stores, acknowledged) = (tally.stores(), tally.acknowledged());
        let failed = tally.failed();
        match ended {
            Ok(End::Released) => {
                if let Err(error) = self.acceptor.send(&Pdu::ReleaseRP).await {
                    tracing::debug!(%error, "A-RELEASE-RP could not be sent");
                }
                self.acceptor.close().await;
                tracing::info!(stores, acknowledged, failed, "released");
                (Ending::Released, None)
            }
            Ok(End::AbortedByPeer) => {
                if let Some(troubles) = self.service.trouble() {
                    tracing::warn!(stores, acknowledged, failed, troubles, "aborted by the peer");
                }
                (Ending::Aborted, Some("aborted by the peer".to_owned()))
            }
            Ok(End::Stopped) => {
                self.acceptor.abort(AbortRQServiceProviderReason::ReasonNotSpecified).await;
                tracing::info!(stores, acknowledged, failed, "aborted: stopping");
                (Ending::Aborted, Some("the receiver was stopped".to_owned()))
            }
            Err(error) => {
                if let Some(troubles) = self.service.trouble() {
                    tracing::warn!(stores, acknowledged, failed, troubles, %error, "aborted");
                }
                if let Some(Abort { reason, cause }) = error.abort() {
                    self.service.refusals.count(Refused::Abort, cause);
                    self.acceptor.abort(reason).await;
                }
                (Ending::Aborted, Some(error.to_string()))
            }
        }
    }

    async fn serve_messages(&mut self) -> Result<End, AssociationError> {
        loop {
            let (context_id, command) = match self.command().await? {
                Ok(command) => command,
                Err(end) => return Ok(end),
            };
            let request = read_request(&command)?;
            self.serve_message(context_id, &request).await?;
        }
    }

    async fn serve_message(
        &mut self,
        context_id: u8,
        request: &Request,
    ) -> Result<(), AssociationError> {
        let outcome = match request.operation {
            Operation::Store => self.store(context_id, request).await?,
            Operation::Echo => {
                self.skip_data_set(context_id, request).await?;
                Ok(())
            }
            // There is nothing to cancel: every operation has ended once the next can be read.
            Operation::Cancel => return Ok(()),
            Operation::Other(_) => {
                self.skip_data_set(context_id, request).await?;
                Err(Refusal::new(
                    Status::UnrecognizedOperation,
                    "unknown_operation",
                    "this is a C-STORE and C-ECHO SCP only",
                ))
            }
        };
        let (status, comment) = match outcome {
            Ok(()) => (Status::Success, String::new()),
            Err(refusal) => {
                self.service.refusals.count(Refused::Message, refusal.cause);
                (refusal.status, refusal.comment)
            }
        };
        let response = write_response(request, status, &comment);
        let peer_max_pdu_length = self.accepted.peer_max_pdu_length;
        self.acceptor.send_command(context_id, &response, peer_max_pdu_length).await?;
        if request.operation == Operation::Store {
            let duration = self.asked_at.elapsed();
            self.service.metrics.store_duration.observe(duration.as_secs_f64());
        }
        Ok(())
    }
}
