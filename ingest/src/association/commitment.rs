//! N-ACTION of storage commitment (PS3.4 section J.3.2), and its report through the same association.

use super::listing::unpublished;
use super::{Answer, Association};
use crate::instance::refusal::Refusal;
use crate::listing::commitment;
use crate::publish::refused::PublishRefused;
use contract::event::{Event as _, InstancesListed};
use dimse::Status;
use dimse::command::{Request, Response, write_request};
use dimse::identifier::Encoding;
use dimse::net::AssociationError;
use std::time::Duration;
use tokio::time::Instant;

/// How long an association has to be still before a report goes through it: a peer that asks on an association of its own
/// releases it at once, and does not expect anything then.
const PAUSE: Duration = Duration::from_secs(1);

/// How long its peer may take to answer a report. Then the report goes by an association of ours.
const LIMIT: Duration = Duration::from_secs(30);

/// Reports that one association owes at most, and instances in them: it keeps the list of each.
const MAX_OWED: usize = 1000;
const MAX_OWED_INSTANCES: usize = 2 * InstancesListed::MAX_INSTANCES;

/// A request for commitment whose report is due.
#[derive(Debug)]
pub(super) struct Owed {
    listed: InstancesListed,
    context_id: u8,
    /// When the report goes out, or is given up here.
    pub(super) due: Instant,
    /// Its Message ID, once it went out.
    sent: Option<u16>,
}

impl Association<'_> {
    /// Takes a request for commitment.
    pub(super) async fn action(
        &mut self,
        context_id: u8,
        request: &Request,
    ) -> Result<Answer, AssociationError> {
        let listed = match self.list(context_id, request, commitment::list).await? {
            Ok(listed) => listed,
            Err(refusal) => return Ok(Answer::Failure(refusal)),
        };
        let instances = self.owed.iter().map(|owed| owed.listed.count()).sum::<usize>();
        if self.owed.len() >= MAX_OWED || instances + listed.count() > MAX_OWED_INSTANCES {
            let comment = "too many requests for commitment wait for their report";
            return Ok(Answer::Failure(Refusal::new(Status::of(0x0213), "list", comment)));
        }
        let (id, transactions) = (listed.id(), &self.intake.listing.transactions);
        let reports = transactions.wait_for(&id);
        match self.intake.publisher.publish(&listed).await {
            Ok(()) => {
                let (transaction, instances) = (&listed.list_uid, listed.count());
                tracing::info!(transaction, instances, "storage commitment requested");
            }
            // The peer has not seen our answer, or no report: the list is on the record.
            Err(PublishRefused::Duplicate) => {
                tracing::debug!(
                    transaction = &listed.list_uid,
                    "storage commitment requested again"
                );
            }
            Err(error) => {
                if reports {
                    transactions.left(&id);
                }
                return Ok(Answer::Failure(unpublished(error)));
            }
        }
        if !reports {
            return Ok(Answer::Success);
        }
        self.owed.push_back(Owed { listed, context_id, due: Instant::now() + PAUSE, sent: None });
        Ok(Answer::Success)
    }

    /// Sends the report that is due, or leaves it to another association.
    pub(super) async fn report(&mut self) -> Result<(), AssociationError> {
        let Some(mut owed) = self.owed.pop_front() else { return Ok(()) };
        let encoding = Encoding::of(&self.contexts[&owed.context_id].transfer_syntax_uid);
        let Some(encoding) = encoding.filter(|_| owed.sent.is_none()) else {
            self.intake.listing.transactions.left(&owed.listed.id());
            return Ok(());
        };
        self.last_message_id = self.last_message_id.wrapping_add(1);
        let command_set = write_request(&commitment::report_request(self.last_message_id));
        let report = commitment::report(&owed.listed, encoding);
        let longest = self.peer_max_pdu_length;
        let sent = self.acceptor.send_message(owed.context_id, &command_set, &report, longest);
        sent.await?;
        (owed.sent, owed.due) = (Some(self.last_message_id), Instant::now() + LIMIT);
        self.owed.push_front(owed);
        Ok(())
    }

    /// The peer has answered a report.
    pub(super) fn report_answered(&mut self, response: &Response) -> Result<(), AssociationError> {
        let owed = self.owed.pop_front_if(|owed| owed.sent == Some(response.message_id));
        let owed = owed.ok_or(AssociationError::OutOfOrder)?;
        let (transaction, status) = (&owed.listed.list_uid, response.status);
        tracing::debug!(transaction, %status, "report on commitment answered");
        self.intake.listing.transactions.reported(&owed.listed.id());
        Ok(())
    }

    /// The association ends: what it owes is for another one.
    pub(super) fn leave_reports(&self) {
        for owed in &self.owed {
            self.intake.listing.transactions.left(&owed.listed.id());
        }
    }
}
