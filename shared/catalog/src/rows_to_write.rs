//! What of a batch has to be written, by what the catalogue has: worked out here, so that each database only reads and
//! writes rows.

use crate::batch::Received;
use crate::encoding::{count, nanoseconds, optional_timestamp, series_uid, word};
use crate::error::CatalogError;
use crate::fingerprints::Fingerprints;
use crate::identities::{OfSeries, Said, study_of};
use crate::removals::{CORRECTED, RESENT, is_removable};
use completion::{Completed, Effect, Known};
use contract::event::InstanceStored;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};

/// What an event of an instance is compared with: its SOP Instance UID, Series Instance UID and digest, and the key,
/// length and BLAKE3 hash of its object if it is kept.
pub(crate) type KnownRow = (String, String, String, Option<String>, Option<i64>, Option<String>);

/// What of an instance an event is compared with.
#[derive(Debug, Clone, Copy)]
struct Seen<'a> {
    series: &'a str,
    digest: &'a str,
    /// The key, length and hash of its object.
    object: Option<(&'a str, i64, &'a str)>,
}

impl Seen<'_> {
    fn known(self) -> Result<Known, CatalogError> {
        Ok(Known {
            series: series_uid(self.series)?,
            digest: self.digest.to_owned(),
            object: self.object.map(|(_, _, hash)| hash.to_owned()),
        })
    }
}

/// A file that no row names any more once a batch is written: its key, the instance and series that it is of, its
/// length, why, and when the broker stored the event.
pub(crate) type Left<'a> = (&'a str, &'a str, &'a str, i64, &'a str, i64);

/// What each event is to the catalogue, one after the other, and the files that nothing names by it. `rows` has those
/// instances that are there.
pub(crate) fn effects<'a>(
    rows: &'a [KnownRow],
    instances: &'a [Received],
) -> Result<(Vec<Effect>, Vec<Left<'a>>), CatalogError> {
    let mut known: HashMap<&str, Seen<'_>> = HashMap::with_capacity(instances.len());
    for (sop_instance_uid, series, digest, key, bytes, hash) in rows {
        let object = match (key, bytes, hash) {
            (Some(key), Some(bytes), Some(hash)) => Some((key.as_str(), *bytes, hash.as_str())),
            _ => None,
        };
        known.insert(sop_instance_uid, Seen { series, digest, object });
    }
    let mut left = Vec::new();
    let mut effects = Vec::with_capacity(instances.len());
    for Received { event, at, .. } in instances {
        let sop_instance_uid = event.sop_instance_uid.as_str();
        let object = event
            .object
            .as_ref()
            .map(|object| (object.key.as_str(), count(object.bytes), object.blake3.as_str()));
        let series = event.series_instance_uid.as_str();
        let now = Seen { series, digest: event.digest.as_str(), object };
        let effect = match known.get(sop_instance_uid) {
            // As nearly all are.
            None => Effect::Added,
            Some(before) => Effect::of(Some(before.known()?), &now.known()?),
        };
        let before = known.get(sop_instance_uid).copied();
        let not_named = match effect {
            Effect::Added => None,
            Effect::Resent => Some((now, RESENT)),
            Effect::Corrected | Effect::MovedFrom(_) => before.map(|before| (before, CORRECTED)),
        };
        let named = if effect == Effect::Resent { before.and_then(key_of) } else { key_of(now) };
        if let Some((Seen { series, object: Some((key, bytes, _)), .. }, why)) = not_named
            // The same event, delivered again.
            && named != Some(key)
            && is_removable(key)
        {
            left.push((key, sop_instance_uid, series, bytes, why, nanoseconds(*at)));
        }
        // A resend is not written: what follows is compared with the row, whose digest may be of another version.
        if effect != Effect::Resent {
            known.insert(sop_instance_uid, now);
        }
        effects.push(effect);
    }
    Ok((effects, left))
}

fn key_of(seen: Seen<'_>) -> Option<&str> {
    seen.object.map(|(key, _, _)| key)
}

/// The series that lost an instance to another one: each has a new count to announce.
pub(crate) fn losing_series(effects: &[Effect]) -> impl Iterator<Item = &SeriesInstanceUid> {
    effects.iter().filter_map(|effect| match effect {
        Effect::MovedFrom(series) => Some(series),
        _ => None,
    })
}

