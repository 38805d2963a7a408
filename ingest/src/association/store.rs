//! C-STORE: receiving one instance and having its event stored, and what is said meanwhile.

use super::Association;
use crate::association::heartbeat::Heartbeat;
use crate::audit::messages;
use crate::audit::transfers::Begun;
use crate::data_set::attributes;
use crate::data_set::header::{Header, HeaderError, HeaderReader, Limits};
use crate::instance::event::{Arrival, Refusal};
use crate::negotiation::admission::AcceptedContext;
use crate::publish::refused::PublishRefused;
use contract::event::{AssociationOpened, InstanceReceiving, InstanceStored};
use contract::uid::SeriesInstanceUid;
use dimse::Status;
use dimse::command::Request;
use dimse::net::{AssociationError, Incoming};
use dimse::p_data::Kind;
use jiff::Timestamp;
use std::time::Instant;

/// A data set that was received to its end, whatever is wrong with it.
struct DataSet {
    header: Result<Header, HeaderError>,
    /// Its series, also where the rest of the header was no good.
    series: Option<SeriesInstanceUid>,
    /// Its length.
    bytes: u64,
}

/// A piece of a data set.
struct Fragment<'a> {
    length: usize,
    /// None of one that was skipped.
    bytes: &'a [u8],
    /// Whether the data set ends with it.
    last: bool,
}

