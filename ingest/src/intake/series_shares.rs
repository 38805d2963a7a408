//! The share of each series in the tally of one association, for the latest series.

use contract::event::SeriesShare;
use contract::uid::SeriesInstanceUid;
use std::collections::VecDeque;

/// Series that are remembered of one association. Senders that keep one association open for days
/// bring any number, and the record of all must fit one NATS message,
/// whatever their UIDs are: 444 kB at most.
pub(crate) const MAX_SERIES: usize = 2000;

/// The shares of the latest series, the one that was touched last at the end.
#[derive(Debug, Default)]
pub(crate) struct SeriesShares {
    latest: VecDeque<SeriesShare>,
    /// How many were forgotten; one that came back counts for each time.
    forgotten: u64,
}

impl SeriesShares {
    /// The share of `series`, if it is remembered.
    #[must_use]
    pub(crate) fn get(&self, series: &SeriesInstanceUid) -> Option<&SeriesShare> {
        self.latest.iter().rfind(|share| share.series_instance_uid == *series)
    }

    /// The share of `series`, which is the one touched last from now on. Where there is no room for
    /// it, the one that was left alone for longest is forgotten.
    pub(crate) fn touch(&mut self, series: &SeriesInstanceUid) -> &mut SeriesShare {
        // From the end, since senders mostly send one series after the other.
        let known = self.latest.iter().rposition(|share| share.series_instance_uid == *series);
        let share = known.and_then(|at| self.latest.remove(at)).unwrap_or_else(|| SeriesShare {
            series_instance_uid: series.clone(),
            acknowledged: 0,
            failed: 0,
        });
        if self.latest.len() == MAX_SERIES {
            self.latest.pop_front();
            self.forgotten += 1;
        }
        self.latest.push_back(share);
        let last = self.latest.len() - 1;
        &mut self.latest[last]
    }

    /// How many there is no room for.
    #[must_use]
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The shares, the one that was touched last at the end.
    #[must_use]
    pub(crate) fn into_vec(self) -> Vec<SeriesShare> {
        self.latest.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(number: usize) -> SeriesInstanceUid {
        SeriesInstanceUid::parse(&format!("2.25.{number}")).unwrap()
    }

    fn uids(shares: SeriesShares) -> Vec<SeriesInstanceUid> {
        shares.into_vec().into_iter().map(|share| share.series_instance_uid).collect()
    }

    #[test]
    fn a_series_that_is_touched_again_keeps_its_counts_and_becomes_the_last() {
        let mut shares = SeriesShares::default();
        shares.touch(&uid(1)).acknowledged += 1;
        shares.touch(&uid(2)).failed += 1;
        shares.touch(&uid(1)).acknowledged += 1;
        let counts: Vec<_> = shares
            .into_vec()
            .into_iter()
            .map(|share| (share.series_instance_uid, share.acknowledged, share.failed))
            .collect();
        assert_eq!(counts, [(uid(2), 0, 1), (uid(1), 2, 0)]);
    }

    #[test]
    fn a_receiver_that_forgets_keeps_the_series_it_saw_last() {
        let mut shares = SeriesShares::default();
        for number in 0..MAX_SERIES {
            shares.touch(&uid(number));
        }
        // The oldest one comes back, so the next oldest has to go.
        shares.touch(&uid(0));
        shares.touch(&uid(MAX_SERIES));
        let kept = uids(shares);
        assert_eq!(kept.len(), MAX_SERIES);
        assert_eq!(kept[0], uid(2));
        assert_eq!(kept[MAX_SERIES - 2..], [uid(0), uid(MAX_SERIES)]);
    }

    #[test]
    fn nothing_is_forgotten_for_a_series_that_is_there_already() {
        let mut shares = SeriesShares::default();
        for number in (0..MAX_SERIES).chain([7, 0, 7]) {
            shares.touch(&uid(number));
        }
        let kept = uids(shares);
        assert_eq!(kept.len(), MAX_SERIES);
        assert_eq!((&kept[0], &kept[MAX_SERIES - 1]), (&uid(1), &uid(7)));
    }
}
