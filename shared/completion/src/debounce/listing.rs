//! Listed evidence: peers that name the instances of a series. A name that is not here proves a gap and holds the series
//! back; once all are here, and nothing else is, the series is complete at once.

use super::Debouncer;
use super::rules::Due;
use crate::asking::{MAX_NAMED, later};
use crate::lists::List;
use crate::{Late, OpenSeries, Rules};
use contract::event::{Evidence, EvidenceKind};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

impl Debouncer {
    /// Takes up the lists that were kept.
    pub fn restore_lists(&mut self, lists: impl IntoIterator<Item = List>) {
        self.lists.restore(lists);
        self.reschedule_all();
    }

    /// A peer has listed instances. That opens no series.
    pub fn listed(&mut self, list: List) {
        let concerned: Vec<_> = list.here.keys().chain(&list.about).cloned().collect();
        let open = &self.open;
        if list.holds() {
            let complete = concerned.iter().filter(|series| !open.contains_key(*series));
            let late = complete.filter_map(|series| {
                Some(Late { series: series.clone(), named: list.named(series)? })
            });
            self.late.extend(late);
        }
        self.lists.add(list, |series| open.contains_key(series));
        for series in concerned {
            self.reschedule(&series);
        }
    }

    /// A new instance is here. Lists that miss it may be met by it.
    pub(super) fn found(&mut self, instance: &str, series: &SeriesInstanceUid) {
        let open = &self.open;
        let concerned = self.lists.found(instance, series, |series| open.contains_key(series));
        for series in concerned {
            self.reschedule(&series);
        }
    }

    /// When a series is due by lists that name just what is here.
    pub(super) fn listed_due(&self, series: &SeriesInstanceUid, open: &OpenSeries) -> Option<Due> {
        // A larger number proves a gap, also in a list.
        if open.more_at_source().is_some() {
            return None;
        }
        let lists = self.lists.about(series);
        if lists.iter().any(|list| list.holds()) {
            return None;
        }
        let is_whole =
            |list: &&&List| !list.discontinued && list.here.get(series) == Some(&open.counted);
        let due = lists
            .iter()
            .filter(is_whole)
            .map(|list| Due { at: list.at.max(open.last_activity), reason: list.kind.rule() });
        let is_believed =
            |due: &Due| open.senders.iter().all(|sender| self.is_believed(sender, due.reason));
        due.filter(is_believed).min()
    }

    /// Until when a series is held for instances that lists name and that are not here.
    pub(super) fn held_until(
        &self,
        series: &SeriesInstanceUid,
        open: &OpenSeries,
        rules: &Rules,
    ) -> Option<Timestamp> {
        let lists = self.lists.about(series).into_iter().filter(|list| list.holds());
        let latest = lists.map(|list| list.at).max()?;
        Some(later(latest.max(open.last_activity), rules.abort_grace))
    }

    /// What lists say of a series that is complete: how many instances they name, and which are not here.
    pub(super) fn short_of(&self, series: &SeriesInstanceUid) -> (Option<u64>, Vec<String>) {
        let lists = self.lists.about(series).into_iter().filter(|list| list.holds());
        let (mut named, mut missing) = (None, Vec::new());
        for list in lists {
            named = named.max(list.named(series));
            missing.extend(list.missing.iter().take(MAX_NAMED).cloned());
        }
        (named, missing)
    }

    /// All that is known of a series, the strongest first.
    pub(super) fn evidence(&self, series: &SeriesInstanceUid, open: &OpenSeries) -> Vec<Evidence> {
        let mut known: Vec<_> =
            self.lists.about(series).iter().map(|list| list.evidence(series)).collect();
        if let Some(expected) = open.expected {
            known.push(Evidence {
                calling_ae_title: Some(open.sender.clone()),
                instances_count: Some(expected),
                ..Evidence::of(EvidenceKind::Expected)
            });
        }
        if let Some(count) = open.asking.as_ref().and_then(|asking| asking.count) {
            known.push(Evidence {
                calling_ae_title: Some(open.sender.clone()),
                instances_count: Some(count),
                ..Evidence::of(EvidenceKind::Counted)
            });
        }
        if self.is_released(open) {
            known.push(Evidence::of(EvidenceKind::Released));
        }
        known
    }
}
