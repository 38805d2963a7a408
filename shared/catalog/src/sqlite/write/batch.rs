//! Instances as they come out of the stream: a batch of events becomes rows in one transaction.

use crate::batch::{Batch, Committed, Received, Recorded};
use crate::encoding::{json, nanoseconds, series_uid};
use crate::error::CatalogError;
use crate::rows_to_write::{self, Found, FoundRow, Row, RowsToWrite, losing_series, touched};
use crate::sqlite::CatalogWriter;
use crate::sqlite::identities;
use crate::sqlite::sql::deletions;
use crate::sqlite::sql::losses;
use crate::sqlite::sql::registrations;
use crate::sqlite::sql::releases;
use crate::sqlite::sql::senders;
use crate::sqlite::write::instance_rows;
use crate::sqlite::write::many_rows;
use crate::sqlite::write::upserts::{TOUCH_SERIES, UPSERT_PATIENTS, UPSERT_SERIES, UPSERT_STUDIES};
use completion::{Consequences, Effect};
use contract::uid::SeriesInstanceUid;
use sqlx::SqliteConnection;
use std::collections::{HashMap, HashSet};

impl CatalogWriter {
    pub(crate) async fn record(
        &self,
        batch: &Batch,
        conclude: impl FnOnce(&Recorded) -> Consequences,
    ) -> Result<Committed, CatalogError> {
        let mut transaction = self.begin_write().await?;
        let effects = effects(&mut transaction, &batch.instances).await?;
        let found = find(&mut transaction, &batch.instances, &effects).await?;
        if let Some(rows) = RowsToWrite::of(&batch.instances, &effects, &found) {
            write_rows(&mut transaction, &rows, &found).await?;
        }
        let completed = found.completed;
        let counts = counts(&mut transaction, &batch.counted, &effects).await?;
        let contradicted = losses::contradicted(&mut transaction, &batch.accounts).await?;
        let consequences = conclude(&Recorded { effects, completed, counts, contradicted });
        many_rows::keep_open_series(&mut transaction, &consequences.open).await?;
        many_rows::see_senders(&mut transaction, &batch.instances).await?;
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
        releases::release(&mut transaction, &batch.releases).await?;
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
    rows_to_write::effects(&rows, instances)
}

/// Writes what changes: the instances, and where the latest of a series says something new, its series,
/// study and patient.
async fn write_rows(
    connection: &mut SqliteConnection,
    rows: &RowsToWrite<'_>,
    found: &Found,
) -> Result<(), CatalogError> {
    let RowsToWrite { new, same, suspects, instances } = rows;
    if !new.is_empty() {
        let new = json(new);
        for statement in [UPSERT_PATIENTS, &UPSERT_STUDIES, &UPSERT_SERIES] {
            sqlx::query(statement).bind(&new).execute(&mut *connection).await?;
        }
    }
    let disagreeing = identities::disagreeing(connection, suspects).await?;
    for (series, said) in found.newly_disagreeing(&disagreeing) {
        identities::attribute_earlier(connection, series.as_str(), said).await?;
    }
    if !same.is_empty() {
        let same: Vec<_> = same.iter().map(Row::times).collect();
        sqlx::query(TOUCH_SERIES).bind(json(&same)).execute(&mut *connection).await?;
    }
    instance_rows::upsert(connection, instances).await?;
    identities::attribute(connection, instances, &disagreeing).await
}

async fn find(
    connection: &mut SqliteConnection,
    instances: &[Received],
    effects: &[Effect],
) -> Result<Found, CatalogError> {
    let rows: Vec<FoundRow> = sqlx::query_as(
        "select series_instance_uid, state = 'complete' as is_complete, reason, last_activity_at,
                calling_ae_title, studies.face as study_face, series.face as series_face,
                series.study_instance_uid as study, series.patient, series.disagrees
         from series join studies on studies.study_instance_uid = series.study_instance_uid
         where series_instance_uid in (select value from json_each(?))",
    )
    .bind(json(&touched(instances, effects)))
    .fetch_all(connection)
    .await?;
    Found::of(rows)
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
