//! Statements about many rows at once. PostgreSQL takes them as an array for each column.

use crate::batch::Received;
use crate::encoding::{count, json, nanoseconds};
use crate::error::CatalogError;
use crate::losses::ContradictedRow;
use crate::postgres::values::key;
use completion::OpenSeries;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use sqlx::PgConnection;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

pub(in crate::postgres) use super::upserts::{touch, upsert};

/// Keeps what has changed of the series that are arriving.
pub(in crate::postgres) async fn keep_open_series(
    connection: &mut PgConnection,
    changed: &[(SeriesInstanceUid, OpenSeries)],
) -> Result<(), CatalogError> {
    if changed.is_empty() {
        return Ok(());
    }
    // The last of each: nothing is written twice by one statement.
    let last: HashMap<&str, &OpenSeries> =
        changed.iter().map(|(series, open)| (series.as_str(), open)).collect();
    let series: Vec<&str> = last.keys().copied().collect();
    sqlx::query(
        "insert into open_series (series_instance_uid, state)
         select * from unnest($1::text[], $2::text[])
         on conflict (series_instance_uid) do update set state = excluded.state",
    )
    .bind(&series)
    .bind(last.values().map(json).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "update series set state = 'receiving', last_activity_at = changed.at
         from unnest($1::text[], $2::bigint[]) as changed (series, at)
         where series_instance_uid = changed.series",
    )
    .bind(&series)
    .bind(last.values().map(|open| nanoseconds(open.last_activity)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes note of who sent the instances of a batch.
pub(in crate::postgres) async fn see_senders(
    connection: &mut PgConnection,
    instances: &[Received],
) -> Result<(), CatalogError> {
    if instances.is_empty() {
        return Ok(());
    }
    let seen: HashMap<Cow<'_, str>, i64> = instances
        .iter()
        .map(|instance| (key(&instance.event.calling_ae_title), nanoseconds(instance.at)))
        .collect();
    sqlx::query(
        "insert into sources (calling_ae_title, last_seen_at)
         select * from unnest($1::text[], $2::bigint[])
         on conflict (calling_ae_title) do update set last_seen_at = excluded.last_seen_at",
    )
    .bind(seen.keys().collect::<Vec<_>>())
    .bind(seen.values().copied().collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves when the latest series of studies were complete.
pub(in crate::postgres) async fn move_open_studies(
    connection: &mut PgConnection,
    studies: &[(String, Timestamp)],
) -> Result<(), CatalogError> {
    let (uids, times): (Vec<Cow<'_, str>>, Vec<i64>) =
        studies.iter().map(|(study, at)| (key(study), nanoseconds(*at))).unzip();
    sqlx::query(
        "update open_studies set last_completed_at = moved.at
         from unnest($1::text[], $2::bigint[]) as moved (study, at)
         where study_instance_uid = moved.study",
    )
    .bind(uids)
    .bind(times)
    .execute(connection)
    .await?;
    Ok(())
}

/// The complete series of which an association has acknowledged more instances than the catalogue has and their
/// completion said, where what series have begins at `last_lost` or before.
pub(in crate::postgres) async fn contradicted(
    connection: &mut PgConnection,
    accounts: &[(SeriesInstanceUid, u64)],
    last_lost: i64,
) -> Result<Vec<ContradictedRow>, CatalogError> {
    let rows = sqlx::query_as(
        "select series.series_instance_uid, max(account.acknowledged) - had.instances as missing,
                calling_ae_title
         from unnest($1::text[], $3::bigint[]) as account (series, acknowledged)
         join series on series.series_instance_uid = account.series and state = 'complete'
         join (select series_instance_uid as uid, count(*) as instances, min(added_sequence) as first
               from instances where series_instance_uid = any($1)
               group by series_instance_uid) as had on had.uid = series.series_instance_uid
         where had.first <= $2 and account.acknowledged > greatest(had.instances, coalesce(expected_count, 0))
         group by series.series_instance_uid, had.instances",
    )
    .bind(accounts.iter().map(|(series, _)| series.as_str()).collect::<Vec<_>>())
    .bind(last_lost)
    .bind(accounts.iter().map(|(_, acknowledged)| count(*acknowledged)).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// How many instances each of these series has.
pub(in crate::postgres) async fn count_instances(
    connection: &mut PgConnection,
    series: &HashSet<&SeriesInstanceUid>,
) -> Result<Vec<(String, i64)>, CatalogError> {
    let rows = sqlx::query_as(
        "select uid, (select count(*) from instances where series_instance_uid = uid)
         from unnest($1::text[]) as counted (uid)",
    )
    .bind(series.iter().map(|series| series.as_str()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    Ok(rows)
}
