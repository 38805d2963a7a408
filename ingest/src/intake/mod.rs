//! Taking instances in, whatever protocol brings them: each is received whole, kept where there is a store, has its event
//! stored, and counts for the association that it came through. A C-STORE and a part of a STOW-RS request take the same
//! way from here on.

mod heartbeat;
mod progress;
mod refusal_shares;
mod series_shares;
mod storing;
mod tally;

use crate::announced::Announced;
use crate::audit::transfers::Transfers;
use crate::audit::{self, AssociationEnd};
use crate::data_set::header::Limits;
use crate::instance::pseudonyms::Pseudonyms;
use crate::instance::receiving::Receiving;
use crate::listing::Listing;
use crate::metrics::{ClassMetrics, OpenAssociation, Outcome};
use crate::publish::publisher::Publisher;
use crate::reports::Reports;
use crate::settings::Settings;
use crate::sink::{Object, Sink};
use contract::event::{AssociationIdentity, Ending};
pub(crate) use heartbeat::Heartbeat;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashSet};
use std::mem;
use std::sync::Arc;
use tally::Tally;
use tokio_util::sync::CancellationToken;

/// What all associations have in common.
#[derive(Debug)]
pub(crate) struct Intake {
    /// The settings of the receiver.
    pub settings: Arc<Settings>,
    /// Replaces what names patients in events, where that is asked for.
    pub pseudonyms: Option<Pseudonyms>,
    /// Where the bytes of instances go.
    pub sink: Sink,
    /// Calling AE titles whose instances are not kept, though there is a store.
    pub not_kept: HashSet<String>,
    /// Where events go.
    pub publisher: Arc<Publisher>,
    /// Who may list instances.
    pub listing: Listing,
    /// Where all else is reported.
    pub reports: Reports,
    /// Cancelled when the receiver is to stop.
    pub stop: CancellationToken,
}

impl Intake {
    /// Begins an association of this sender.
    pub(crate) fn delivery(&self, identity: AssociationIdentity) -> Delivery<'_> {
        Delivery {
            intake: self,
            identity,
            tally: Tally::default(),
            transfers: Transfers::default(),
            opened: false,
            classes: BTreeMap::new(),
            is_open: self.reports.metrics.opened(),
        }
    }
}

/// What one association brings: a DICOM association, or a STOW-RS request, which is one to the rules.
pub(crate) struct Delivery<'a> {
    intake: &'a Intake,
    identity: AssociationIdentity,
    tally: Tally,
    transfers: Transfers,
    /// Whether it was published that instances come through it.
    opened: bool,
    /// What is counted of the SOP classes of its instances.
    classes: BTreeMap<&'static str, ClassMetrics>,
    is_open: OpenAssociation,
}

impl Delivery<'_> {
    /// Who sends.
    #[must_use]
    pub(crate) fn identity(&self) -> &AssociationIdentity {
        &self.identity
    }

    /// What came so far.
    #[must_use]
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// An instance is about to come.
    pub(crate) async fn begin(&mut self) {
        self.tally.begin();
        self.publish_opened().await;
    }

    /// The instance that has begun, as it is received and kept.
    #[must_use]
    pub(crate) fn receiving(&self, announced: &Announced<'_>) -> Receiving {
        let Intake { settings, publisher, sink, .. } = self.intake;
        let limits = Limits { header: settings.header_limit.0, inflated: settings.inflate_limit.0 };
        let receiving = Receiving::new(announced.encoding, limits);
        let Sink::Spool(sink) = sink else { return receiving };
        if self.intake.not_kept.contains(&self.identity.calling_ae_title) {
            return receiving;
        }
        // What is written while the broker stores nothing would stay without an event.
        if let Some(outage) = publisher.outage() {
            return receiving.refused(outage.into());
        }
        let (association, ordinal) = (&self.identity.association_id, self.tally.stores());
        match Object::begin(sink, announced, association, ordinal) {
            Ok(object) => receiving.kept_in(object),
            Err(error) => receiving.refused(error.into()),
        }
    }

    /// Reports that the association has ended.
    pub(crate) fn end(&mut self, ending: Ending, cause: Option<&str>) {
        let reports = &self.intake.reports;
        reports.metrics.ended(match ending {
            Ending::Released => Outcome::Released,
            Ending::Aborted => Outcome::Aborted,
        });
        for study in mem::take(&mut self.transfers).close() {
            let end = Some(AssociationEnd { ending, cause });
            audit::instances_transferred(&reports.auditor, &self.identity, &study, end);
        }
    }

    /// Publishes how it ended, if instances came through it.
    pub(crate) async fn close(self, ending: Ending, cause: Option<String>, closed_at: Timestamp) {
        let Self { intake, identity, tally, is_open, .. } = self;
        drop(is_open);
        let Some(event) = tally.close(identity, ending, cause, closed_at) else { return };
        if let Err(error) = intake.publisher.publish(&event).await {
            tracing::warn!(
                %error,
                "the end of this association is not published; the series that it brought will be \
                 complete by quiet period"
            );
        }
    }
}
