//! Sources that are asked how many instances they have: the questions, what is known of each source, and what is here
//! of what a source has.

use super::database::CatalogWriter;
use super::database::dialect::{Connection, release};
use super::database::values::{key, list};
use super::outbox;
use crate::batch::Named;
use crate::error::CatalogError;
use completion::{AskedFor, AskedSource, MAX_FETCHED, Question};
use contract::event::{InstancesWanted, SourceAsked};
use contract::uid::SeriesInstanceUid;
use std::collections::{HashMap, HashSet};

/// Instances of a series that are looked for: more than are fetched, so that too many can be told.
const MAX_ABSENT: usize = MAX_FETCHED + 1;

impl CatalogWriter {
    pub(crate) async fn asked_sources(&self) -> Result<Vec<(String, AskedSource)>, CatalogError> {
        let mut connection = self.acquire().await?;
        let rows: Vec<(String, String)> =
            sqlx::query_as("select calling_ae_title, asking from sources where asking is not null")
                .fetch_all(&mut *connection)
                .await?;
        release(connection);
        let read = |(source, known): (String, String)| match serde_json::from_str(&known) {
            Ok(known) => Ok((source, known)),
            Err(error) => Err(CatalogError::Unreadable(format!("source {source:?}: {error}"))),
        };
        rows.into_iter().map(read).collect()
    }
}

/// Keeps what is known of sources. Each has sent an instance, so there is a row of it.
pub(crate) async fn keep_sources(
    connection: &mut Connection,
    sources: &[(String, AskedSource)],
) -> Result<(), CatalogError> {
    for (source, known) in sources {
        let known = serde_json::to_string(known)
            .map_err(|error| CatalogError::Unreadable(format!("source {source:?}: {error}")))?;
        sqlx::query("update sources set asking = $1 where calling_ae_title = $2")
            .bind(known)
            .bind(key(source))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Puts a question into the outbox.
pub(crate) async fn ask(
    connection: &mut Connection,
    question: &Question,
) -> Result<(), CatalogError> {
    let study: Option<String> =
        sqlx::query_scalar("select study_instance_uid from series where series_instance_uid = $1")
            .bind(question.series.as_str())
            .fetch_optional(&mut *connection)
            .await?;
    let Question { series, id, source, asked_at, asked_for } = question.clone();
    let study = study.filter(|study| !study.is_empty());
    if let AskedFor::Instances(instances) = asked_for {
        let event = InstancesWanted {
            series_instance_uid: series,
            study_instance_uid: study,
            calling_ae_title: source,
            question_id: id,
            instances,
            asked_at,
        };
        return outbox::announce(connection, &event).await;
    }
    let event = SourceAsked {
        series_instance_uid: series,
        study_instance_uid: study,
        calling_ae_title: source,
        question_id: id,
        asked_at,
        names: asked_for == AskedFor::Names,
    };
    outbox::announce(connection, &event).await
}

/// Of each series which of the named instances are not here.
pub(crate) async fn all_absent(
    connection: &mut Connection,
    named: &[Named],
) -> Result<HashMap<u64, Vec<String>>, CatalogError> {
    let mut found = HashMap::new();
    for Named { sequence, series, instances } in named {
        found.insert(*sequence, absent(connection, series, instances).await?);
    }
    Ok(found)
}

/// Which of these instances the series does not have: the first [`MAX_ABSENT`] of them.
pub(crate) async fn absent(
    connection: &mut Connection,
    series: &SeriesInstanceUid,
    named: &[String],
) -> Result<Vec<String>, CatalogError> {
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let here: Vec<String> = sqlx::query_scalar(concat!(
        "select sop_instance_uid from instances where series_instance_uid = $1
         and sop_instance_uid ",
        one_of!("$2")
    ))
    .bind(series.as_str())
    .bind(list(named))
    .fetch_all(connection)
    .await?;
    let here: HashSet<_> = here.iter().collect();
    Ok(named.iter().filter(|uid| !here.contains(uid)).take(MAX_ABSENT).cloned().collect())
}
