//! Lists of instances by peers that know them: exact evidence, which may hold a series back and may hasten it. A list may
//! come before, between and after the instances, so it is kept apart from the open series, until it is met.

use crate::clock::Step;
use contract::event::{Evidence, ListKind};
use contract::uid::SeriesInstanceUid;
use jiff::fmt::serde::timestamp::nanosecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Lists that are kept, and what they name together of what is not here: beyond it the oldest list is forgotten.
const MAX_LISTS: usize = 1000;
const MAX_MISSING: usize = 100_000;

/// How long a list that is not met is kept.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// A list of instances, as far as it is not met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct List {
    /// By which service it came.
    pub kind: ListKind,
    /// Which one it is among those of its peer.
    #[serde(rename = "ListUID")]
    pub list_uid: String,
    /// AE title of the peer.
    pub peer: String,
    /// Whether the procedure step was discontinued: nothing is decided by its list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discontinued: bool,
    /// When the broker stored it.
    #[serde(rename = "AtNanoseconds", with = "nanosecond::required")]
    pub at: Timestamp,
    /// The one series that it is about; a commitment is about whatever its instances are in.
    #[serde(rename = "SeriesInstanceUID", default)]
    pub about: Option<SeriesInstanceUid>,
    /// How many of its instances are here, of each series.
    pub here: BTreeMap<SeriesInstanceUid, u64>,
    /// Those that are not.
    pub missing: BTreeSet<String>,
}

impl List {
    /// By what it is known: its peer may repeat it.
    #[must_use]
    pub fn key(&self) -> String {
        let about = self.about.as_ref().map_or("", SeriesInstanceUid::as_str);
        format!("{}/{}/{}/{about}", self.kind.as_str(), self.peer, self.list_uid)
    }

    /// Whether it says anything of a series.
    #[must_use]
    pub fn is_about(&self, series: &SeriesInstanceUid) -> bool {
        self.about.as_ref() == Some(series) || self.here.contains_key(series)
    }

    /// How many instances it names of a series, if it is known which those are.
    #[must_use]
    pub fn named(&self, series: &SeriesInstanceUid) -> Option<u64> {
        let here = self.here.get(series).copied().unwrap_or_default();
        let others = self.here.len() > usize::from(self.here.contains_key(series));
        // What a commitment misses may be of any of its series.
        (self.missing.is_empty() || !others).then(|| here + self.missing.len() as u64)
    }

    /// Whether it holds a series back: instances that it names are not here.
    pub(crate) fn holds(&self) -> bool {
        !self.discontinued && !self.missing.is_empty()
    }

    /// What it says of a series.
    pub(crate) fn evidence(&self, series: &SeriesInstanceUid) -> Evidence {
        Evidence {
            calling_ae_title: Some(self.peer.clone()),
            list_uid: Some(self.list_uid.clone()),
            instances_count: self.named(series),
            missing_count: self.missing.len() as u64,
            discontinued: self.discontinued,
            ..Evidence::of(self.kind.into())
        }
    }
}

/// The lists that are not met, found by series and by instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists {
    lists: BTreeMap<String, List>,
    by_series: HashMap<SeriesInstanceUid, BTreeSet<String>>,
    by_missing: HashMap<String, BTreeSet<String>>,
    /// Those that have changed or gone since the changes were last taken.
    changed: BTreeSet<String>,
}

impl Lists {
    /// Takes up what was kept.
    pub(crate) fn restore(&mut self, lists: impl IntoIterator<Item = List>) {
        lists.into_iter().for_each(|list| self.put(list));
    }

    fn put(&mut self, list: List) {
        let key = list.key();
        for series in list.here.keys().chain(&list.about) {
            self.by_series.entry(series.clone()).or_default().insert(key.clone());
        }
        for instance in &list.missing {
            self.by_missing.entry(instance.clone()).or_default().insert(key.clone());
        }
        self.lists.insert(key, list);
    }

    fn take(&mut self, key: &str) -> Option<List> {
        let list = self.lists.remove(key)?;
        for series in list.here.keys().chain(&list.about) {
            drop_from(&mut self.by_series, series, key);
        }
        for instance in &list.missing {
            drop_from(&mut self.by_missing, instance, key);
        }
        self.changed.insert(key.to_owned());
        Some(list)
    }

