//! Instances as they come out of the stream: a batch of events becomes rows in one transaction.

use crate::batch::{Batch, Bookmark, Committed, Received, Recorded};
use crate::encoding::{json, nanoseconds, optional_timestamp, series_uid, word};
use crate::error::CatalogError;
use crate::sqlite::CatalogWriter;
use crate::sqlite::bookmark;
use crate::sqlite::identities;
use crate::sqlite::identities::{OfSeries, Said};
use crate::sqlite::write::deletions;
use crate::sqlite::write::fingerprints::Fingerprints;
use crate::sqlite::write::instance_rows;
use crate::sqlite::write::losses;
use crate::sqlite::write::open_series as open;
use crate::sqlite::write::registrations;
use crate::sqlite::write::senders;
use crate::sqlite::write::upserts::{TOUCH_SERIES, UPSERT_PATIENTS, UPSERT_SERIES, UPSERT_STUDIES};
use completion::{Completed, Consequences, Effect, Known};
use contract::event::InstanceStored;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use std::collections::{HashMap, HashSet};

impl CatalogWriter {
    /// How far the stream has been read, if it ever was.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn bookmark(&self) -> Result<Option<Bookmark>, CatalogError> {
        bookmark::read(&self.pool).await
    }

    /// Commits a batch, its bookmark and what `conclude` makes of it, or nothing at all. Gives what
    /// will be announced.
    ///
    /// # Errors
    /// When the catalogue can't be written; the batch is then as if it had not been read.
    pub async fn record(
        &self,
        batch: &Batch,
        conclude: impl FnOnce(&Recorded) -> Consequences,
    ) -> Result<Committed, CatalogError> {
        let mut transaction = self.begin_write().await?;
        let effects = effects(&mut transaction, &batch.instances).await?;
        let found = find(&mut transaction, &batch.instances, &effects).await?;
        write_rows(&mut transaction, &batch.instances, &effects, &found).await?;
        let completed = found.completed;
        let counts = counts(&mut transaction, &batch.counted, &effects).await?;
        let contradicted = losses::contradicted(&mut transaction, &batch.accounts).await?;
        let consequences = conclude(&Recorded { effects, completed, counts, contradicted });
        open::keep(&mut transaction, &consequences.open).await?;
        senders::see(&mut transaction, &batch.instances).await?;
        senders::learn(&mut transaction, &consequences.lessons).await?;
        sqlx::query(
            "insert into bookmark
                (id, stream_created, last_sequence, last_at, last_message_id, latest_at)
             values (1, ?, ?, ?, ?, ?)
             on conflict (id) do update
             set stream_created = excluded.stream_created, last_sequence = excluded.last_sequence,
                 last_at = excluded.last_at, last_message_id = excluded.last_message_id,
                 latest_at = excluded.latest_at",
        )
        .bind(nanoseconds(batch.bookmark.stream_created))
        .bind(batch.bookmark.last_sequence as i64)
        .bind(batch.bookmark.event.as_ref().map(|event| nanoseconds(event.at)))
        .bind(batch.bookmark.event.as_ref().map(|event| &event.message_id))
        .bind(batch.bookmark.latest.map(nanoseconds))
        .execute(&mut *transaction)
        .await?;
        let deleted = deletions::delete(&mut transaction, &consequences.deletions).await?;
        let registered = registrations::register(&mut transaction, &batch.registrations).await?;
        transaction.commit().await?;
        self.write_back.committed(batch.instances.len());
        Ok(Committed { deleted, registered })
    }
}

/// What each event is to the catalogue, one after the other.
async fn effects(
    connection: &mut SqliteConnection,
    instances: &[Received],
) -> Result<Vec<Effect>, CatalogError> {
    let uids: Vec<&str> = instances.iter().map(|i| i.event.sop_instance_uid.as_str()).collect();
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "select sop_instance_uid, series_instance_uid, digest from instances
         where sop_instance_uid in (select value from json_each(?))",
    )
    .bind(json(&uids))
    .fetch_all(connection)
    .await?;
    let mut known: HashMap<&str, (&str, &str)> = HashMap::with_capacity(instances.len());
    for (sop_instance_uid, series, digest) in &rows {
        known.insert(sop_instance_uid, (series, digest));
    }
    let owned = |(series, digest): (&str, &str)| {
        Ok::<_, CatalogError>(Known { series: series_uid(series)?, digest: digest.to_owned() })
    };
    let mut effects = Vec::with_capacity(instances.len());
    for Received { event, .. } in instances {
        let sop_instance_uid = event.sop_instance_uid.as_str();
        let now = (event.series_instance_uid.as_str(), event.digest.as_str());
        let effect = match known.get(sop_instance_uid) {
            // As nearly all are.
            None => Effect::Added,
            Some(before) => Effect::of(Some(owned(*before)?), &owned(now)?),
        };
        // A resend is not written: what follows is compared with the row, whose digest may be of another version.
        if effect != Effect::Resent {
            known.insert(sop_instance_uid, now);
        }
        effects.push(effect);
    }
    Ok(effects)
}

