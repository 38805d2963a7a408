//! How far the catalogue is, what was decided of a series, and what state it is in.

use super::bookmark;
use super::database::CatalogReader;
use crate::batch::{Bookmark, RegistrationOutcome};
use crate::encoding::{count, timestamp};
use crate::error::CatalogError;
use crate::records::RevisionRecord;
use contract::event::Reason;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

impl CatalogReader {
    pub(crate) async fn bookmark(&self) -> Result<Option<Bookmark>, CatalogError> {
        bookmark::read(&mut *self.connection().await?).await
    }

    pub(crate) async fn history(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<Vec<RevisionRecord>>, CatalogError> {
        let mut connection = self.connection().await?;
        let revisions = sqlx::query_as(
            "select revision, reason, instances_count, instances_added, instances_corrected,
                    expected_count, calling_ae_title, false as is_deletion,
                    completed_at as decided_at, completed_sequence as decided_sequence, kept_at,
                    case when removed_at is null then kept_place end as kept_place
             from revisions where series_instance_uid = $1
             union all
             select revision, reason, instances_count, 0, 0, null, null, true, deleted_at,
                    deleted_sequence, null, null
             from deletions where series_instance_uid = $1
             order by revision, is_deletion, decided_sequence",
        )
        .bind(series.as_str())
        .fetch_all(&mut *connection)
        .await?;
        drop(connection);
        if revisions.is_empty() && self.state_of(series).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(revisions))
    }

    pub(crate) async fn state_of(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<String>, CatalogError> {
        let mut connection = self.connection().await?;
        let query = "select state from series where series_instance_uid = $1";
        Ok(sqlx::query_scalar(query).bind(series.as_str()).fetch_optional(&mut *connection).await?)
    }

    pub(crate) async fn deleted_at(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<Timestamp>, CatalogError> {
        let mut connection = self.connection().await?;
        let query = "select max(deleted_at) from deletions where series_instance_uid = $1";
        let deleted_at: Option<i64> =
            sqlx::query_scalar(query).bind(series.as_str()).fetch_one(&mut *connection).await?;
        deleted_at.map(timestamp).transpose()
    }

    pub(crate) async fn registration(
        &self,
        series: &SeriesInstanceUid,
        sequence: u64,
    ) -> Result<Option<RegistrationOutcome>, CatalogError> {
        let mut connection = self.connection().await?;
        // Both in one statement, or the series could be registered between the two.
        let (by_this, is_known): (bool, bool) = sqlx::query_as(
            "select exists (select 1 from revisions
                        where series_instance_uid = $1 and reason = $2 and completed_sequence = $3),
                    exists (select 1 from series where series_instance_uid = $1)",
        )
        .bind(series.as_str())
        .bind(Reason::Stored.as_str())
        .bind(count(sequence))
        .fetch_one(&mut *connection)
        .await?;
        Ok(RegistrationOutcome::of(by_this, is_known))
    }
}