    /// Changes a list, and forgets it where nothing more can come of it: all that it names is here, and of no series that
    /// is open.
    fn change(
        &mut self,
        key: &str,
        is_open: impl Fn(&SeriesInstanceUid) -> bool,
        change: impl FnOnce(&mut List),
    ) {
        let Some(mut list) = self.take(key) else { return };
        change(&mut list);
        if list.missing.is_empty() {
            list.here.retain(|series, _| is_open(series));
        }
        if !list.missing.is_empty() || !list.here.is_empty() {
            self.put(list);
        }
    }

    /// A list has come. The same again is no news.
    pub(crate) fn add(&mut self, list: List, is_open: impl Fn(&SeriesInstanceUid) -> bool) {
        let (key, at) = (list.key(), list.at);
        if self.lists.contains_key(&key) {
            return;
        }
        self.put(list);
        self.change(&key, is_open, |_| {});
        self.changed.insert(key);
        let old = |list: &List| at.duration_since(list.at) > LIFETIME;
        let old = self.lists.iter().filter(|(_, list)| old(list));
        for key in old.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.take(&key);
        }
        while self.lists.len() > MAX_LISTS || self.by_missing.len() > MAX_MISSING {
            let oldest = self.lists.iter().min_by_key(|(_, list)| list.at);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { break };
            self.take(&key);
        }
    }

    /// An instance is here now that was not; gives the other series that this concerns.
    pub(crate) fn found(
        &mut self,
        instance: &str,
        series: &SeriesInstanceUid,
        is_open: impl Fn(&SeriesInstanceUid) -> bool,
    ) -> BTreeSet<SeriesInstanceUid> {
        let keys = self.by_missing.get(instance).cloned().unwrap_or_default();
        let mut concerned = BTreeSet::new();
        for key in keys {
            if let Some(list) = self.lists.get(&key) {
                concerned.extend(list.here.keys().chain(&list.about).cloned());
            }
            self.change(&key, &is_open, |list| {
                list.missing.remove(instance);
                *list.here.entry(series.clone()).or_default() += 1;
            });
        }
        concerned
    }

    /// A series is complete: a list that is met has done its work for it, so that what comes later is no longer hastened
    /// by it. One that is not met stays, for the instances that it names.
    pub(crate) fn completed(&mut self, series: &SeriesInstanceUid) {
        for key in self.by_series.get(series).cloned().unwrap_or_default() {
            let is_met = self.lists.get(&key).is_some_and(|list| list.missing.is_empty());
            if is_met {
                self.change(
                    &key,
                    |_| true,
                    |list| {
                        list.here.remove(series);
                    },
                );
            }
        }
    }

    /// Instances of a series went elsewhere, or all of it: what lists say of it can't be followed.
    pub(crate) fn forget(&mut self, series: &SeriesInstanceUid) {
        for key in self.by_series.get(series).cloned().unwrap_or_default() {
            self.take(&key);
        }
    }

    /// The lists about a series, the strongest kind first.
    pub(crate) fn about(&self, series: &SeriesInstanceUid) -> Vec<&List> {
        let Some(keys) = self.by_series.get(series) else { return Vec::new() };
        let mut lists: Vec<_> = keys.iter().filter_map(|key| self.lists.get(key)).collect();
        lists.sort_by_key(|list| list.kind);
        lists
    }

    /// Those that have changed since this was last asked; `None` of one that is gone.
    pub(crate) fn take_changed(&mut self) -> Vec<(String, Option<List>)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        changed.map(|key| (key.clone(), self.lists.get(&key).cloned())).collect()
    }

    /// The broker's clock was set.
    pub(crate) fn step(&mut self, step: &Step) {
        for (key, list) in &mut self.lists {
            list.at = step.moved(list.at);
            self.changed.insert(key.clone());
        }
    }
}

fn drop_from<K: std::hash::Hash + Eq + Clone>(
    index: &mut HashMap<K, BTreeSet<String>>,
    of: &K,
    key: &str,
) {
    if let Some(keys) = index.get_mut(of) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(of);
        }
    }
}
