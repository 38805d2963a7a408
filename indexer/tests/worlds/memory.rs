//! A catalogue in memory that does what the real one does, some thousand times as fast. `real_catalogue`
//! has the real one, and random worlds show that the two agree.

use super::indexer::{Announced, Store};
use catalog::{Bookmark, Recorded};
use completion::debounce::Debouncer;
use completion::{
    AskedSource, Completed, Completion, Consequences, Effect, Known, Lesson, List, OpenSeries,
    Pauses, Question,
};
use contract::event::Reason;
use contract::uid::SeriesInstanceUid;
use indexer::batch::Batch;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};

#[derive(Debug, Default)]
pub struct Memory {
    bookmark: Option<Bookmark>,
    instances: HashMap<String, Instance>,
    series: HashMap<SeriesInstanceUid, Series>,
    open: BTreeMap<SeriesInstanceUid, OpenSeries>,
    disproved: HashSet<(String, Reason)>,
    sources: BTreeMap<String, AskedSource>,
    lists: BTreeMap<String, List>,
    pauses: BTreeMap<String, Pauses>,
    /// Whether lists are kept for good, which is a mistake.
    keeps_lists: bool,
}

#[derive(Debug)]
struct Instance {
    known: Known,
    added_sequence: u64,
    stream_sequence: u64,
}

#[derive(Debug, Default)]
struct Series {
    instances: HashSet<String>,
    sender: String,
    last_activity: Timestamp,
    revision: u32,
    reason: Option<Reason>,
    completed_sequence: u64,
}

impl Memory {
    /// One that keeps lists for good, if told to: as they came, with what is here.
    pub fn keeping(keeps_lists: bool) -> Self {
        Self { keeps_lists, ..Self::default() }
    }

    fn absent(&self, series: &SeriesInstanceUid, named: &[String]) -> Vec<String> {
        let here = self.series.get(series).map(|it| &it.instances);
        let is_absent = |uid: &&String| here.is_none_or(|here| !here.contains(*uid));
        named.iter().filter(is_absent).take(100).cloned().collect()
    }

    fn completed(&self, series: &SeriesInstanceUid) -> Option<Completed> {
        let known = self.series.get(series).filter(|_| !self.open.contains_key(series))?;
        Some(Completed {
            reason: known.reason?,
            last_activity: known.last_activity,
            sender: known.sender.clone(),
        })
    }

    fn keep_lists(&mut self, changed: &[(String, Option<List>)]) {
        for (key, list) in changed {
            match list {
                Some(list) => drop(self.lists.insert(key.clone(), list.clone())),
                None if self.keeps_lists => {}
                None => drop(self.lists.remove(key)),
            }
        }
    }

    fn write(&mut self, batch: &Batch) -> Vec<Effect> {
        let mut effects = Vec::new();
        for received in &batch.rows.instances {
            let (event, sequence) = (&received.event, received.sequence);
            let sop = event.sop_instance_uid.to_string();
            let now = Known {
                series: event.series_instance_uid.clone(),
                digest: event.digest.clone(),
                object: event.object.as_ref().map(|object| object.blake3.clone()),
            };
            let before = self.instances.get(&sop);
            let added_sequence = before
                .filter(|before| before.known.series == now.series)
                .map_or(sequence, |before| before.added_sequence);
            let effect = Effect::of(before.map(|before| before.known.clone()), &now);
            if let Effect::MovedFrom(left) = &effect {
                self.series.get_mut(left).unwrap().instances.remove(&sop);
            }
            if effect != Effect::Resent {
                let series = self.series.entry(now.series.clone()).or_default();
                series.instances.insert(sop.clone());
                series.sender.clone_from(&event.calling_ae_title);
                let row = Instance { known: now, added_sequence, stream_sequence: sequence };
                self.instances.insert(sop, row);
            }
            effects.push(effect);
        }
        effects
    }
}

impl Store for Memory {
    fn bookmark(&self) -> Option<Bookmark> {
        self.bookmark.clone()
    }

    fn open_series(&self) -> Vec<(SeriesInstanceUid, OpenSeries)> {
        self.open.iter().map(|(series, open)| (series.clone(), open.clone())).collect()
    }

    fn disproved(&self) -> Vec<(String, Reason)> {
        self.disproved.iter().cloned().collect()
    }

