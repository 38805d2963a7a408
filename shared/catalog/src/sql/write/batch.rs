//! Instances as they come out of the stream: a batch of events becomes rows in one transaction.

use super::bookmark;
use super::database::CatalogWriter;
use super::database::dialect::Connection;
use super::database::identities::attribute;
use super::database::values::list;
use super::database::write::{instance_rows, many_rows};
use super::{
    asking, identities, lists, losses, pauses, registrations, releases, removals, senders,
};
use crate::batch::{Batch, Committed, Received, Recorded};
use crate::encoding::series_uid;
use crate::error::CatalogError;
use crate::rows_to_write::{self, Found, FoundRow, KnownRow, RowsToWrite, losing_series, touched};
use completion::{Consequences, Effect};
use contract::uid::SeriesInstanceUid;
use std::collections::{HashMap, HashSet};

impl CatalogWriter {
    pub(crate) async fn record(
        &self,
        batch: &Batch,
        conclude: impl FnOnce(&Recorded) -> Consequences,
    ) -> Result<Committed, CatalogError> {
        let mut transaction = self.begin_write().await?;
        let known = known(&mut transaction, &batch.instances).await?;
        let (effects, left) = rows_to_write::effects(&known, &batch.instances)?;
        if self.lists_to_remove() {
            removals::list(&mut transaction, &left).await?;
        }
        let found = find(&mut transaction, &batch.instances, &effects).await?;
        if let Some(rows) = RowsToWrite::of(&batch.instances, &effects, &found) {
            write_rows(&mut transaction, &rows, &found).await?;
        }
        let completed = found.completed;
        let counts = counts(&mut transaction, &batch.counted, &effects).await?;
        let contradicted = losses::contradicted(&mut transaction, &batch.accounts).await?;
        let absent = asking::all_absent(&mut transaction, &batch.named).await?;
        let listed = lists::all_here(&mut transaction, &batch.listed).await?;
        let recorded = Recorded { effects, completed, counts, absent, listed, contradicted };
        let consequences = conclude(&recorded);
        many_rows::keep_open_series(&mut transaction, &consequences.open).await?;
        many_rows::see_senders(&mut transaction, &batch.instances).await?;
        senders::learn(&mut transaction, &consequences.lessons).await?;
        asking::keep_sources(&mut transaction, &consequences.sources).await?;
        lists::keep(&mut transaction, &consequences.lists).await?;
        pauses::keep(&mut transaction, &consequences.pauses).await?;
        lists::expect_more(&mut transaction, &consequences.late).await?;
        bookmark::keep(&mut transaction, &batch.bookmark).await?;
        let deletions = &consequences.deletions;
        let deleted = self.delete(&mut transaction, deletions).await?;
        let registered = registrations::register(&mut transaction, &batch.registrations).await?;
        releases::release(&mut transaction, &batch.releases).await?;
        transaction.commit().await?;
        self.has_committed(batch.instances.len());
        Ok(Committed { deleted, registered })
    }
}

/// What the catalogue has of the instances of a batch.
async fn known(
    connection: &mut Connection,
    instances: &[Received],
) -> Result<Vec<KnownRow>, CatalogError> {
    if instances.is_empty() {
        return Ok(Vec::new());
    }
    let uids: Vec<&str> = instances.iter().map(|i| i.event.sop_instance_uid.as_str()).collect();
    let rows = sqlx::query_as(concat!(
        "select sop_instance_uid, series_instance_uid, digest, object_key, object_bytes,
                object_blake3
         from instances where sop_instance_uid ",
        one_of!("$1")
    ));
    Ok(rows.bind(list(&uids)).fetch_all(connection).await?)
}

/// Writes what changes: the instances, and where the latest of a series says something new, its series,
/// study and patient.
async fn write_rows(
    connection: &mut Connection,
    rows: &RowsToWrite<'_>,
    found: &Found,
) -> Result<(), CatalogError> {
    let RowsToWrite { new, same, suspects, instances } = rows;
    if !new.is_empty() {
        many_rows::upsert(connection, new).await?;
    }
    let disagreeing = identities::disagreeing(connection, suspects).await?;
    for (series, said) in found.newly_disagreeing(&disagreeing) {
        identities::attribute_earlier(connection, series.as_str(), said).await?;
    }
    if !same.is_empty() {
        many_rows::touch(connection, same).await?;
    }
    instance_rows::upsert(connection, instances).await?;
    attribute(connection, instances, &disagreeing).await
}

async fn find(
    connection: &mut Connection,
    instances: &[Received],
    effects: &[Effect],
) -> Result<Found, CatalogError> {
    let touched: Vec<_> = touched(instances, effects).into_iter().map(|uid| uid.as_str()).collect();
    if touched.is_empty() {
        return Found::of(Vec::new());
    }
    let rows: Vec<FoundRow> = sqlx::query_as(concat!(
        "select series_instance_uid, state = 'complete' as is_complete, reason, last_activity_at,
                calling_ae_title, studies.face as study_face, series.face as series_face,
                series.study_instance_uid as study, series.patient, series.disagrees
         from series join studies on studies.study_instance_uid = series.study_instance_uid
         where series_instance_uid ",
        one_of!("$1")
    ))
    .bind(list(&touched))
    .fetch_all(connection)
    .await?;
    Found::of(rows)
}

/// Counts rows: always right, whatever was read twice.
async fn counts(
    connection: &mut Connection,
    counted: &[SeriesInstanceUid],
    effects: &[Effect],
) -> Result<HashMap<SeriesInstanceUid, u64>, CatalogError> {
    let counted: HashSet<_> = counted.iter().chain(losing_series(effects)).collect();
    if counted.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = many_rows::count_instances(connection, &counted).await?;
    let count = |(series, count): (String, i64)| Ok((series_uid(&series)?, count.unsigned_abs()));
    rows.into_iter().map(count).collect()
}
