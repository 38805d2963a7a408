//! Statements about many rows at once. SQLite takes them as one JSON list.

use super::upserts::{TOUCH_SERIES, UPSERT_PATIENTS, UPSERT_SERIES, UPSERT_STUDIES};
use crate::batch::Received;
use crate::encoding::{json, nanoseconds};
use crate::error::CatalogError;
use crate::losses::ContradictedRow;
use crate::rows_to_write::Row;
use completion::OpenSeries;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use std::collections::{HashMap, HashSet};

/// Writes the patients, studies and series of which these instances say something new.
pub(in crate::sqlite) async fn upsert(
    connection: &mut SqliteConnection,
    new: &[Row<'_>],
) -> Result<(), CatalogError> {
    let new = json(new);
    for statement in [UPSERT_PATIENTS, &UPSERT_STUDIES, &UPSERT_SERIES] {
        sqlx::query(statement).bind(&new).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Writes when the series of these instances were last received, of which they say nothing new.
pub(in crate::sqlite) async fn touch(
    connection: &mut SqliteConnection,
    same: &[Row<'_>],
) -> Result<(), CatalogError> {
    let same: Vec<_> = same.iter().map(Row::times).collect();
    sqlx::query(TOUCH_SERIES).bind(json(&same)).execute(connection).await?;
    Ok(())
}

/// Keeps what has changed of the series that are arriving.
pub(in crate::sqlite) async fn keep_open_series(
    connection: &mut SqliteConnection,
    changed: &[(SeriesInstanceUid, OpenSeries)],
) -> Result<(), CatalogError> {
    if changed.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = changed
        .iter()
        .map(|(series, open)| (series.as_str(), nanoseconds(open.last_activity), json(open)))
        .collect();
    let rows = json(&rows);
    sqlx::query(
        "insert into open_series (series_instance_uid, state)
         select value ->> 0, value ->> 2 from json_each(?) where true
         on conflict (series_instance_uid) do update set state = excluded.state",
    )
    .bind(&rows)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "update series set state = 'receiving', last_activity_at = changed.value ->> 1
         from json_each(?) as changed where series_instance_uid = changed.value ->> 0",
    )
    .bind(&rows)
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes note of who sent the instances of a batch.
pub(in crate::sqlite) async fn see_senders(
    connection: &mut SqliteConnection,
    instances: &[Received],
) -> Result<(), CatalogError> {
    if instances.is_empty() {
        return Ok(());
    }
    let seen: HashMap<&str, i64> = instances
        .iter()
        .map(|instance| (instance.event.calling_ae_title.as_str(), nanoseconds(instance.at)))
        .collect();
    sqlx::query(
        "insert into sources (calling_ae_title, last_seen_at)
         select key, value from json_each(?) where true
         on conflict (calling_ae_title) do update set last_seen_at = excluded.last_seen_at",
    )
    .bind(json(&seen))
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves when the latest series of studies were complete.
pub(in crate::sqlite) async fn move_open_studies(
    connection: &mut SqliteConnection,
    studies: &[(String, Timestamp)],
) -> Result<(), CatalogError> {
    let rows: Vec<_> = studies.iter().map(|(study, at)| (study, nanoseconds(*at))).collect();
    sqlx::query(
        "update open_studies set last_completed_at = moved.value ->> 1
         from json_each(?) as moved where study_instance_uid = moved.value ->> 0",
    )
    .bind(json(&rows))
    .execute(connection)
    .await?;
    Ok(())
}

/// The complete series of which an association has acknowledged more instances than the catalogue has and their
/// completion said, where what series have begins at `last_lost` or before.
pub(in crate::sqlite) async fn contradicted(
    connection: &mut SqliteConnection,
    accounts: &[(SeriesInstanceUid, u64)],
    last_lost: i64,
) -> Result<Vec<ContradictedRow>, CatalogError> {
    let rows = sqlx::query_as(
        "select series_instance_uid, max(account.value ->> 1) - had.instances as missing, calling_ae_title
         from json_each(?1) as account
         join series on series_instance_uid = account.value ->> 0 and state = 'complete'
         join (select series_instance_uid as uid, count(*) as instances, min(added_sequence) as first
               from instances where series_instance_uid in (select value ->> 0 from json_each(?1))
               group by series_instance_uid) as had on had.uid = series_instance_uid
         where had.first <= ?2 and account.value ->> 1 > max(had.instances, coalesce(expected_count, 0))
         group by series_instance_uid",
    )
    .bind(json(accounts))
    .bind(last_lost)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// How many instances each of these series has.
pub(in crate::sqlite) async fn count_instances(
    connection: &mut SqliteConnection,
    series: &HashSet<&SeriesInstanceUid>,
) -> Result<Vec<(String, i64)>, CatalogError> {
    let rows = sqlx::query_as(
        "select value, (select count(*) from instances where series_instance_uid = value)
         from json_each(?)",
    )
    .bind(json(series))
    .fetch_all(connection)
    .await?;
    Ok(rows)
}
