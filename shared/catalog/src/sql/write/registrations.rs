//! Series that did not come by DICOM: somebody vouches for them by `POST /store`.

use super::completions::announce;
use super::database::dialect::Connection;
use super::database::patients;
use super::deletions::last_revision;
use crate::batch::Registration;
use crate::completed_series::Changes;
use crate::encoding::{count, nanoseconds, timestamp};
use crate::error::CatalogError;
use contract::event::{Reason, SeriesCompleted, Source};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

/// Writes down the series that somebody vouches for, each with its announcement; those that are known
/// in any state stay as they are. Gives what will be announced.
pub(crate) async fn register(
    connection: &mut Connection,
    registrations: &[Registration],
) -> Result<Vec<SeriesCompleted>, CatalogError> {
    let mut events = Vec::new();
    for registration in registrations {
        let series = &registration.event.series_instance_uid;
        if is_known(connection, series).await? {
            continue;
        }
        let at = after_all(connection, registration.at).await?;
        insert(connection, registration, at).await?;
        let added = registration.event.instances_count.into();
        events.push(announce(connection, series, Changes { added, ..Changes::default() }).await?);
    }
    Ok(events)
}

async fn is_known(
    connection: &mut Connection,
    series: &SeriesInstanceUid,
) -> Result<bool, CatalogError> {
    let query = "select exists (select 1 from series where series_instance_uid = $1)";
    Ok(sqlx::query_scalar(query).bind(series.as_str()).fetch_one(connection).await?)
}

/// This time, or the next one after every completion, if that is later: whoever asks for what came after
/// the last that it has seen is not to miss one.
async fn after_all(connection: &mut Connection, at: Timestamp) -> Result<Timestamp, CatalogError> {
    // Two questions, for an index each.
    let query = concat!(
        "select ",
        greatest!(
            "coalesce((select max(completed_at) from series where revision > 0), $1)",
            "coalesce((select max(first_completed_at) from series where revision > 0), $1)"
        )
    );
    let latest: i64 = sqlx::query_scalar(query).bind(i64::MIN).fetch_one(connection).await?;
    timestamp(nanoseconds(at).max(latest.saturating_add(1)))
}

async fn insert(
    connection: &mut Connection,
    registration: &Registration,
    at: Timestamp,
) -> Result<(), CatalogError> {
    let Registration { sequence, event, .. } = registration;
    let patient = patients::named(connection, &event.patient_id, &event.patient_name).await?;
    sqlx::query(
        "insert into studies (study_instance_uid, patient) values ($1, $2) on conflict do nothing",
    )
    .bind(event.study_instance_uid.as_str())
    .bind(patient)
    .execute(&mut *connection)
    .await?;
    sqlx::query(concat!(
        "insert into series
            (series_instance_uid, study_instance_uid, patient, source, state, revision, reason,
             instances_count, claimed_count, first_completed_at, completed_at, completed_sequence)
         values ($1, $2, $3, $4, 'complete', 1 + ",
        last_revision!("$1"),
        ", $5, $6, $6, $7, $7, $8)"
    ))
    .bind(event.series_instance_uid.as_str())
    .bind(event.study_instance_uid.as_str())
    .bind(patient)
    .bind(Source::Api.as_str())
    .bind(Reason::Stored.as_str())
    .bind(i64::from(event.instances_count))
    .bind(nanoseconds(at))
    .bind(count(*sequence))
    .execute(connection)
    .await?;
    Ok(())
}