/// The series whose rows a batch needs.
pub(crate) fn touched<'a>(
    instances: &'a [Received],
    effects: &'a [Effect],
) -> HashSet<&'a SeriesInstanceUid> {
    let of_instances = instances.iter().map(|instance| &instance.event.series_instance_uid);
    of_instances.chain(losing_series(effects)).collect()
}

/// What is in the catalogue of the series that a batch touches.
pub(crate) struct Found {
    /// The last completion of those that are complete.
    pub(crate) completed: HashMap<SeriesInstanceUid, Completed>,
    /// What was last written of them.
    fingerprints: HashMap<SeriesInstanceUid, Fingerprints>,
    /// Whose they are.
    said: HashMap<SeriesInstanceUid, OfSeries>,
}

/// The row of a series that a batch touches.
#[derive(sqlx::FromRow)]
pub(crate) struct FoundRow {
    series_instance_uid: String,
    is_complete: bool,
    reason: Option<String>,
    last_activity_at: Option<i64>,
    calling_ae_title: Option<String>,
    study_face: Option<i64>,
    series_face: Option<i64>,
    study: String,
    patient: i64,
    disagrees: bool,
}

impl Found {
    pub(crate) fn of(rows: Vec<FoundRow>) -> Result<Self, CatalogError> {
        let (mut completed, mut fingerprints) =
            (HashMap::new(), HashMap::with_capacity(rows.len()));
        let mut said = HashMap::with_capacity(rows.len());
        for row in rows {
            let series = series_uid(&row.series_instance_uid)?;
            if let Some(reason) = row.reason.filter(|_| row.is_complete) {
                let last_activity = optional_timestamp(row.last_activity_at)?;
                let is = Completed {
                    reason: word(&reason)?,
                    last_activity: last_activity.unwrap_or(Timestamp::MIN),
                    sender: row.calling_ae_title.unwrap_or_default(),
                };
                completed.insert(series.clone(), is);
            }
            if let (Some(study), Some(of_series)) = (row.study_face, row.series_face) {
                fingerprints.insert(series.clone(), Fingerprints { study, series: of_series });
            }
            let FoundRow { study, patient, disagrees, .. } = row;
            said.insert(series, OfSeries { study, patient, disagrees });
        }
        Ok(Self { completed, fingerprints, said })
    }

    /// Those of the series which disagree that did not before.
    pub(crate) fn newly_disagreeing(
        &self,
        disagreeing: &HashSet<String>,
    ) -> impl Iterator<Item = (&SeriesInstanceUid, &OfSeries)> {
        let is_new = |(series, said): &(&SeriesInstanceUid, &OfSeries)| {
            !said.disagrees && disagreeing.contains(series.as_str())
        };
        self.said.iter().filter(is_new)
    }
}

/// What has to be written of a batch.
pub(crate) struct RowsToWrite<'a> {
    /// The latest instances of series that say something new, of which the series, study and patient are written.
    pub(crate) new: Vec<Row<'a>>,
    /// Those that say what is in the catalogue.
    pub(crate) same: Vec<Row<'a>>,
    /// The series whose instances may disagree once the rows are written.
    pub(crate) suspects: HashSet<&'a SeriesInstanceUid>,
    /// The instances that are not as they were, by SOP Instance UID: neighbours in the index are written one after the
    /// other. What one batch has of the same instance stays in order.
    pub(crate) instances: Vec<&'a Received>,
}

impl<'a> RowsToWrite<'a> {
    /// `None` where nothing changes.
    pub(crate) fn of(instances: &'a [Received], effects: &[Effect], found: &Found) -> Option<Self> {
        let mut first_received = HashMap::new();
        let mut changing: Vec<&Received> = instances
            .iter()
            .zip(effects)
            .filter(|(_, effect)| **effect != Effect::Resent)
            .map(|(instance, _)| {
                let series = &instance.event.series_instance_uid;
                first_received.entry(series).or_insert(nanoseconds(instance.event.received_at));
                instance
            })
            .collect();
        if changing.is_empty() {
            return None;
        }
        let latest = latest_of_series(&changing).into_iter().map(|instance| {
            let first = first_received.get(&instance.event.series_instance_uid).copied();
            Row::new(instance, first)
        });
        let (new, same) = by_news(latest.collect(), &found.fingerprints);
        let suspects = suspects(&new, &same, found);
        changing
            .sort_by(|one, other| one.event.sop_instance_uid.cmp(&other.event.sop_instance_uid));
        Some(Self { new, same, suspects, instances: changing })
    }
}

