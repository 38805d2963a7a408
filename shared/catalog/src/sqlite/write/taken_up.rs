//! How far the SERIES stream is in the catalogue, and the numbers of what it has decided beyond that.

use crate::batch::SeriesBookmark;
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use crate::sqlite::CatalogWriter;
use crate::sqlite::write::completions::write_down;
use crate::sqlite::write::deletions;
use crate::sqlite::write::study_completions;
use contract::event::{SeriesCompleted, SeriesDeleted, StudyCompleted};

impl CatalogWriter {
    pub(crate) async fn series_bookmark(&self) -> Result<Option<SeriesBookmark>, CatalogError> {
        let row: Option<(i64, i64)> =
            sqlx::query_as("select stream_created, last_sequence from series_bookmark")
                .fetch_optional(&self.pool)
                .await?;
        row.map(SeriesBookmark::of).transpose()
    }

    pub(crate) async fn has_taken_up(&self, bookmark: SeriesBookmark) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query(
            "insert into series_bookmark values (1, ?, ?) on conflict (id) do update
             set stream_created = excluded.stream_created, last_sequence = excluded.last_sequence",
        )
        .bind(nanoseconds(bookmark.stream_created))
        .bind(bookmark.last_sequence as i64)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn has_completion(
        &self,
        fact: &SeriesCompleted,
    ) -> Result<bool, CatalogError> {
        let query = "select exists (select 1 from revisions
            where series_instance_uid = ? and revision = ?)";
        let query = sqlx::query_scalar(query).bind(fact.series_instance_uid.as_str());
        Ok(query.bind(fact.revision).fetch_one(&self.pool).await?)
    }

    pub(crate) async fn has_deletion(&self, fact: &SeriesDeleted) -> Result<bool, CatalogError> {
        let query = "select exists (select 1 from deletions
            where series_instance_uid = ? and revision = ? and deleted_sequence = ?)";
        let query = sqlx::query_scalar(query).bind(fact.series_instance_uid.as_str());
        let query = query.bind(fact.revision).bind(fact.instances_sequence as i64);
        Ok(query.fetch_one(&self.pool).await?)
    }

    pub(crate) async fn has_study_completion(
        &self,
        fact: &StudyCompleted,
    ) -> Result<bool, CatalogError> {
        let query = "select exists (select 1 from study_revisions
            where study_instance_uid = ? and revision = ?)";
        let query = sqlx::query_scalar(query).bind(&fact.study_instance_uid);
        Ok(query.bind(fact.revision).fetch_one(&self.pool).await?)
    }

    pub(crate) async fn note_completion(&self, fact: &SeriesCompleted) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        write_down(&mut transaction, fact).await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn note_deletion(&self, fact: &SeriesDeleted) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        deletions::trace(&mut transaction, fact).await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn note_study(&self, fact: &StudyCompleted) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        study_completions::write_down(&mut transaction, fact).await?;
        Ok(transaction.commit().await?)
    }
}
