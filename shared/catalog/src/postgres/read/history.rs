//! How far the catalogue is, what was decided of a series, and what state it is in.

use crate::batch::{Bookmark, RegistrationOutcome};
use crate::encoding::timestamp;
use crate::error::CatalogError;
use crate::postgres::{CatalogReader, bookmark};
use crate::records::RevisionRecord;
use contract::event::Reason;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

impl CatalogReader {
    /// How far INSTANCES has been read, if it ever was.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub(crate) async fn bookmark(&self) -> Result<Option<Bookmark>, CatalogError> {
        bookmark::read(&mut *self.connection().await?).await
    }

    /// The completions and deletions of a series, oldest first; `None` if there never was one.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub(crate) async fn history(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<Vec<RevisionRecord>>, CatalogError> {
        let mut connection = self.connection().await?;
        let revisions = sqlx::query_as(
            "select revision, reason, instances_count, instances_added, instances_corrected,
                    expected_count, calling_ae_title, false as is_deletion,
                    completed_at as decided_at, completed_sequence as decided_sequence
             from revisions where series_instance_uid = $1
             union all
             select revision, reason, instances_count, 0, 0, null, null, true, deleted_at,
                    deleted_sequence
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

    /// `receiving` or `complete`; `None` if there is no such series.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub(crate) async fn state_of(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<String>, CatalogError> {
        let mut connection = self.connection().await?;
        let query = "select state from series where series_instance_uid = $1";
        Ok(sqlx::query_scalar(query).bind(series.as_str()).fetch_optional(&mut *connection).await?)
    }

    /// When a series that is not in the catalogue was deleted from it; `None` if it never was.
    ///
    /// # Errors
    /// When the catalogue can't be read.
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

    /// What became of the request of this sequence; `None` as long as the indexer has not acted on it. A
    /// series that exists otherwise is not registered.
    ///
    /// # Errors
    /// When the catalogue can't be read.
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
        .bind(sequence as i64)
        .fetch_one(&mut *connection)
        .await?;
        Ok(RegistrationOutcome::of(by_this, is_known))
    }
}
