//! What is published and audited of an association beside its instances: that it has opened, that more of an instance
//! has arrived, that the instances of a study begin or end. None of it decides what a sender is answered.

use super::{Delivery, Heartbeat};
use crate::audit;
use crate::audit::transfers::Begun;
use crate::instance::receiving::Receiving;
use contract::event::{AssociationOpened, InstanceReceiving, InstanceStored};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use std::time::Instant;

impl Delivery<'_> {
    /// Publishes once that instances come through this association.
    pub(super) async fn publish_opened(&mut self) {
        if !self.opened {
            let association = self.identity.clone();
            let event = AssociationOpened { association, opened_at: Timestamp::now() };
            self.opened = self.intake.publisher.publish_unacknowledged(&event).await;
        }
    }

    /// Publishes that more of an instance has arrived, if it is time.
    pub(crate) async fn progress(&mut self, heartbeat: &mut Heartbeat, receiving: &Receiving) {
        let (now, bytes) = (Instant::now(), receiving.bytes());
        if heartbeat.is_due(now, bytes)
            && let Some(series) = receiving.series()
        {
            heartbeat.published(now, bytes);
            self.publish_heartbeat(series, receiving.modality(), bytes).await;
        }
    }

    /// Publishes that so many bytes of an instance have arrived.
    async fn publish_heartbeat(&mut self, series: SeriesInstanceUid, modality: String, bytes: u64) {
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
        if self.intake.publisher.publish_unacknowledged(&event).await {
            self.intake.reports.metrics.heartbeats.inc();
            self.tally.touch(&event.series_instance_uid);
        }
    }

    /// Records in the audit trail that instances of a study come, once for each study.
    pub(super) fn audit_begun(&mut self, event: &InstanceStored) {
        let Begun { study, over } = self.transfers.begin(event);
        let auditor = &self.intake.reports.auditor;
        if let Some(study) = study {
            audit::begin_transferring(auditor, &self.identity, &study);
        }
        if let Some(study) = over {
            audit::instances_transferred(auditor, &self.identity, &study, None);
        }
    }
}