/// Writes what changes: the instances, and where the latest of a series says something new, its series,
/// study and patient.
async fn write_rows(
    connection: &mut SqliteConnection,
    instances: &[Received],
    effects: &[Effect],
    found: &Found,
) -> Result<(), CatalogError> {
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
        return Ok(());
    }
    let latest = latest_of_series(&changing).into_iter().map(|instance| {
        let first = first_received.get(&instance.event.series_instance_uid).copied();
        Row::new(instance, first)
    });
    let (new, same) = by_news(latest.collect(), &found.fingerprints);
    let suspects = suspects(&new, &same, found);
    if !new.is_empty() {
        let new = json(&new);
        for statement in [UPSERT_PATIENTS, &UPSERT_STUDIES, &UPSERT_SERIES] {
            sqlx::query(statement).bind(&new).execute(&mut *connection).await?;
        }
    }
    let disagreeing = identities::disagreeing(connection, &suspects).await?;
    for (series, said) in found.said.iter().filter(|(_, said)| !said.disagrees) {
        if disagreeing.contains(series.as_str()) {
            identities::attribute_earlier(connection, series.as_str(), said).await?;
        }
    }
    if !same.is_empty() {
        let same: Vec<_> = same.iter().map(Row::times).collect();
        sqlx::query(TOUCH_SERIES).bind(json(&same)).execute(&mut *connection).await?;
    }
    // Neighbours in the index are written one after the other, and share most of their texts. What one
    // batch has of the same instance stays in order.
    changing.sort_by(|one, other| one.event.sop_instance_uid.cmp(&other.event.sop_instance_uid));
    instance_rows::upsert(connection, &changing).await?;
    identities::attribute(connection, &changing, &disagreeing).await
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
struct Row<'a> {
    at: i64,
    received: i64,
    /// When the first instance of the series in the batch was received.
    first_received: Option<i64>,
    fingerprints: Fingerprints,
    event: &'a InstanceStored,
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

    fn study(&self) -> &'a str {
        study(self.event)
    }

    fn times(&self) -> (&'a SeriesInstanceUid, i64, Option<i64>, i64) {
        (&self.event.series_instance_uid, self.at, self.first_received, self.received)
    }
}

fn study(event: &InstanceStored) -> &str {
    event.study_instance_uid.as_ref().map_or("", |uid| uid.as_str())
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

/// What is in the catalogue of the series that a batch touches.
struct Found {
    /// The last completion of those that are complete.
    completed: HashMap<SeriesInstanceUid, Completed>,
    /// What was last written of them.
    fingerprints: HashMap<SeriesInstanceUid, Fingerprints>,
    /// Whose they are.
    said: HashMap<SeriesInstanceUid, OfSeries>,
}

#[derive(sqlx::FromRow)]
struct FoundRow {
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

async fn find(
    connection: &mut SqliteConnection,
    instances: &[Received],
    effects: &[Effect],
) -> Result<Found, CatalogError> {
    let of_instances = instances.iter().map(|instance| &instance.event.series_instance_uid);
    let touched: HashSet<&SeriesInstanceUid> = of_instances.chain(losing_series(effects)).collect();
    let rows: Vec<FoundRow> = sqlx::query_as(
        "select series_instance_uid, state = 'complete' as is_complete, reason, last_activity_at,
                calling_ae_title, studies.face as study_face, series.face as series_face,
                series.study_instance_uid as study, series.patient, series.disagrees
         from series join studies on studies.study_instance_uid = series.study_instance_uid
         where series_instance_uid in (select value from json_each(?))",
    )
    .bind(json(&touched))
    .fetch_all(connection)
    .await?;
    let (mut completed, mut fingerprints) = (HashMap::new(), HashMap::with_capacity(rows.len()));
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
    Ok(Found { completed, fingerprints, said })
}

/// The series that lost an instance to another one: each has a new count to announce.
fn losing_series(effects: &[Effect]) -> impl Iterator<Item = &SeriesInstanceUid> {
    effects.iter().filter_map(|effect| match effect {
        Effect::MovedFrom(series) => Some(series),
        _ => None,
    })
}

/// Counts rows: always right, whatever was read twice.
async fn counts(
    connection: &mut SqliteConnection,
    counted: &[SeriesInstanceUid],
    effects: &[Effect],
) -> Result<HashMap<SeriesInstanceUid, u64>, CatalogError> {
    let counted: HashSet<_> = counted.iter().chain(losing_series(effects)).collect();
    if counted.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select value, (select count(*) from instances where series_instance_uid = value)
         from json_each(?)",
    )
    .bind(json(&counted))
    .fetch_all(connection)
    .await?;
    let count = |(series, count): (String, i64)| Ok((series_uid(&series)?, count.unsigned_abs()));
    rows.into_iter().map(count).collect()
}
