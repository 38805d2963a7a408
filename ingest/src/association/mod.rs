//! One association, from its request to its end: messages are taken one by one, and an instance is
//! answered with Success only once the broker has acknowledged its event.

mod commitment;
mod listing;
mod messages;
mod store;

use crate::instance::refusal::Refusal;
use crate::intake::{Delivery, Intake};
use crate::listing::{availability, performed_step};
use crate::negotiation::admission::AcceptedContext;
use crate::negotiation::negotiator::Negotiated;
use commitment::Owed;
use contract::event::Ending;
use dicom_ul::pdu::{AbortRQServiceProviderReason, Pdu};
use dimse::Status;
use dimse::command::{
    Operation, Request, read_request, read_response, write_refusal, write_response,
};
use dimse::net::{Abort, Acceptor, AssociationError};
use jiff::Timestamp;
use messages::Next;
use shared::metrics::Refused;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// Accepts an association and serves it to its end.
pub(crate) async fn serve(intake: &Intake, negotiated: Negotiated) {
    let Negotiated { acceptor, accepted, identity } = negotiated;
    let association = Association {
        intake,
        acceptor,
        contexts: accepted.contexts,
        peer_max_pdu_length: accepted.peer_max_pdu_length,
        delivery: intake.delivery(identity),
        asked_at: Instant::now(),
        owed: VecDeque::new(),
        last_message_id: 0,
    };
    association.run(Pdu::AssociationAC(accepted.answer)).await;
}

/// Keywords of the SOP classes of the services that list instances.
const PUSH_MODEL: &str = "StorageCommitmentPushModel";
const PERFORMED_STEP: &str = "ModalityPerformedProcedureStep";
const AVAILABILITY: &str = "InstanceAvailabilityNotification";

/// How an association ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Released,
    AbortedByPeer,
    Stopped,
}

/// What a request is answered with.
enum Answer {
    Success,
    Failure(Refusal),
}

struct Association<'a> {
    intake: &'a Intake,
    acceptor: Acceptor,
    /// The accepted presentation contexts by id.
    contexts: BTreeMap<u8, AcceptedContext>,
    /// Longest P-DATA-TF PDU that the peer takes.
    peer_max_pdu_length: u32,
    delivery: Delivery<'a>,
    /// When the first fragment of the latest command came.
    asked_at: Instant,
    /// The reports on storage commitment that are to go through it.
    owed: VecDeque<Owed>,
    /// Message ID of the latest request of ours.
    last_message_id: u16,
}

impl Association<'_> {
    async fn run(mut self, answer: Pdu) {
        let ended = match self.acceptor.send(&answer).await {
            Ok(()) => self.serve_messages().await,
            Err(error) => Err(error),
        };
        let closed_at = Timestamp::now();
        self.leave_reports();
        let (ending, cause) = self.end(ended).await;
        self.delivery.end(ending, cause.as_deref());
        let Self { acceptor, delivery, .. } = self;
        // The peer's connection is not kept waiting for the broker.
        drop(acceptor);
        delivery.close(ending, cause, closed_at).await;
    }

    /// Ends the association for the peer. Returns how it ended, and why unless it was released.
    async fn end(&mut self, ended: Result<End, AssociationError>) -> (Ending, Option<String>) {
        let tally = self.delivery.tally();
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
                if let Some(troubles) = self.intake.reports.fault() {
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
                if let Some(troubles) = self.intake.reports.fault() {
                    tracing::warn!(stores, acknowledged, failed, troubles, %error, "aborted");
                }
                if let Some(Abort { reason, cause }) = error.abort() {
                    self.intake.reports.refusals.count(Refused::Abort, cause);
                    self.acceptor.abort(reason).await;
                }
                (Ending::Aborted, Some(error.to_string()))
            }
        }
    }

    async fn serve_messages(&mut self) -> Result<End, AssociationError> {
        loop {
            match self.next().await? {
                Next::Report => self.report().await?,
                Next::Command { context_id, command_set } => {
                    if !self.owed.is_empty()
                        && let Ok(response) = read_response(&command_set)
                    {
                        self.report_answered(&response)?;
                        continue;
                    }
                    let request = read_request(&command_set)?;
                    self.serve_message(context_id, &request).await?;
                }
                Next::End(end) => return Ok(end),
            }
        }
    }

    async fn serve_message(
        &mut self,
        context_id: u8,
        request: &Request,
    ) -> Result<(), AssociationError> {
        let answer = match (request.operation, self.contexts[&context_id].sop_class) {
            (Operation::Store, _) => self.store(context_id, request).await?,
            (Operation::Echo, _) => {
                self.skip_data_set(context_id, request).await?;
                Answer::Success
            }
            (Operation::Action, PUSH_MODEL) => self.action(context_id, request).await?,
            (Operation::Create, AVAILABILITY) => {
                self.notified(context_id, request, availability::list).await?
            }
            (Operation::Create, PERFORMED_STEP) => {
                self.notified(context_id, request, performed_step::create).await?
            }
            (Operation::Set, PERFORMED_STEP) => {
                self.notified(context_id, request, performed_step::set).await?
            }
            // There is nothing to cancel: every operation has ended once the next can be read.
            (Operation::Cancel, _) => return Ok(()),
            (
                Operation::Find
                | Operation::EventReport
                | Operation::Set
                | Operation::Action
                | Operation::Create
                | Operation::Other(_),
                _,
            ) => {
                self.skip_data_set(context_id, request).await?;
                Answer::Failure(Refusal::new(
                    Status::UnrecognizedOperation,
                    "unknown_operation",
                    "this is a C-STORE and C-ECHO SCP only",
                ))
            }
        };
        let response = match answer {
            Answer::Success => write_response(request, Status::Success, ""),
            Answer::Failure(Refusal { status, cause, comment, error_id }) => {
                self.intake.reports.refusals.count(Refused::Message, cause);
                write_refusal(request, status, &comment, error_id)
            }
        };
        self.acceptor.send_command(context_id, &response, self.peer_max_pdu_length).await?;
        if request.operation == Operation::Store {
            let duration = self.asked_at.elapsed();
            self.intake.reports.metrics.store_duration.observe(duration.as_secs_f64());
        }
        Ok(())
    }
}
