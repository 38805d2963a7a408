//! Which series have instances that disagree on whose they are.

use super::database::dialect::Connection;
use super::database::values::list;
use crate::error::CatalogError;
use crate::identities::OfSeries;
use contract::uid::SeriesInstanceUid;
use std::collections::HashSet;

/// Those of these series whose instances disagree, whatever they did before.
pub(crate) async fn disagreeing(
    connection: &mut Connection,
    series: &HashSet<&SeriesInstanceUid>,
) -> Result<HashSet<String>, CatalogError> {
    if series.is_empty() {
        return Ok(HashSet::new());
    }
    let series: Vec<&str> = series.iter().map(|series| series.as_str()).collect();
    let found: Vec<String> = sqlx::query_scalar(concat!(
        "select series_instance_uid from series where ",
        disagrees!("series"),
        " and series_instance_uid ",
        one_of!("$1")
    ))
    .bind(list(&series))
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().collect())
}

/// Says of the instances that a series has by now whose they are, since it disagrees from now on.
pub(crate) async fn attribute_earlier(
    connection: &mut Connection,
    series: &str,
    said: &OfSeries,
) -> Result<(), CatalogError> {
    let identity: i64 = sqlx::query_scalar(
        "insert into identities (series_instance_uid, study_instance_uid, patient)
         values ($1, $2, $3) returning id",
    )
    .bind(series)
    .bind(&said.study)
    .bind(said.patient)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query("update instances set identity = $1 where series_instance_uid = $2")
        .bind(identity)
        .bind(series)
        .execute(connection)
        .await?;
    Ok(())
}