impl Association<'_> {
    /// Receives one instance whole and has its event stored.
    pub(super) async fn store(
        &mut self,
        context_id: u8,
        request: &Request,
    ) -> Result<Result<(), Refusal>, AssociationError> {
        self.tally.begin();
        self.say_opened().await;
        let received = match request.has_data_set {
            true => Some(self.data_set(context_id).await?),
            false => None,
        };
        let bytes = received.as_ref().map_or(0, |data_set| data_set.bytes);
        let (series, stored) = match received {
            None => {
                self.transfers.fail();
                let comment = "C-STORE without a data set";
                let refusal = Refusal::new(Status::CannotUnderstand, "no_data_set", comment);
                (None, Err(refusal))
            }
            Some(DataSet { header: Err(error), series, .. }) => {
                self.transfers.fail();
                (series, Err(error.into()))
            }
            Some(DataSet { header: Ok(header), series, .. }) => {
                (series, self.publish(context_id, request, &header, bytes).await)
            }
        };
        match stored {
            Ok(series) => {
                self.count(context_id, Status::Success, bytes);
                self.tally.acknowledge(&series);
                Ok(Ok(()))
            }
            Err(refusal) => {
                self.count(context_id, refusal.status, bytes);
                self.tally.fail(series.as_ref());
                if let Some(troubles) = self.service.trouble() {
                    tracing::warn!(
                        ordinal = self.tally.stores(),
                        sop_instance = request.sop_instance_uid,
                        status = %refusal.status,
                        reason = refusal.comment,
                        troubles,
                        "instance refused"
                    );
                }
                Ok(Err(refusal))
            }
        }
    }

    fn count(&mut self, context_id: u8, status: Status, bytes: u64) {
        let class = self.classes.entry(context_id).or_insert_with(|| {
            self.service.metrics.of_class(self.accepted.contexts[&context_id].sop_class)
        });
        class.answered(status, bytes);
    }

    /// Reads past a data set that nobody asked for.
    pub(super) async fn skip_data_set(
        &mut self,
        context_id: u8,
        request: &Request,
    ) -> Result<(), AssociationError> {
        let mut last = !request.has_data_set;
        while !last {
            last = self.fragment(context_id, u64::MAX).await?.last;
        }
        Ok(())
    }

    async fn data_set(&mut self, context_id: u8) -> Result<DataSet, AssociationError> {
        let AcceptedContext { encoding, .. } = self.accepted.contexts[&context_id];
        let settings = &self.service.settings;
        let limits = Limits { header: settings.header_limit.0, inflated: settings.inflate_limit.0 };
        let mut reader = HeaderReader::new(encoding, attributes::WANTED, limits);
        let mut heartbeat = Heartbeat::new(Instant::now());
        let (mut outcome, mut bytes) = (Ok(()), 0);
        loop {
            let skippable = if outcome.is_ok() { reader.skippable() } else { u64::MAX };
            let Fragment { length, bytes: fragment, last } =
                self.fragment(context_id, skippable).await?;
            bytes += length as u64;
            if outcome.is_ok() {
                outcome = match fragment.len() < length {
                    true => reader.skip(length as u64),
                    false => reader.push(fragment),
                };
            }
            if last {
                let series = attributes::series_so_far(&reader);
                return Ok(DataSet {
                    header: outcome.and_then(|()| reader.finish()),
                    series,
                    bytes,
                });
            }
            let now = Instant::now();
            if heartbeat.is_due(now, bytes)
                && let Some(series) = attributes::series_so_far(&reader)
            {
                heartbeat.said(now, bytes);
                self.say_receiving(series, attributes::modality_so_far(&reader), bytes).await;
            }
        }
    }

    /// The next fragment of a data set, of which so many bytes may be skipped.
    async fn fragment(
        &mut self,
        context_id: u8,
        skippable: u64,
    ) -> Result<Fragment<'_>, AssociationError> {
        let limit = self.service.settings.receive_timeout;
        let incoming = self.acceptor.next_or_skipped(skippable, limit).await?;
        match incoming {
            Incoming::Fragment { context_id: id, kind: Kind::DataSet, last, length, bytes }
                if id == context_id =>
            {
                Ok(Fragment { length, bytes, last })
            }
            _ => Err(AssociationError::OutOfOrder),
        }
    }

    /// Has the event of an instance stored, and gives its series.
    async fn publish(
        &mut self,
        context_id: u8,
        request: &Request,
        header: &Header,
        bytes: u64,
    ) -> Result<SeriesInstanceUid, Refusal> {
        let arrival = Arrival {
            header,
            request,
            bytes,
            transfer_syntax_uid: &self.accepted.contexts[&context_id].transfer_syntax_uid,
            association: &self.identity,
            tally: &self.tally,
            pseudonyms: self.service.pseudonyms.as_ref(),
            received_at: Timestamp::now(),
        };
        let event = arrival.event().inspect_err(|_| self.transfers.fail())?;
        self.say_begun(&event);
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
            // It can be said once the start of the receiver is stored, which the instance has to
            // wait for as well.
            self.service.publisher.start().await?;
            self.say_opened().await;
        }
        self.service.publisher.publish(event).await
    }

    /// Says in the audit trail that instances of a study come, once for each study.
    fn say_begun(&mut self, event: &InstanceStored) {
        let Begun { study, over } = self.transfers.begin(event);
        let auditor = &self.service.auditor;
        if let Some(study) = study {
            messages::begin_transferring(auditor, &self.identity, &study);
        }
        if let Some(study) = over {
            messages::instances_transferred(auditor, &self.identity, &study, None);
        }
    }

    /// Says once that instances come through this association.
    async fn say_opened(&mut self) {
        if !self.opened {
            let association = self.identity.clone();
            let event = AssociationOpened { association, opened_at: Timestamp::now() };
            self.opened = self.service.publisher.publish_unacknowledged(&event).await;
        }
    }

    async fn say_receiving(&mut self, series: SeriesInstanceUid, modality: String, bytes: u64) {
        let event = InstanceReceiving {
            series_instance_uid: series,
            modality,
            bytes,
            calling_ae_title: self.identity.calling_ae_title.clone(),
            association_id: self.identity.association_id.clone(),
            node_name: self.identity.node_name.clone(),
            ordinal: self.tally.stores(),
            at: Timestamp::now(),
        };
        if self.service.publisher.publish_unacknowledged(&event).await {
            self.service.metrics.heartbeats.inc();
            self.tally.touch(&event.series_instance_uid);
        }
    }
}
