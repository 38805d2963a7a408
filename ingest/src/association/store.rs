//! C-STORE (PS3.7 section 9.1.1): receiving one instance whole and having its event stored.

use super::messages::Fragment;
use super::{Answer, Association};
use crate::announced::{Announced, Herald};
use crate::instance::receiving::Received;
use crate::instance::refusal::Refusal;
use crate::intake::Heartbeat;
use crate::negotiation::admission::AcceptedContext;
use dimse::Status;
use dimse::command::Request;
use dimse::net::AssociationError;
use std::time::Instant;

impl Association<'_> {
    /// Receives one instance whole and has its event stored.
    pub(super) async fn store(
        &mut self,
        context_id: u8,
        request: &Request,
    ) -> Result<Answer, AssociationError> {
        // Only what was accepted is read.
        let context = self.contexts[&context_id].clone();
        let announced = announced(&context, request);
        self.delivery.begin().await;
        if !request.has_data_set {
            let comment = "C-STORE without a data set";
            let refusal = Refusal::new(Status::CannotUnderstand, "no_data_set", comment);
            self.delivery.refuse(&announced, &refusal);
            return Ok(Answer::Failure(refusal));
        }
        let received = self.receive(context_id, &announced).await?;
        Ok(match self.delivery.store(&announced, None, received).await {
            Ok(_stored) => Answer::Success,
            Err(refusal) => Answer::Failure(refusal),
        })
    }

    /// Receives the data set of an instance to its end.
    async fn receive(
        &mut self,
        context_id: u8,
        announced: &Announced<'_>,
    ) -> Result<Received, AssociationError> {
        let mut receiving = self.delivery.receiving(announced);
        let mut heartbeat = Heartbeat::new(Instant::now());
        loop {
            let Fragment { length, bytes, last } =
                self.fragment(context_id, receiving.skippable()).await?;
            match bytes.len() < length {
                true => receiving.skip(length as u64),
                false => receiving.push(bytes).await,
            }
            if last {
                return Ok(receiving.finish());
            }
            self.delivery.progress(&mut heartbeat, &receiving).await;
        }
    }
}

fn announced<'a>(context: &'a AcceptedContext, request: &'a Request) -> Announced<'a> {
    Announced {
        herald: Herald::Command,
        sop_class_uid: &request.sop_class_uid,
        sop_instance_uid: &request.sop_instance_uid,
        transfer_syntax_uid: &context.transfer_syntax_uid,
        encoding: context.encoding,
        sop_class: context.sop_class,
    }
}