/// The series whose instances may disagree once the rows are written: those that did, those that say
/// something new, and those of which the batch says several things.
fn suspects<'a>(
    new: &[Row<'a>],
    same: &[Row<'a>],
    found: &Found,
) -> HashSet<&'a SeriesInstanceUid> {
    let mut seen = HashSet::new();
    let of_new = new.iter().map(|row| &row.event.series_instance_uid);
    let of_same = same.iter().map(|row| &row.event.series_instance_uid);
    let suspects = of_new.filter(|series| found.said.contains_key(*series) | !seen.insert(*series));
    let disagreed =
        |series: &&SeriesInstanceUid| found.said.get(*series).is_some_and(|it| it.disagrees);
    suspects.chain(of_same.filter(disagreed)).collect()
}

/// One event as the statements for patients, studies and series read it.
#[derive(serde::Serialize)]
pub(crate) struct Row<'a> {
    pub(crate) at: i64,
    pub(crate) received: i64,
    /// When the first instance of the series in the batch was received.
    pub(crate) first_received: Option<i64>,
    pub(crate) fingerprints: Fingerprints,
    pub(crate) event: &'a InstanceStored,
}

impl<'a> Row<'a> {
    fn new(instance: &'a Received, first_received: Option<i64>) -> Self {
        Self {
            first_received,
            at: nanoseconds(instance.at),
            received: nanoseconds(instance.event.received_at),
            fingerprints: Fingerprints::of(&instance.event),
            event: &instance.event,
        }
    }

    pub(crate) fn study(&self) -> &'a str {
        study_of(self.event)
    }

    pub(crate) fn times(&self) -> (&'a SeriesInstanceUid, i64, Option<i64>, i64) {
        (&self.event.series_instance_uid, self.at, self.first_received, self.received)
    }
}

/// Those that say something that is not in the catalogue, and the others. What is said of a study or a
/// series in a batch is written whole or not at all, so that the latest is what stays.
fn by_news<'a>(
    rows: Vec<Row<'a>>,
    fingerprints: &HashMap<SeriesInstanceUid, Fingerprints>,
) -> (Vec<Row<'a>>, Vec<Row<'a>>) {
    let (mut series, mut studies) = (HashSet::new(), HashSet::new());
    for row in &rows {
        let event = row.event;
        if fingerprints.get(&event.series_instance_uid) != Some(&row.fingerprints) {
            series.insert(&event.series_instance_uid);
            studies.insert(row.study());
        }
    }
    rows.into_iter().partition(|row| {
        series.contains(&row.event.series_instance_uid) || studies.contains(row.study())
    })
}

/// Those of instances, sorted by SOP Instance UID, that are of series which disagree. Of one that comes several times the
/// last is what is there now.
pub(crate) fn latest_of_disagreeing<'a>(
    instances: &'a [&'a Received],
    disagreeing: &HashSet<String>,
) -> impl Iterator<Item = &'a InstanceStored> {
    instances
        .chunk_by(|one, other| one.event.sop_instance_uid == other.event.sop_instance_uid)
        .filter_map(|same| same.last().map(|last| &*last.event))
        .filter(|event| disagreeing.contains(event.series_instance_uid.as_str()))
}

/// The instances that matter to patients, studies and series: a series' attributes come from its
/// latest instance, and an earlier one counts only where it disagrees with the one that follows.
fn latest_of_series<'a>(instances: &[&'a Received]) -> Vec<&'a Received> {
    let mut next: HashMap<&SeriesInstanceUid, Said<'_>> = HashMap::new();
    let mut kept: Vec<&Received> = instances
        .iter()
        .copied()
        .rev()
        .filter(|instance| {
            let said = Said::by(&instance.event);
            next.insert(&instance.event.series_instance_uid, said) != Some(said)
        })
        .collect();
    kept.reverse();
    kept
}
