//! How far the SERIES stream is in the catalogue, and the numbers of what it has decided beyond that.

use super::completions::write_down;
use super::database::CatalogWriter;
use super::database::bookmark::KEEP_SERIES_BOOKMARK;
use super::database::dialect::{Database, release};
use super::database::values::key;
use super::deletions;
use super::study_completions;
use crate::batch::SeriesBookmark;
use crate::encoding::{count, nanoseconds};
use crate::error::CatalogError;
use contract::event::{SeriesCompleted, SeriesDeleted, StudyCompleted};
use sqlx::query::QueryScalar;

impl CatalogWriter {
    pub(crate) async fn series_bookmark(&self) -> Result<Option<SeriesBookmark>, CatalogError> {
        let mut connection = self.acquire().await?;
        let row: Option<(i64, i64)> = sqlx::query_as(concat!(
            "select stream_created, last_sequence from series_bookmark where ",
            our_row!()
        ))
        .fetch_optional(&mut *connection)
        .await?;
        release(connection);
        row.map(SeriesBookmark::of).transpose()
    }

    pub(crate) async fn has_taken_up(&self, bookmark: SeriesBookmark) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query(KEEP_SERIES_BOOKMARK)
            .bind(nanoseconds(bookmark.stream_created))
            .bind(count(bookmark.last_sequence))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn has_completion(
        &self,
        fact: &SeriesCompleted,
    ) -> Result<bool, CatalogError> {
        let query = "select exists (select 1 from revisions
            where series_instance_uid = $1 and revision = $2)";
        let query = sqlx::query_scalar(query).bind(fact.series_instance_uid.as_str());
        self.has(query.bind(i64::from(fact.revision))).await
    }

    pub(crate) async fn has_deletion(&self, fact: &SeriesDeleted) -> Result<bool, CatalogError> {
        let query = "select exists (select 1 from deletions
            where series_instance_uid = $1 and revision = $2 and deleted_sequence = $3)";
        let query = sqlx::query_scalar(query).bind(fact.series_instance_uid.as_str());
        self.has(query.bind(i64::from(fact.revision)).bind(count(fact.instances_sequence))).await
    }

    pub(crate) async fn has_study_completion(
        &self,
        fact: &StudyCompleted,
    ) -> Result<bool, CatalogError> {
        let query = "select exists (select 1 from study_revisions
            where study_instance_uid = $1 and revision = $2)";
        let query = sqlx::query_scalar(query).bind(key(&fact.study_instance_uid));
        self.has(query.bind(i64::from(fact.revision))).await
    }

    async fn has(
        &self,
        query: QueryScalar<'_, Database, bool, <Database as sqlx::Database>::Arguments>,
    ) -> Result<bool, CatalogError> {
        let mut connection = self.acquire().await?;
        let has = query.fetch_one(&mut *connection).await?;
        release(connection);
        Ok(has)
    }

    pub(crate) async fn note_completion(&self, fact: &SeriesCompleted) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        write_down(&mut transaction, fact).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn note_deletion(&self, fact: &SeriesDeleted) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        deletions::trace(&mut transaction, fact).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn note_study(&self, fact: &StudyCompleted) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        study_completions::write_down(&mut transaction, fact).await?;
        transaction.commit().await?;
        Ok(())
    }
}