    fn record(&mut self, batch: &Batch, debouncer: &mut Debouncer) {
        let touched = batch.rows.instances.iter().flat_map(|received| {
            let left = self.instances.get(received.event.sop_instance_uid.as_str());
            [Some(received.event.series_instance_uid.clone()), left.map(|i| i.known.series.clone())]
        });
        let completed = touched
            .flatten()
            .filter_map(|series| self.completed(&series).map(|completed| (series, completed)))
            .collect();
        let effects = self.write(batch);
        let losing = effects.iter().filter_map(|effect| match effect {
            Effect::MovedFrom(series) => Some(series),
            _ => None,
        });
        let counts = batch
            .rows
            .counted
            .iter()
            .chain(losing)
            .filter_map(|it| Some((it.clone(), self.series.get(it)?.instances.len() as u64)));
        let named = batch.rows.named.iter();
        let absent = named.map(|it| (it.sequence, self.absent(&it.series, &it.instances)));
        let place = |uid: &String| {
            let known = self.instances.get(uid)?.known.series.clone();
            Some((uid.clone(), known))
        };
        let listed = batch.rows.listed.iter().map(|it| {
            (it.sequence, it.instances.iter().filter_map(place).collect::<HashMap<_, _>>())
        });
        let recorded = Recorded {
            listed: listed.collect(),
            counts: counts.collect(),
            absent: absent.collect(),
            effects,
            completed,
            // No world loses events.
            contradicted: HashMap::new(),
        };
        let consequences = batch.conclude(debouncer, &recorded);
        for (series, open) in consequences.open {
            self.series.get_mut(&series).unwrap().last_activity = open.last_activity;
            self.open.insert(series, open);
        }
        self.sources.extend(consequences.sources);
        self.pauses.extend(consequences.pauses);
        self.keep_lists(&consequences.lists);
        for lesson in consequences.lessons {
            match lesson {
                Lesson::Disproved(disproof) => {
                    self.disproved.insert((disproof.sender, disproof.rule));
                }
                Lesson::Trusted { sender } => self.disproved.retain(|(known, _)| *known != sender),
            }
        }
        for deletion in consequences.deletions {
            // Its number stays.
            if let Some(series) = self.series.get_mut(&deletion.series) {
                *series = Series { revision: series.revision, ..Series::default() };
            }
            self.instances.retain(|_, row| row.known.series != deletion.series);
            self.open.remove(&deletion.series);
        }
        self.bookmark = Some(batch.rows.bookmark.clone());
    }

    fn tamper(&mut self, change: &dyn Fn(&mut OpenSeries)) {
        self.open.values_mut().for_each(change);
    }

    fn asked_sources(&self) -> Vec<(String, AskedSource)> {
        self.sources.clone().into_iter().collect()
    }

    fn plant(&mut self, change: &dyn Fn(&mut List) -> bool, opens: bool) {
        self.lists.retain(|_, list| change(list));
        let unmet = self.lists.values().filter(|list| opens && !list.missing.is_empty());
        for series in unmet.flat_map(|list| list.here.keys()) {
            let known = &self.series[series];
            let open = OpenSeries::new(known.last_activity, &known.sender);
            self.open.entry(series.clone()).or_insert(open);
        }
    }

    fn pauses(&self) -> Vec<(String, Pauses)> {
        self.pauses.clone().into_iter().collect()
    }

    fn lists(&self) -> Vec<List> {
        self.lists.values().cloned().collect()
    }

    fn decide(
        &mut self,
        completions: &[Completion],
        _: &[Question],
        kept: &Consequences,
    ) -> Vec<Announced> {
        self.open.extend(kept.open.iter().cloned());
        self.sources.extend(kept.sources.iter().cloned());
        self.pauses.extend(kept.pauses.iter().cloned());
        self.keep_lists(&kept.lists);
        let mut announced = Vec::new();
        let last_sequence = self.bookmark.as_ref().map_or(0, |bookmark| bookmark.last_sequence);
        for completion in completions {
            if self.open.remove(&completion.series).is_none() {
                continue;
            }
            let missing = self.absent(&completion.series, &completion.absent);
            let not_fetched = self.absent(&completion.series, &completion.fetched).len();
            let fetched = (completion.fetched.len() - not_fetched) as u64;
            let series = self.series.get_mut(&completion.series).unwrap();
            let since = series.completed_sequence;
            let rows = || series.instances.iter().map(|sop| &self.instances[sop]);
            let added = rows().filter(|row| row.added_sequence > since).count() as u64;
            let corrected = rows()
                .filter(|row| row.added_sequence <= since && row.stream_sequence > since)
                .count() as u64;
            series.revision += 1;
            series.reason = Some(completion.reason);
            series.completed_sequence = last_sequence;
            announced.push(Announced {
                series: completion.series.clone(),
                revision: series.revision,
                reason: completion.reason,
                count: series.instances.len() as u64,
                added,
                corrected,
                missing,
                fetched,
                expected: match completion.missing {
                    0 => completion.expected.max(completion.at_source).max(completion.listed),
                    missing => {
                        completion.expected.max(Some(series.instances.len() as u64 + missing))
                    }
                },
                decided_at: completion.decided_at,
                sequence: last_sequence,
            });
        }
        announced
    }
}
