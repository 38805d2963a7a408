//! C-STORE (PS3.7 section 9.1.1): receiving one instance whole and having its event stored.

use super::heartbeat::Heartbeat;
use super::messages::Fragment;
use super::{Answer, Association};
use crate::data_set::header::{Header, Limits};
use crate::instance::event::Arrival;
use crate::instance::identity::InstanceIdentity;
use crate::instance::receiving::{Received, Receiving};
use crate::instance::refusal::Refusal;
use crate::publish::refused::PublishRefused;
use contract::event::InstanceStored;
use contract::uid::SeriesInstanceUid;
use dimse::Status;
use dimse::command::Request;
use dimse::net::AssociationError;
use jiff::Timestamp;
use std::time::Instant;

impl Association<'_> {
    /// Receives one instance whole and has its event stored.
    pub(super) async fn store(
        &mut self,
        context_id: u8,
        request: &Request,
    ) -> Result<Answer, AssociationError> {
        self.tally.begin();
        self.publish_opened().await;
        let (series, bytes, stored) = match request.has_data_set {
            true => {
                let Received { header, series, bytes } = self.receive(context_id).await?;
                let stored = match header {
                    Ok(header) => self.publish(context_id, request, &header, bytes).await,
                    Err(refusal) => {
                        self.transfers.fail();
                        Err(refusal)
                    }
                };
                (series, bytes, stored)
            }
            false => {
                self.transfers.fail();
                let comment = "C-STORE without a data set";
                let refusal = Refusal::new(Status::CannotUnderstand, "no_data_set", comment);
                (None, 0, Err(refusal))
            }
        };
        match stored {
            Ok(series) => {
                self.count(context_id, Status::Success, bytes);
                self.tally.acknowledge(&series);
                Ok(Answer::Success)
            }
            Err(refusal) => {
                self.count(context_id, refusal.status, bytes);
                self.tally.fail(series.as_ref());
                if let Some(troubles) = self.scp.reports.fault() {
                    tracing::warn!(
                        ordinal = self.tally.stores(),
                        sop_instance = request.sop_instance_uid,
                        status = %refusal.status,
                        reason = refusal.comment,
                        troubles,
                        "instance refused"
                    );
                }
                Ok(Answer::Failure(refusal))
            }
        }
    }

    fn count(&mut self, context_id: u8, status: Status, bytes: u64) {
        let class = self.classes.entry(context_id).or_insert_with(|| {
            self.scp.reports.metrics.of_class(self.contexts[&context_id].sop_class)
        });
        class.answered(status, bytes);
    }

    /// Receives the data set of an instance to its end.
    async fn receive(&mut self, context_id: u8) -> Result<Received, AssociationError> {
        let settings = &self.scp.settings;
        let limits = Limits { header: settings.header_limit.0, inflated: settings.inflate_limit.0 };
        let encoding = self.contexts[&context_id].encoding;
        let mut receiving = Receiving::new(encoding, limits, self.scp.sink);
        let mut heartbeat = Heartbeat::new(Instant::now());
        loop {
            let Fragment { length, bytes, last } =
                self.fragment(context_id, receiving.skippable()).await?;
            match bytes.len() < length {
                true => receiving.skip(length as u64),
                false => receiving.push(bytes),
            }
            if last {
                return Ok(receiving.finish());
            }
            let (now, bytes) = (Instant::now(), receiving.bytes());
            if heartbeat.is_due(now, bytes)
                && let Some(series) = receiving.series()
            {
                heartbeat.published(now, bytes);
                self.publish_heartbeat(series, receiving.modality(), bytes).await;
            }
        }
    }

    /// Has the event of an instance stored. Returns its series.
    async fn publish(
        &mut self,
        context_id: u8,
        request: &Request,
        header: &Header,
        bytes: u64,
    ) -> Result<SeriesInstanceUid, Refusal> {
        let received_at = Timestamp::now();
        let identity = InstanceIdentity::of(header, request);
        let identity = identity.inspect_err(|_| self.transfers.fail())?;
        let arrival = Arrival {
            header,
            bytes,
            transfer_syntax_uid: &self.contexts[&context_id].transfer_syntax_uid,
            association: &self.identity,
            ordinal: self.tally.stores(),
            series_ordinal: self.tally.acknowledged_of(&identity.series_instance_uid) + 1,
            pseudonyms: self.scp.pseudonyms.as_ref(),
            received_at,
        };
        let event = arrival.event(identity);
        self.audit_begun(&event);
        let stored = self.publish_event(&event).await;
        self.transfers.end(&event, stored.is_ok());
        stored?;
        tracing::debug!(
            series = %event.series_instance_uid,
            sop_instance = %event.sop_instance_uid,
            ordinal = event.ordinal,
            bytes,
            "stored"
        );
        Ok(event.series_instance_uid)
    }

    async fn publish_event(&mut self, event: &InstanceStored) -> Result<(), PublishRefused> {
        if !self.opened {
            // It can be published once the start of the receiver is stored, which the instance has to
            // wait for as well.
            self.scp.publisher.start().await?;
            self.publish_opened().await;
        }
        self.scp.publisher.publish(event).await
    }
}
