//! Instances as they come out of the stream: a batch of events becomes rows in one transaction.

use super::upserts::{UPSERT_INSTANCES, UPSERT_PATIENTS, UPSERT_SERIES, UPSERT_STUDIES};
use super::{BEGIN_WRITE, Catalog, CatalogError, nanoseconds, timestamp};
use crate::event::InstanceStored;
use crate::uid::SeriesInstanceUid;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use std::collections::{HashMap, HashSet};

/// How far the INSTANCES stream is in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bookmark {
    /// When the stream was made: names it.
    pub stream_created: Timestamp,
    /// Sequence of the last event in the catalogue; 0 before the first.
    pub last_sequence: u64,
}

/// One stored instance as it was read from the stream.
#[derive(Debug)]
pub struct Received {
    /// Its sequence in INSTANCES.
    pub sequence: u64,
    /// When the broker stored it.
    pub at: Timestamp,
    /// The event.
    pub event: InstanceStored,
}

/// What is committed in one transaction.
#[derive(Debug)]
pub struct Batch {
    /// Stored instances in the order of the stream.
    pub instances: Vec<Received>,
    /// Where the stream has been read to, dead letters included.
    pub bookmark: Bookmark,
}

/// What an event is to the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Effect {
    /// A new instance.
    Added,
    /// The same again: nothing changes.
    Resent,
    /// The same instance with other attributes.
    Corrected,
    /// It was in this other series until now.
    MovedFrom(SeriesInstanceUid),
}

/// What the catalogue knows of an instance that an event names.
#[derive(Debug, Clone)]
struct Known {
    series: SeriesInstanceUid,
    digest: String,
}

impl Catalog {
    /// How far the stream has been read, if it ever was.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn bookmark(&self) -> Result<Option<Bookmark>, CatalogError> {
        let row: Option<(i64, i64)> =
            sqlx::query_as("select stream_created, last_sequence from bookmark")
                .fetch_optional(&self.pool)
                .await?;
        row.map(|(created, last)| {
            let stream_created = timestamp(created)?;
            Ok(Bookmark { stream_created, last_sequence: last.unsigned_abs() })
        })
        .transpose()
    }

    /// Commits a batch and its bookmark, or nothing of it.
    ///
    /// Gives the activity that the batch was for series that are open now, in the order of the
    /// stream: resends are activity of an open series, and reopen none.
    ///
    /// # Errors
    /// When the catalogue can't be written; the batch is then as if it had not been read.
    pub async fn record(
        &self,
        batch: &Batch,
    ) -> Result<Vec<(SeriesInstanceUid, Timestamp)>, CatalogError> {
        let mut transaction = self.pool.begin_with(BEGIN_WRITE).await?;
        let effects = effects(&mut transaction, &batch.instances).await?;
        write_rows(&mut transaction, &batch.instances, &effects).await?;
        let activity = touch_series(&mut transaction, &batch.instances, &effects).await?;
        sqlx::query(
            "insert into bookmark (id, stream_created, last_sequence) values (1, ?, ?)
             on conflict (id) do update
             set stream_created = excluded.stream_created, last_sequence = excluded.last_sequence",
        )
        .bind(nanoseconds(batch.bookmark.stream_created))
        .bind(batch.bookmark.last_sequence as i64)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(activity)
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
    let mut known = HashMap::new();
    for (sop_instance_uid, series, digest) in rows {
        let series = SeriesInstanceUid::parse(&series)
            .map_err(|error| CatalogError::Unreadable(format!("series {series:?} {error}")))?;
        known.insert(sop_instance_uid, Known { series, digest });
    }

    let mut effect = |instance: &Received| {
        let event = &instance.event;
        let now = Known { series: event.series_instance_uid.clone(), digest: event.digest.clone() };
        let before = known.insert(event.sop_instance_uid.to_string(), now.clone());
        match before {
            None => Effect::Added,
            Some(before) if before.series != now.series => Effect::MovedFrom(before.series),
            Some(before) if before.digest != now.digest => Effect::Corrected,
            Some(_) => Effect::Resent,
        }
    };
    Ok(instances.iter().map(&mut effect).collect())
}

