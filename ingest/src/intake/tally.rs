//! Tally of the C-STOREs of one association by outcome, in all and by series.

use super::refusal_shares::RefusalShares;
use super::series_shares::SeriesShares;
use crate::instance::refusal::Refusal;
use contract::event::{AssociationClosed, AssociationIdentity, Ending};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

/// The tally of one association.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    stores: u64,
    acknowledged: u64,
    /// Counted rather than what is left of the others: a C-STORE in the middle of which the
    /// association ended got no answer.
    failed: u64,
    refusals: RefusalShares,
    shares: SeriesShares,
}

impl Tally {
    /// A C-STORE has begun.
    pub(crate) fn begin(&mut self) {
        self.stores += 1;
    }

    /// A heartbeat of this series is published.
    pub(crate) fn touch(&mut self, series: &SeriesInstanceUid) {
        self.shares.touch(series);
    }

    /// A C-STORE is answered with Success.
    pub(crate) fn acknowledge(&mut self, series: &SeriesInstanceUid) {
        self.acknowledged += 1;
        self.shares.touch(series).acknowledged += 1;
    }

    /// A C-STORE is answered with a failure; `series` is what it was for, if that could be told.
    pub(crate) fn fail(&mut self, refusal: &Refusal, series: Option<&SeriesInstanceUid>) {
        self.failed += 1;
        self.refusals.count(refusal);
        if let Some(series) = series {
            self.shares.touch(series).failed += 1;
        }
    }

    /// C-STOREs so far: the ordinal of the latest.
    #[must_use]
    pub(crate) fn stores(&self) -> u64 {
        self.stores
    }

    /// Of these, how many were answered with Success.
    #[must_use]
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Of these, how many were answered with a failure.
    #[must_use]
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// How many there were of each, for a log line.
    #[must_use]
    pub(crate) fn summary(&self) -> String {
        let Self { stores, acknowledged, failed, .. } = self;
        format!("{stores} instances, {acknowledged} stored, {failed} refused")
    }

    /// How many instances of a series were answered with Success.
    #[must_use]
    pub(crate) fn acknowledged_of(&self, series: &SeriesInstanceUid) -> u64 {
        self.shares.get(series).map_or(0, |share| share.acknowledged)
    }

    /// The event of the association's end; `None` when there was no C-STORE in it.
    #[must_use]
    pub(crate) fn close(
        self,
        association: AssociationIdentity,
        ending: Ending,
        cause: Option<String>,
        closed_at: Timestamp,
    ) -> Option<AssociationClosed> {
        (self.stores > 0).then(|| AssociationClosed {
            association,
            ending,
            cause,
            stores: self.stores,
            acknowledged: self.acknowledged,
            failed: self.failed,
            refusals: self.refusals.into_vec(),
            series_left_out: self.shares.forgotten(),
            series: self.shares.into_vec(),
            closed_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::series_shares::MAX_SERIES;
    use super::*;
    use dimse::Status;

    fn uid(text: &str) -> SeriesInstanceUid {
        SeriesInstanceUid::parse(text).unwrap()
    }

    fn closed(tally: Tally) -> Option<AssociationClosed> {
        let association = AssociationIdentity {
            association_id: "4f5c1e9c-7f57-4f0e-a44e-2f2b40d5a3ce".into(),
            calling_ae_title: "PACS".into(),
            called_ae_title: "COLLIMATOR".into(),
            peer_address: "192.0.2.7".into(),
            node_name: "ingest-1".into(),
            tls: Some(false),
        };
        tally.close(association, Ending::Released, None, Timestamp::UNIX_EPOCH)
    }

    fn truncated() -> Refusal {
        Refusal::new(Status::CannotUnderstand, "truncated", "it ends in the middle")
    }

    fn shares(event: &AssociationClosed) -> Vec<(&str, u64, u64)> {
        event
            .series
            .iter()
            .map(|share| (share.series_instance_uid.as_str(), share.acknowledged, share.failed))
            .collect()
    }

    #[test]
    fn an_association_without_a_store_is_not_worth_an_event() {
        assert_eq!(closed(Tally::default()), None);
    }

    #[test]
    fn a_store_that_was_never_answered_has_not_failed() {
        let mut tally = Tally::default();
        tally.begin();
        tally.acknowledge(&uid("2.25.1"));
        tally.begin();
        let event = closed(tally).unwrap();
        assert_eq!((event.stores, event.acknowledged, event.failed), (2, 1, 0));
    }

    #[test]
    fn a_failure_of_an_unknown_series_is_in_the_total_alone() {
        let mut tally = Tally::default();
        for series in [None, Some(uid("2.25.1")), None] {
            tally.begin();
            tally.fail(&truncated(), series.as_ref());
        }
        let event = closed(tally).unwrap();
        assert_eq!((event.failed, shares(&event)), (3, vec![("2.25.1", 0, 1)]));
        assert_eq!(event.failed_of_unknown_series(), 2);
        assert_eq!(event.refusals.len(), 1);
        assert_eq!((&*event.refusals[0].status, event.refusals[0].count), ("0xC000", 3));
    }

    #[test]
    fn a_series_of_which_only_a_heartbeat_was_published_is_in_the_record() {
        let mut tally = Tally::default();
        tally.begin();
        tally.touch(&uid("2.25.1"));
        assert_eq!(shares(&closed(tally).unwrap()), [("2.25.1", 0, 0)]);
    }

    #[test]
    fn failures_of_a_series_that_was_forgotten_are_of_an_unknown_one() {
        let mut tally = Tally::default();
        tally.begin();
        tally.fail(&truncated(), Some(&uid("2.25.1")));
        for number in 0..MAX_SERIES {
            tally.begin();
            tally.acknowledge(&uid(&format!("1.{number}")));
        }
        let event = closed(tally).unwrap();
        assert_eq!(event.failed_of_unknown_series(), 1);
        assert_eq!((event.series.len(), event.series_left_out), (MAX_SERIES, 1));
    }

    #[test]
    fn the_longest_record_fits_a_nats_message() {
        let mut tally = Tally::default();
        for number in 0..MAX_SERIES {
            // 64 characters, nearly all of which JSON has to escape.
            tally.touch(&uid(&format!("{}{number:04}", "\"".repeat(60))));
        }
        tally.begin();
        let mut event = closed(tally).unwrap();
        for share in &mut event.series {
            (share.acknowledged, share.failed) = (u64::MAX, u64::MAX);
        }
        // Half of what a server takes unless it is told otherwise (max_payload).
        assert!(serde_json::to_vec(&event).unwrap().len() < 512 * 1024);
    }
}
