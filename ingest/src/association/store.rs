//! C-STORE (PS3.7 section 9.1.1): receiving one instance whole and having its event stored.

use super::heartbeat::Heartbeat;
use super::messages::Fragment;
use super::{Answer, Association};
use crate::data_set::header::{Header, Limits};
use crate::instance::event::Arrival;
use crate::instance::identity::InstanceIdentity;
use crate::instance::receiving::{Received, Receiving};
use crate::instance::refusal::Refusal;
use crate::publish::publisher::NotPublished;
use crate::publish::refused::PublishRefused;
use crate::sink::{FileMeta, Object, Sink};
use contract::event::InstanceStored;
use contract::uid::SeriesInstanceUid;
use dimse::Status;
use dimse::command::Request;
use dimse::net::AssociationError;
use jiff::Timestamp;
use std::time::Instant;
use store::Spooled;

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
                let Received { header, series, bytes, object } =
                    self.receive(context_id, request).await?;
                let stored = match header {
                    Ok(header) => self.publish(context_id, request, &header, bytes, object).await,
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
    async fn receive(
        &mut self,
        context_id: u8,
        request: &Request,
    ) -> Result<Received, AssociationError> {
        let settings = &self.scp.settings;
        let limits = Limits { header: settings.header_limit.0, inflated: settings.inflate_limit.0 };
        let encoding = self.contexts[&context_id].encoding;
        let mut receiving =
            self.begin_keeping(Receiving::new(encoding, limits), context_id, request);
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
            let (now, bytes) = (Instant::now(), receiving.bytes());
            if heartbeat.is_due(now, bytes)
                && let Some(series) = receiving.series()
            {
                heartbeat.published(now, bytes);
                self.publish_heartbeat(series, receiving.modality(), bytes).await;
            }
        }
    }

    /// Says where the bytes of an instance go, if it is kept.
    fn begin_keeping(&self, receiving: Receiving, context_id: u8, request: &Request) -> Receiving {
        let Sink::Spool(sink) = &self.scp.sink else { return receiving };
        // What is written while the broker stores nothing would stay without an event.
        if let Some(outage) = self.scp.publisher.outage() {
            return receiving.refused(outage.into());
        }
        let meta = FileMeta {
            sop_class_uid: &request.sop_class_uid,
            sop_instance_uid: &request.sop_instance_uid,
            transfer_syntax_uid: &self.contexts[&context_id].transfer_syntax_uid,
        };
        match Object::begin(sink, &meta, &self.identity.association_id, self.tally.stores()) {
            Ok(object) => receiving.kept_in(object),
            Err(error) => receiving.refused(error.into()),
        }
    }

    /// Has the bytes of an instance on disk, if it is kept, and then its event stored. Returns its series.
    async fn publish(
        &mut self,
        context_id: u8,
        request: &Request,
        header: &Header,
        bytes: u64,
        object: Option<Box<Object>>,
    ) -> Result<SeriesInstanceUid, Refusal> {
        let received_at = Timestamp::now();
        let identity = InstanceIdentity::of(header, request);
        let identity = identity.inspect_err(|_| self.transfers.fail())?;
        let object = match object {
            Some(object) => Some(object.finish().await.inspect_err(|_| self.transfers.fail())?),
            None => None,
        };
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
        let mut event = arrival.event(identity);
        event.object = object.map(Spooled::keep);
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
        let published = async {
            if !self.opened {
                // It can be published once the start of the receiver is stored, which the instance has to
                // wait for as well.
                let started = self.scp.publisher.start().await;
                started.map_err(|refused| NotPublished { refused, may_be_stored: false })?;
                self.publish_opened().await;
            }
            self.scp.publisher.publish_or_tell(event).await
        };
        let NotPublished { refused, may_be_stored } = match published.await {
            Ok(()) => return Ok(()),
            Err(not_published) => not_published,
        };
        // An event that may be stored names an object, which has to be there.
        if let Some(object) = &event.object
            && !may_be_stored
        {
            self.scp.sink.remove(object);
        }
        Err(refused)
    }
}
