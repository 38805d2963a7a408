//! What is done with an instance that was received: it is identified, its bytes are on disk where there is a store, and
//! its event is stored. Only then may its sender be told of Success.

use super::Delivery;
use crate::announced::Announced;
use crate::data_set::header::Header;
use crate::instance::event::Arrival;
use crate::instance::identity::InstanceIdentity;
use crate::instance::receiving::Received;
use crate::instance::refusal::Refusal;
use crate::publish::publisher::NotPublished;
use crate::publish::refused::PublishRefused;
use crate::sink::Object;
use contract::event::InstanceStored;
use contract::uid::{SeriesInstanceUid, StudyInstanceUid};
use dimse::Status;
use jiff::Timestamp;
use store::Spooled;

/// The Failure Reason of an instance of another study than its sender says. PS3.18 table I.2-2 has none for it; this one is
/// among those of data that can't be understood, and what dcm4chee says.
const OTHER_STUDY: u16 = 0xC409;

impl Delivery<'_> {
    /// Has an instance stored that was received to its end. Where it has to be of a certain `study`, it is refused if it is
    /// of another one.
    ///
    /// # Errors
    /// When it is refused: nothing of it is stored that its sender may rely on.
    pub(crate) async fn store(
        &mut self,
        announced: &Announced<'_>,
        study: Option<&StudyInstanceUid>,
        received: Received,
    ) -> Result<InstanceIdentity, Refusal> {
        let Received { header, series, bytes, object } = received;
        let stored = match header {
            Ok(header) => self.publish(announced, study, &header, bytes, object).await,
            Err(refusal) => {
                self.transfers.fail();
                Err(refusal)
            }
        };
        match stored {
            Ok(identity) => {
                self.count(announced, Status::Success, bytes);
                self.tally.acknowledge(&identity.series_instance_uid);
                Ok(identity)
            }
            Err(refusal) => {
                self.refused(announced, &refusal, series.as_ref(), bytes);
                Err(refusal)
            }
        }
    }

    /// Refuses an instance of which no data set came.
    pub(crate) fn refuse(&mut self, announced: &Announced<'_>, refusal: &Refusal) {
        self.transfers.fail();
        self.refused(announced, refusal, None, 0);
    }

    fn refused(
        &mut self,
        announced: &Announced<'_>,
        refusal: &Refusal,
        series: Option<&SeriesInstanceUid>,
        bytes: u64,
    ) {
        self.count(announced, refusal.status, bytes);
        self.tally.fail(refusal, series);
        if let Some(troubles) = self.intake.reports.fault() {
            tracing::warn!(
                ordinal = self.tally.stores(),
                sop_instance = announced.sop_instance_uid,
                status = %refusal.status,
                reason = refusal.comment,
                troubles,
                "instance refused"
            );
        }
    }

    fn count(&mut self, announced: &Announced<'_>, status: Status, bytes: u64) {
        let class = self
            .classes
            .entry(announced.sop_class)
            .or_insert_with(|| self.intake.reports.metrics.of_class(announced.sop_class));
        class.answered(status, bytes);
    }

    /// Has the bytes of an instance on disk, if it is kept, and then its event stored. Returns which it is.
    async fn publish(
        &mut self,
        announced: &Announced<'_>,
        study: Option<&StudyInstanceUid>,
        header: &Header,
        bytes: u64,
        object: Option<Box<Object>>,
    ) -> Result<InstanceIdentity, Refusal> {
        let received_at = Timestamp::now();
        let identity = InstanceIdentity::of(header, announced);
        let identity = identity.and_then(|identity| of_study(identity, study));
        let identity = identity.inspect_err(|_| self.transfers.fail())?;
        let object = match object {
            Some(object) => Some(object.finish().await.inspect_err(|_| self.transfers.fail())?),
            None => None,
        };
        let arrival = Arrival {
            header,
            bytes,
            transfer_syntax_uid: announced.transfer_syntax_uid,
            association: &self.identity,
            ordinal: self.tally.stores(),
            series_ordinal: self.tally.acknowledged_of(&identity.series_instance_uid) + 1,
            pseudonyms: self.intake.pseudonyms.as_ref(),
            received_at,
        };
        let mut event = arrival.event(identity.clone());
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
        Ok(identity)
    }

    async fn publish_event(&mut self, event: &InstanceStored) -> Result<(), PublishRefused> {
        let published = async {
            if !self.opened {
                // It can be published once the start of the receiver is stored, which the instance has to
                // wait for as well.
                let started = self.intake.publisher.start().await;
                started.map_err(|refused| NotPublished { refused, may_be_stored: false })?;
                self.publish_opened().await;
            }
            self.intake.publisher.publish_or_tell(event).await
        };
        let NotPublished { refused, may_be_stored } = match published.await {
            Ok(()) => return Ok(()),
            Err(not_published) => not_published,
        };
        // An event that may be stored names an object, which has to be there.
        if let Some(object) = &event.object
            && !may_be_stored
        {
            self.intake.sink.remove(object);
        }
        Err(refused)
    }
}

/// The same, unless it has to be of another study.
fn of_study(
    identity: InstanceIdentity,
    study: Option<&StudyInstanceUid>,
) -> Result<InstanceIdentity, Refusal> {
    if study.is_some() && study != identity.study_instance_uid.as_ref() {
        let (status, comment) =
            (Status::of(OTHER_STUDY), "it is of another study than the request");
        return Err(Refusal::new(status, "other_study", comment));
    }
    Ok(identity)
}