/// Writes what changes, from the events as JSON: one statement a table, however many rows.
async fn write_rows(
    connection: &mut SqliteConnection,
    instances: &[Received],
    effects: &[Effect],
) -> Result<(), CatalogError> {
    let changing: Vec<Row> = instances
        .iter()
        .zip(effects)
        .filter(|(_, effect)| **effect != Effect::Resent)
        .map(|(instance, _)| Row::new(instance))
        .collect();
    if changing.is_empty() {
        return Ok(());
    }
    let latest_of_series = json(&latest_of_series(&changing));
    for statement in [UPSERT_PATIENTS, UPSERT_STUDIES, UPSERT_SERIES] {
        sqlx::query(statement).bind(&latest_of_series).execute(&mut *connection).await?;
    }
    sqlx::query(UPSERT_INSTANCES).bind(json(&changing)).execute(&mut *connection).await?;
    Ok(())
}

/// One event as the statements below read it.
#[derive(serde::Serialize)]
struct Row<'a> {
    sequence: u64,
    at: i64,
    received: i64,
    event: &'a InstanceStored,
}

impl<'a> Row<'a> {
    fn new(instance: &'a Received) -> Self {
        Self {
            sequence: instance.sequence,
            at: nanoseconds(instance.at),
            received: nanoseconds(instance.event.received_at),
            event: &instance.event,
        }
    }

    /// What instances of one series have to agree on.
    fn identity(&self) -> (&str, &str) {
        let study = self.event.study_instance_uid.as_ref().map_or("", |uid| uid.as_str());
        (study, self.event.text("PatientID"))
    }
}

/// The rows that matter to patients, studies and series: a series' attributes come from its latest
/// instance, and an earlier one counts only where it disagrees with the one that follows.
fn latest_of_series<'a, 'b>(rows: &'b [Row<'a>]) -> Vec<&'b Row<'a>> {
    let mut next: HashMap<&SeriesInstanceUid, (&str, &str)> = HashMap::new();
    let mut kept: Vec<&Row> = rows
        .iter()
        .rev()
        .filter(|row| {
            next.insert(&row.event.series_instance_uid, row.identity()) != Some(row.identity())
        })
        .collect();
    kept.reverse();
    kept
}

/// Tells the series of the batch that something happened to them, and says which are open.
async fn touch_series(
    connection: &mut SqliteConnection,
    instances: &[Received],
    effects: &[Effect],
) -> Result<Vec<(SeriesInstanceUid, Timestamp)>, CatalogError> {
    let mut activity: HashMap<&SeriesInstanceUid, Timestamp> = HashMap::new();
    // A series that lost an instance to another one has a new count to announce.
    let mut bereft: HashSet<&SeriesInstanceUid> = HashSet::new();
    for (instance, effect) in instances.iter().zip(effects) {
        activity.insert(&instance.event.series_instance_uid, instance.at);
        if let Effect::MovedFrom(series) = effect {
            activity.insert(series, instance.at);
            bereft.insert(series);
        }
    }
    let touched: Vec<_> =
        activity.iter().map(|(series, at)| (series.as_str(), nanoseconds(*at))).collect();
    let bereft: Vec<&str> = bereft.into_iter().map(SeriesInstanceUid::as_str).collect();
    sqlx::query(
        "update series set state = 'receiving'
         where series_instance_uid in (select value from json_each(?))",
    )
    .bind(json(&bereft))
    .execute(&mut *connection)
    .await?;
    let open: Vec<(String,)> = sqlx::query_as(
        "update series set last_activity_at = touched.value ->> 1
         from json_each(?) as touched
         where series_instance_uid = touched.value ->> 0 and state = 'receiving'
         returning series_instance_uid",
    )
    .bind(json(&touched))
    .fetch_all(connection)
    .await?;

    let open: HashSet<String> = open.into_iter().map(|(series,)| series).collect();
    let mut activity: Vec<_> = activity
        .into_iter()
        .filter(|(series, _)| open.contains(series.as_str()))
        .map(|(series, at)| (series.clone(), at))
        .collect();
    activity.sort_by_key(|(_, at)| *at);
    Ok(activity)
}

/// JSON for a statement's parameter.
fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    // Strings, numbers and JSON that was parsed before: there is nothing in them that can fail.
    serde_json::to_string(value).unwrap_or_default()
}
